"""The scores of the grid as LaTeX tables for the package booktabs."""

from collections.abc import Sequence

import pandas as pd

from ..names import method_name, metric_name
from ..tables import Entry, Row, ScoreTable, cells_table, maps_table

HEAD = "% Needs \\usepackage{booktabs}. Bold: the best of a column, underlined: the second best. Small print: 95 % intervals.\n"
ESCAPES = str.maketrans({"_": "\\_", "&": "\\&", "%": "\\%", "#": "\\#", "$": "\\$"})
MARKS = {0: "{}", 1: "\\textbf{{{}}}", 2: "\\underline{{{}}}"}


def latex_tables(grid: Sequence[Row], levels: Sequence[str]) -> dict[str, str]:
    """Return LaTeX by the name of a table: the cells at every level, such as ``category-0``, and the maps.

    Args:
        grid: rows of the table of the grid.
        levels: of the hierarchy, the coarsest first.
    """
    tables = {
        level.replace(" ", "-"): _latex(cells_table(grid, level), levelled=False)
        for level in levels
    }
    return {**tables, "maps": _latex(maps_table(grid), levelled=True)}


def _latex(table: ScoreTable, levelled: bool) -> str:
    columns = [
        *table.names,
        *(
            metric_name(metric) + (f", {level}" if levelled and level else "")
            for metric, level in table.columns
        ),
    ]
    rows = [
        [*_names(thing), *(_entry(entry) for entry in entries)] for thing, entries in table.rows
    ]
    frame = pd.DataFrame(rows, columns=[name.translate(ESCAPES) for name in columns])
    layout = "l" * len(table.names) + "r" * len(table.columns)
    return HEAD + str(frame.style.hide(axis="index").to_latex(hrules=True, column_format=layout))


def _names(thing: tuple[str, ...]) -> list[str]:
    return [name.translate(ESCAPES) for name in (thing[0], *map(method_name, thing[1:]))]


def _entry(entry: Entry) -> str:
    if entry.value is None:
        return "--"
    value = MARKS[entry.rank].format(f"{entry.value:.3f}")
    if entry.low is None or entry.high is None:
        return value
    return f"{value} {{\\scriptsize [{entry.low:.3f}, {entry.high:.3f}]}}"
