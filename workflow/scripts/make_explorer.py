"""Make an interactive page of the map of a model: one HTML file that needs no network."""

import argparse
import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.common.matrices import open_matrix
from arxiv_embeddings.corpus.papers import level_columns
from arxiv_embeddings.evaluation.neighbours import read_neighbours
from arxiv_embeddings.evaluation.reading import read_json, read_parquet
from arxiv_embeddings.report.explorer.page import (
    SMALL,
    Points,
    render_omitted,
    render_page,
    title_of,
)
from arxiv_embeddings.report.names import METHODS

log = logging.getLogger(__name__)

# The page of more would be too large.
POINTS = 300_000
NEAREST = 10
YEAR = re.compile(r"\b(?:1[89]|20)\d\d\b")


def main(arguments: argparse.Namespace) -> None:
    places = read_places(arguments.map)
    about = read_json(arguments.map_report)
    if not len(places):
        reason = str(about.get("omitted", "the map was omitted."))
        page = render_omitted(arguments.label, reason)
    else:
        shown = min(len(places), POINTS)
        points = read_points(arguments, places[:shown])
        page = render_page(
            points, arguments.label, subheading(about, places, shown), arguments.link
        )
    with written_beside(arguments.page) as partial:
        partial.write_text(page, "utf-8")
    log.info("Wrote %s (%.1f MB).", arguments.page, arguments.page.stat().st_size / 1e6)


def read_places(path: Path) -> np.ndarray:
    """Return the map, float32 (m, 2)."""
    places = open_matrix(path)
    if places.shape[1] != 2:
        raise InputError(f"{path} has {places.shape[1]} columns, but a map has 2.")
    if not np.isfinite(places).all():
        raise InputError(f"{path} has NaN or infinite numbers. Delete it and run again.")
    return places


def subheading(about: dict[str, object], places: np.ndarray, shown: int) -> str:
    number = f"{shown:,}" if shown == len(places) else f"the first {shown:,} of {len(places):,}"
    return f"{METHODS[str(about['method'])]} map of {number} papers"


def read_points(arguments: argparse.Namespace, places: np.ndarray) -> Points:
    """Return what the page shows of the first papers, one for each row of ``places``."""
    number = len(places)
    columns = pq.read_schema(arguments.papers).names
    # Reading the papers reports a missing column.
    levels = level_columns(columns) or ["category 0"]
    has = {"title", "categories", "submitted"} & set(columns)
    wanted = ["id", "topic", *levels, *sorted(has)]
    papers = first_rows(read_parquet(arguments.papers, wanted), number, arguments.papers)
    nearest = None
    if 1 < number <= SMALL:
        nearest = read_neighbours(arguments.neighbours, number)[:, :NEAREST]
    elif number > SMALL:
        log.info("More than %s papers: their nearest papers are not listed.", f"{SMALL:,}")
    topics = papers["topic"].to_pylist()
    titles = texts(papers["title"]) if "title" in has else [title_of(topic) for topic in topics]
    # A topic is the title, one space and the abstract.
    abstracts = [topic[len(title) + 1 :] for topic, title in zip(topics, titles, strict=True)]
    clusters = {}
    for name, file in arguments.clusters:
        table = read_parquet(Path(file))
        # A cell that was omitted has no clusters.
        if not len(table):
            continue
        table = first_rows(table, number, Path(file))
        for column in (*level_columns(table.column_names), "own"):
            if column in table.column_names:
                clusters[f"{name}, {column}"] = table[column].to_numpy()
    return Points(
        places=places,
        ids=papers["id"].to_pylist(),
        titles=titles,
        levels={level: papers[level].to_pylist() for level in levels},
        abstracts=abstracts if "title" in has else None,
        listed=texts(papers["categories"]) if "categories" in has else None,
        years=years(papers["submitted"]) if "submitted" in has else None,
        clusters=clusters,
        nearest=nearest,
    )


def first_rows(rows: pa.Table, number: int, path: Path) -> pa.Table:
    """Return the first ``number`` of ``rows``; ``path`` is where they are from."""
    if len(rows) < number:
        raise InputError(
            f"{path} has {len(rows):,} rows, but the map has {number:,} papers. "
            "Delete the older of the two and run again."
        )
    return rows[:number]


def texts(column: pa.ChunkedArray) -> list[str]:
    return [text or "" for text in column.to_pylist()]


def years(column: pa.ChunkedArray) -> np.ndarray:
    """Return the year in each date, int (papers,), 0 where there is none."""
    found = (YEAR.search(str(date)) for date in column.to_pylist())
    return np.array([int(year[0]) if year else 0 for year in found], dtype=np.int64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", required=True, help="label of the model, for the heading")
    parser.add_argument("--papers", type=Path, required=True, help="papers.parquet of the model")
    parser.add_argument(
        "--neighbours", type=Path, required=True, help=".npy file of their nearest papers"
    )
    parser.add_argument(
        "--map", type=Path, required=True, help="places of the first papers, float32 (m, 2)"
    )
    parser.add_argument("--map-report", type=Path, required=True, help="how the map was made, JSON")
    parser.add_argument(
        "--clusters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "FILE"),
        help="clusters of the papers by level (Parquet), to colour by; may be repeated",
    )
    parser.add_argument(
        "--link", default="", help="web address of a paper without its id; no links if empty"
    )
    parser.add_argument("--page", type=Path, required=True, help="HTML file to write")
    run(main, parser)
