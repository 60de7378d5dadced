"""Write the tables of the report as HTML pages: scores and differences, and provenance."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.evaluation.reading import read_json, read_parquet
from arxiv_embeddings.report.pages.html import render_tables
from arxiv_embeddings.report.pages.provenance import provenance_table
from arxiv_embeddings.report.pages.scores import differences_table, scores_table


def main(arguments: argparse.Namespace) -> None:
    scores = [scores_table(read_parquet(arguments.scores).to_pylist())]
    if differences := read_parquet(arguments.differences).to_pylist():
        scores.append(differences_table(differences))
    manifests, map_reports = (
        dict(zip(arguments.labels, map(read_json, paths), strict=True))
        for paths in (arguments.manifests, arguments.map_reports)
    )
    provenance = [provenance_table(manifests, map_reports)]
    for page, heading, tables in (
        (arguments.scores_page, "Scores of the models", scores),
        (arguments.provenance_page, "How the results were made", provenance),
    ):
        with written_beside(page) as partial:
            partial.write_text(render_tables(heading, tables), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", nargs="+", required=True, help="labels of the models")
    parser.add_argument(
        "--manifests", type=Path, nargs="+", required=True, help="manifest.json of each model"
    )
    parser.add_argument(
        "--map-reports", type=Path, nargs="+", required=True, help="map.json of each model"
    )
    parser.add_argument("--scores", type=Path, required=True, help="scores.parquet of all models")
    parser.add_argument(
        "--differences", type=Path, required=True, help="differences.parquet of all models"
    )
    parser.add_argument("--scores-page", type=Path, required=True, help="HTML file to write")
    parser.add_argument("--provenance-page", type=Path, required=True, help="HTML file to write")
    run(main, parser)
