"""Write the tables of the report as HTML and LaTeX, the text on the methods, and the report's start page."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import run
from arxiv_embeddings.common.files import written_beside
from arxiv_embeddings.corpus.papers import level_columns
from arxiv_embeddings.evaluation.reading import read_json, read_parquet
from arxiv_embeddings.report.pages.grid import differences_table, grid_tables, omitted_table
from arxiv_embeddings.report.pages.html import render_tables
from arxiv_embeddings.report.pages.provenance import methods_table, provenance_table
from arxiv_embeddings.report.paper import latex, methods
from arxiv_embeddings.report.summary import summary


def main(arguments: argparse.Namespace) -> None:
    grid = read_parquet(arguments.grid).to_pylist()
    differences = read_parquet(arguments.differences).to_pylist()
    levels = level_columns(row["level"] for row in grid)
    manifests = dict(zip(arguments.labels, map(read_json, arguments.manifests), strict=True))
    reductions, clusterings = (
        [read_json(path) for path in paths]
        for paths in (arguments.reductions, arguments.clusterings)
    )
    papers = reductions[0]["papers"]

    tables = grid_tables(grid, levels)
    if len(manifests) > 1:
        tables.append(differences_table(differences))
    provenance = [provenance_table(manifests), methods_table([*reductions, *clusterings])]
    text = methods.methods_text(
        manifests, reductions, clusterings, papers=papers, levels=levels, best_by=arguments.best_by
    )
    page = summary(
        grid,
        differences,
        manifests,
        corpus=arguments.name,
        papers=papers,
        levels=levels,
        best_by=arguments.best_by,
        maps=arguments.maps.read_bytes(),
    )
    written = {
        arguments.scores_page: render_tables("Scores", [*tables, omitted_table(grid)]),
        arguments.provenance_page: render_tables("How the results were made", provenance),
        arguments.summary: page,
        arguments.paper / "methods.md": text,
        arguments.paper / "references.bib": methods.REFERENCES.read_text("utf-8"),
    }
    for name, table in latex.latex_tables(grid, levels).items():
        written[arguments.paper / f"{name}.tex"] = table
    for path, content in written.items():
        with written_beside(path) as partial:
            partial.write_text(content, "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the corpus")
    parser.add_argument("--labels", nargs="+", required=True, help="labels of the models")
    parser.add_argument(
        "--manifests", type=Path, nargs="+", required=True, help="manifest.json of each model"
    )
    parser.add_argument(
        "--reductions", type=Path, nargs="+", required=True, help="reports of a model's reductions"
    )
    parser.add_argument(
        "--clusterings", type=Path, nargs="+", required=True, help="reports of its clusterings"
    )
    parser.add_argument("--grid", type=Path, required=True, help="grid.parquet of all models")
    parser.add_argument(
        "--differences", type=Path, required=True, help="differences.parquet of all models"
    )
    parser.add_argument(
        "--maps",
        type=Path,
        required=True,
        help="small picture of the maps, for the start page, PNG",
    )
    parser.add_argument("--best-by", required=True, help="the score that ranks cells, such as ari")
    parser.add_argument("--scores-page", type=Path, required=True, help="HTML file to write")
    parser.add_argument("--provenance-page", type=Path, required=True, help="HTML file to write")
    parser.add_argument(
        "--summary", type=Path, required=True, help="reStructuredText file to write"
    )
    parser.add_argument(
        "--paper", type=Path, required=True, help="folder to write LaTeX, methods and references to"
    )
    run(main, parser)
