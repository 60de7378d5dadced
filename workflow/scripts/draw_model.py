"""Draw the figures of one model, each as SVG, PNG and PDF."""

import argparse
import logging
from pathlib import Path

import numpy as np
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.corpus.papers import level_columns
from arxiv_embeddings.evaluation.reading import read_json, read_parquet, read_schema
from arxiv_embeddings.report.figures.confusion import Panel, draw_confusion
from arxiv_embeddings.report.figures.map import draw_map
from arxiv_embeddings.report.figures.style import save
from arxiv_embeddings.report.figures.throughput import draw_throughput
from arxiv_embeddings.report.figures.tokens import draw_tokens
from arxiv_embeddings.report.inputs import read_rows, read_strings
from arxiv_embeddings.report.names import method_name
from arxiv_embeddings.report.tables import best_cells

log = logging.getLogger(__name__)


def main(arguments: argparse.Namespace) -> None:
    levels = level_columns(read_schema(arguments.papers).names)
    categories = read_strings(arguments.papers, levels)
    label, folder = arguments.label, arguments.folder
    manifest = read_json(arguments.manifest)

    places, map_report = open_matrix(arguments.map), read_json(arguments.map_report)
    for level in levels:
        figure = draw_map(
            places,
            categories=categories[level][: len(places)],
            level=level,
            model=label,
            report=map_report,
        )
        save(figure, folder / f"map-{level.replace(' ', '-')}")

    save(draw_confusion(best_panels(arguments, levels, categories), label), folder / "confusion")
    tokens = read_rows(arguments.tokens, ["tokens"], len(categories[levels[0]]))["tokens"]
    save(draw_tokens(tokens, manifest["encoder"]["max_length"], label), folder / "tokens")
    save(draw_throughput(manifest["pieces"], label), folder / "throughput")
    log.info("Drew the figures of %s in %s.", label, folder)


def best_panels(
    arguments: argparse.Namespace, levels: list[str], categories: dict[str, np.ndarray]
) -> list[list[Panel]]:
    """Return a panel for each level: the clusters of the cell that is best there; none if no cell has the score."""
    grid = read_parquet(arguments.grid).to_pylist()
    panels = []
    for level in levels:
        for best in best_cells(grid, arguments.best_by, level):
            file = arguments.cells / best["reduction"] / f"{best['clustering']}.parquet"
            if best["model"] == arguments.label and file.exists():
                clusters = read_parquet(file, [level])[level].to_numpy()
                name = f"{method_name(best['reduction'])}, {method_name(best['clustering'])}"
                panels.append([Panel(name, level, categories[level][: len(clusters)], clusters)])
                break
    return panels


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", required=True, help="label of the model, for the titles")
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.json of the model")
    parser.add_argument("--map", type=Path, required=True, help=".npy file of the model's map")
    parser.add_argument("--map-report", type=Path, required=True, help="its JSON report")
    parser.add_argument("--grid", type=Path, required=True, help="grid.parquet of all models")
    parser.add_argument("--cells", type=Path, required=True, help="folder of the model's cells")
    parser.add_argument("--best-by", required=True, help="the score that ranks cells, such as ari")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.parquet of the model")
    parser.add_argument("--folder", type=Path, required=True, help="folder to write the figures to")
    run(main, parser)
