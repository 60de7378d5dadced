"""Make the page to explore a model's map with: one HTML file that needs no network."""

import argparse
import logging
from pathlib import Path

import numpy as np
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.report.explorer.page import Points, render_page, title_of
from arxiv_embeddings.report.figures.map import map_title
from arxiv_embeddings.report.inputs import read_json, read_rows, read_texts

log = logging.getLogger(__name__)

POINTS = 300_000  # more make a page that browsers struggle with


def main(arguments: argparse.Namespace) -> None:
    papers = read_texts(arguments.papers, ["id", "topic", "category 0", "category 1"])
    places = read_rows(arguments.map, ["x", "y"], len(papers["id"]))
    # Papers stand in drawing order, so the first ones are a random sample of all.
    first = np.argsort(places["row"])[:POINTS]
    rows = places["row"][first]
    if len(first) < len(places["row"]):
        log.info("The page shows %s of %s papers.", f"{POINTS:,}", f"{len(places['row']):,}")
    points = Points(
        x=places["x"][first],
        y=places["y"][first],
        ids=papers["id"][rows].tolist(),
        titles=[title_of(topic) for topic in papers["topic"][rows]],
        categories_0=papers["category 0"][rows].tolist(),
        categories_1=papers["category 1"][rows].tolist(),
    )
    about = map_title(read_json(arguments.map_report), len(rows))
    with written_beside(arguments.page) as partial:
        partial.write_text(render_page(points, arguments.label, about, arguments.link), "utf-8")
    size = arguments.page.stat().st_size
    log.info("Wrote a page of %s papers (%.1f MB).", f"{len(rows):,}", size / 1e6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", required=True, help="of the model, for the heading")
    parser.add_argument("--papers", type=Path, required=True, help="Parquet file of its papers")
    parser.add_argument("--map", type=Path, required=True, help="map.parquet")
    parser.add_argument("--map-report", type=Path, required=True, help="map.json")
    parser.add_argument(
        "--link", default="", help="what the address of a paper begins with, before its id"
    )
    parser.add_argument("--page", type=Path, required=True, help="HTML file to write")
    run(main, parser)
