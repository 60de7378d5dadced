"""The scores of the grid as tables: one row per cell, map or model, one column per score, the best ones marked."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.scores import higher_is_better
from .names import metric_name

# A row of the table of the grid.
Row = dict[str, Any]

CLUSTERED = ("flat clustering", "tree")


@dataclass(frozen=True)
class Entry:
    """A score in a table.

    Attributes:
        value: None where it was omitted.
        low, high: its 95 % interval, if there is one.
        rank: 1 for the best of its column, 2 for the second best, else 0.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    rank: int = 0


def entry_of(row: Row | None, rank: int = 0) -> Entry:
    """Return the entry of a row of the grid, or of none."""
    return Entry(row["value"], row["low"], row["high"], rank) if row else Entry(None)


@dataclass(frozen=True)
class ScoreTable:
    """Scores of things of one kind.

    Attributes:
        names: of the columns that name a thing, such as model, reduction and clustering.
        columns: the scores, each a metric and a level ("" where it has none).
        rows: the names of each thing, and an entry for each column.
        notes: of each row.
    """

    names: tuple[str, ...]
    columns: list[tuple[str, str]]
    rows: list[tuple[tuple[str, ...], list[Entry]]]
    notes: list[str]


def cells_table(grid: Sequence[Row], level: str) -> ScoreTable:
    """Return the scores of every cell at ``level``, one row per cell, without the number of clusters."""
    rows = [
        row
        for row in grid
        if row["family"] in CLUSTERED
        and row["level"] in (level, "")
        and row["metric"] != "clusters"
    ]
    return _table(rows, ("model", "reduction", "clustering"))


def maps_table(grid: Sequence[Row]) -> ScoreTable:
    """Return the scores of every map, one row per map."""
    return _table([row for row in grid if row["family"] == "map"], ("model", "reduction"))


def best_cells(grid: Sequence[Row], metric: str, level: str) -> list[Row]:
    """Return the rows of the cells that have this score at this level, the best first."""
    rows = [
        row
        for row in grid
        if row["family"] == "flat clustering"
        and (row["metric"], row["level"]) == (metric, level)
        and row["value"] is not None
    ]
    return sorted(rows, key=lambda row: -row["value"])


def _table(rows: list[Row], names: tuple[str, ...]) -> ScoreTable:
    columns = list(dict.fromkeys((row["metric"], row["level"]) for row in rows))
    things: dict[tuple[str, ...], dict[tuple[str, str], Row]] = {}
    for row in rows:
        own = things.setdefault(tuple(row[name] for name in names), {})
        own[row["metric"], row["level"]] = row
    ranks = {
        column: _ranks(column[0], [own.get(column) for own in things.values()])
        for column in columns
    }
    found, notes = [], []
    for number, (thing, own) in enumerate(things.items()):
        entries = [entry_of(own.get(column), ranks[column][number]) for column in columns]
        found.append((thing, entries))
        notes.append(_note(own.values()))
    return ScoreTable(names, columns, found, notes)


def _ranks(metric: str, rows: list[Row | None]) -> list[int]:
    """Return 1 for the best values, 2 for the next best ones, else 0; all 0 where no direction is better."""
    better = higher_is_better(metric)
    values = {row["value"] for row in rows if row and row["value"] is not None}
    if better is None or len(values) < 2:
        return [0] * len(rows)
    best = dict(zip(sorted(values, reverse=better)[:2], itertools.count(1), strict=False))
    return [best.get(row["value"], 0) if row else 0 for row in rows]


def _note(rows: Any) -> str:
    """Return the distinct parts of the notes of a thing's scores."""
    parts = [part for row in rows for part in row["note"].split("; ") if part]
    return "; ".join(dict.fromkeys(parts))


def heading(metric: str, level: str = "") -> str:
    """Return the heading of a column: the name of the score, its level, and an arrow to its better end."""
    arrow = {True: " ↑", False: " ↓", None: ""}[higher_is_better(metric)]
    return f"{metric_name(metric)}{arrow}" + (f", {level}" if level else "")
