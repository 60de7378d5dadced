"""Draw the pictures of one model, each as SVG and PNG."""

import argparse
import logging
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.report.figures.confusion import Panel, draw_confusion
from arxiv_embeddings.report.figures.map import draw_map
from arxiv_embeddings.report.figures.style import save
from arxiv_embeddings.report.figures.throughput import draw_throughput
from arxiv_embeddings.report.figures.tokens import draw_tokens
from arxiv_embeddings.report.inputs import read_json, read_rows, read_texts

log = logging.getLogger(__name__)

LEVELS = ("category 0", "category 1")
METHODS = {"kmeans": "MiniBatchKMeans", "tree": "Ward tree"}


def main(arguments: argparse.Namespace) -> None:
    labels = read_texts(arguments.papers, LEVELS)
    papers = len(labels[LEVELS[0]])
    label, folder = arguments.label, arguments.folder
    manifest = read_json(arguments.manifest)

    places = read_rows(arguments.map, ["x", "y"], papers)
    about = read_json(arguments.map_report)
    for level in LEVELS:
        categories = labels[level][places["row"]]
        figure = draw_map(places["x"], places["y"], categories, level, label, about)
        save(figure, folder / f"map-{level.replace(' ', '-')}")

    columns = [f"{method} {level}" for method in METHODS for level in LEVELS]
    clusters = read_rows(arguments.clusters, columns, papers)
    panels = [
        [
            Panel(name, level, labels[level][clusters["row"]], clusters[f"{method} {level}"])
            for method, name in METHODS.items()
        ]
        for level in LEVELS
    ]
    save(draw_confusion(panels, label), folder / "confusion")

    tokens = read_rows(arguments.tokens, ["tokens"], papers)["tokens"]
    save(draw_tokens(tokens, manifest["encoder"]["max_length"], label), folder / "tokens")
    save(draw_throughput(manifest["shards"], label), folder / "throughput")
    log.info("Drew the pictures of %s in %s.", label, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", required=True, help="of the model, for the titles")
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file of its papers")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of its embeddings")
    parser.add_argument("--map", type=Path, required=True, help="map.parquet")
    parser.add_argument("--map-report", type=Path, required=True, help="map.json")
    parser.add_argument("--clusters", type=Path, required=True, help="clusters.parquet")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.parquet")
    parser.add_argument("--folder", type=Path, required=True, help="where the pictures go")
    run(main, parser)
