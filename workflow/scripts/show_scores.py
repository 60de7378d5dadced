"""Print the best cell of each model at every level."""

import argparse
from pathlib import Path

from arxiv_embeddings.common.cli import end_with_reader, run
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.corpus.papers import level_columns
from arxiv_embeddings.evaluation.reading import read_parquet
from arxiv_embeddings.report.names import method_name, metric_name
from arxiv_embeddings.report.tables import best_cells


def main(arguments: argparse.Namespace) -> None:
    grid = read_parquet(arguments.grid).to_pylist()
    lines = []
    for level in level_columns(row["level"] for row in grid):
        cells = best_cells(grid, arguments.best_by, level)
        for model in dict.fromkeys(row["model"] for row in grid):
            best = next((row for row in cells if row["model"] == model), None)
            if best:
                cell = f"{method_name(best['reduction'])}; {method_name(best['clustering'])}"
                value = f"{best['value']:.3f}"
                interval = "" if best["low"] is None else f"{best['low']:.3f} to {best['high']:.3f}"
            else:
                cell, value, interval = "no cell has this score", "", ""
            lines.append((level, model, value, interval, cell))
    if not lines:
        raise InputError(f"{arguments.grid} has no scores of a level. Delete it and run again.")
    heads = ("level", "model", metric_name(arguments.best_by), "95 % interval", "best cell")
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, *lines):
        print("  ".join(map(str.ljust, line, widths)).rstrip())


if __name__ == "__main__":
    end_with_reader()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path, help="comparison/grid.parquet")
    parser.add_argument("--best-by", default="ari", help="the score that ranks cells")
    run(main, parser)
