"""Make an interactive page of the map of a model: one HTML file that needs no network."""

import argparse
import logging
from pathlib import Path

import numpy as np
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.evaluation.reading import read_json
from arxiv_embeddings.report.explorer.page import Points, render_page, title_of
from arxiv_embeddings.report.figures.map import map_title
from arxiv_embeddings.report.inputs import read_strings

log = logging.getLogger(__name__)

# Browsers become slow with more.
POINTS = 300_000


def main(arguments: argparse.Namespace) -> None:
    papers = read_strings(arguments.papers, ["id", "topic", "category 0", "category 1"])
    # Papers are in drawing order, so the first ones are a random sample of all.
    places = open_matrix(arguments.map)[:POINTS]
    rows = np.arange(len(places))
    points = Points(
        x=places[:, 0],
        y=places[:, 1],
        ids=papers["id"][rows].tolist(),
        titles=[title_of(topic) for topic in papers["topic"][rows]],
        categories_0=papers["category 0"][rows].tolist(),
        categories_1=papers["category 1"][rows].tolist(),
    )
    subheading = map_title(read_json(arguments.map_report))
    with written_beside(arguments.page) as partial:
        page = render_page(points, arguments.label, subheading, arguments.link)
        partial.write_text(page, "utf-8")
    size = arguments.page.stat().st_size
    log.info("Wrote a page of %s papers (%.1f MB).", f"{len(rows):,}", size / 1e6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", required=True, help="label of the model, for the heading")
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument("--map", type=Path, required=True, help="map.parquet of the model")
    parser.add_argument("--map-report", type=Path, required=True, help="map.json of the model")
    parser.add_argument(
        "--link", default="", help="web address of a paper without its id; no links if empty"
    )
    parser.add_argument("--page", type=Path, required=True, help="HTML file to write")
    run(main, parser)
