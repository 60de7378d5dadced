"""Draw the figures of all models together, each as SVG, PNG and PDF."""

import argparse
from pathlib import Path

import numpy as np
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.corpus.papers import level_columns
from arxiv_embeddings.evaluation.reading import read_parquet, read_schema
from arxiv_embeddings.report.figures.categories import draw_categories
from arxiv_embeddings.report.figures.heatmap import draw_heatmap
from arxiv_embeddings.report.figures.maps import Map, draw_maps
from arxiv_embeddings.report.figures.scores import draw_scores
from arxiv_embeddings.report.figures.shepard import Shepard, draw_shepard
from arxiv_embeddings.report.figures.style import save, save_small
from arxiv_embeddings.report.inputs import count_categories, read_pairs, read_strings


def main(arguments: argparse.Namespace) -> None:
    folder = arguments.folder
    levels = level_columns(read_schema(arguments.sample).names)
    corpus, sample = (
        {level: count_categories(path, level) for level in levels}
        for path in (arguments.corpus, arguments.sample)
    )
    save(draw_categories(corpus, sample, arguments.name), folder / "categories")

    grid = read_parquet(arguments.grid).to_pylist()
    flat = [row for row in grid if row["family"] == "flat clustering"]
    save(draw_heatmap(flat, arguments.best_by, levels), folder / "heatmap")
    save(
        draw_scores([row for row in grid if row["family"] in ("space", "MTEB")], levels),
        folder / "scores",
    )

    models = dict.fromkeys(model for model, *_ in arguments.map)
    maps: list[list[Map]] = [[] for _ in models]
    diagrams: list[list[Shepard]] = [[] for _ in models]
    correlations = {
        (row["model"], row["reduction"]): row["value"]
        for row in grid
        if row["metric"] == "distance_correlation"
    }
    for model, name, file, pairs in arguments.map:
        number = list(models).index(model)
        maps[number].append(Map(model, name, open_matrix(Path(file))))
        diagrams[number].append(
            Shepard(model, name, read_pairs(Path(pairs)), correlations.get((model, name)))
        )
    categories = read_strings(arguments.sample, levels)
    papers = max((len(own.places) for row in maps for own in row), default=0)
    for level in levels:
        figure = draw_maps(maps, np.asarray(categories[level][:papers]), level)
        save(figure, folder / f"maps-{level.replace(' ', '-')}")
        if level == levels[0]:
            save_small(figure, folder / "maps-small.png")
    save(draw_shepard(diagrams), folder / "shepard")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the corpus, for the title")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="papers.parquet of the whole corpus"
    )
    parser.add_argument("--sample", type=Path, required=True, help="papers.parquet of a model")
    parser.add_argument("--grid", type=Path, required=True, help="grid.parquet of all models")
    parser.add_argument("--best-by", required=True, help="the score that ranks cells, such as ari")
    parser.add_argument(
        "--map",
        nargs=4,
        action="append",
        default=[],
        metavar=("MODEL", "MAP", "NPY", "SHEPARD"),
        help="a map, and the pairs of its Shepard diagram; repeat for each",
    )
    parser.add_argument("--folder", type=Path, required=True, help="folder to write the figures to")
    run(main, parser)
