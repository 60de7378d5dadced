"""Write the pages of the report that hold tables: scores with their differences, and provenance."""

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.report.inputs import read_json
from arxiv_embeddings.report.pages.provenance import provenance_table
from arxiv_embeddings.report.pages.scores import differences_table, scores_table
from arxiv_embeddings.report.pages.table import render_tables


def main(arguments: argparse.Namespace) -> None:
    scores = [scores_table(pq.read_table(arguments.scores).to_pylist())]
    if differences := pq.read_table(arguments.differences).to_pylist():
        scores.append(differences_table(differences))
    manifests = {
        label: read_json(path)
        for label, path in zip(arguments.labels, arguments.manifests, strict=True)
    }
    maps = {
        label: read_json(path) for label, path in zip(arguments.labels, arguments.maps, strict=True)
    }
    for page, heading, tables in (
        (arguments.scores_page, "Scores of the models", scores),
        (
            arguments.provenance_page,
            "How the results were made",
            [provenance_table(manifests, maps)],
        ),
    ):
        with written_beside(page) as partial:
            partial.write_text(render_tables(heading, tables), "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", nargs="+", required=True, help="of the models")
    parser.add_argument(
        "--manifests", type=Path, nargs="+", required=True, help="manifests of their embeddings"
    )
    parser.add_argument("--maps", type=Path, nargs="+", required=True, help="their map.json")
    parser.add_argument("--scores", type=Path, required=True, help="scores.parquet of all models")
    parser.add_argument("--differences", type=Path, required=True, help="differences.parquet")
    parser.add_argument("--scores-page", type=Path, required=True, help="HTML file to write")
    parser.add_argument("--provenance-page", type=Path, required=True, help="HTML file to write")
    run(main, parser)
