"""Draw the figures of one model, each as SVG and PNG."""

import argparse
import logging
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.evaluation.labels import LEVELS
from arxiv_embeddings.evaluation.reading import read_json
from arxiv_embeddings.report.figures.confusion import Panel, draw_confusion
from arxiv_embeddings.report.figures.map import draw_map
from arxiv_embeddings.report.figures.style import save
from arxiv_embeddings.report.figures.throughput import draw_throughput
from arxiv_embeddings.report.figures.tokens import draw_tokens
from arxiv_embeddings.report.inputs import read_rows, read_strings

log = logging.getLogger(__name__)

METHODS = {"kmeans": "MiniBatchKMeans", "tree": "Ward tree"}


def main(arguments: argparse.Namespace) -> None:
    categories = read_strings(arguments.papers, LEVELS)
    papers = len(categories[LEVELS[0]])
    label, folder = arguments.label, arguments.folder
    manifest = read_json(arguments.manifest)

    places = read_rows(arguments.map, ["x", "y"], papers)
    map_report = read_json(arguments.map_report)
    for level in LEVELS:
        figure = draw_map(
            places["x"],
            places["y"],
            categories=categories[level][places["row"]],
            level=level,
            model=label,
            map_report=map_report,
        )
        save(figure, folder / f"map-{level.replace(' ', '-')}")

    columns = [f"{method} {level}" for method in METHODS for level in LEVELS]
    clusters = read_rows(arguments.clusters, columns, papers)
    panels = [
        [
            Panel(name, level, categories[level][clusters["row"]], clusters[f"{method} {level}"])
            for method, name in METHODS.items()
        ]
        for level in LEVELS
    ]
    save(draw_confusion(panels, label), folder / "confusion")

    tokens = read_rows(arguments.tokens, ["tokens"], papers)["tokens"]
    save(draw_tokens(tokens, manifest["encoder"]["max_length"], label), folder / "tokens")
    save(draw_throughput(manifest["pieces"], label), folder / "throughput")
    log.info("Drew the figures of %s in %s.", label, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", required=True, help="label of the model, for the titles")
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest.json of the model")
    parser.add_argument("--map", type=Path, required=True, help="map.parquet of the model")
    parser.add_argument("--map-report", type=Path, required=True, help="map.json of the model")
    parser.add_argument(
        "--clusters", type=Path, required=True, help="clusters.parquet of the model"
    )
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.parquet of the model")
    parser.add_argument("--folder", type=Path, required=True, help="folder to write the figures to")
    run(main, parser)
