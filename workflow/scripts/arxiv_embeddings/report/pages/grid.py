"""The scores of the benchmark grid and their differences, as HTML tables."""

from collections.abc import Sequence

from ..names import method_name, metric_name
from ..tables import Entry, Row, ScoreTable, cells_table, entry_of, heading, maps_table
from .html import Cell, HtmlTable, together

MARKS = {0: "", 1: "best", 2: "second"}


def grid_tables(grid: Sequence[Row], levels: Sequence[str]) -> list[HtmlTable]:
    """Return the tables of the cells at every level, the finest first, of the maps and of the models.

    Args:
        grid: rows of the table of the grid.
        levels: of the hierarchy, the coarsest first.
    """
    text = (
        "One row per cell. The 95 % interval is below each score, where there is one; the best score of a column is "
        "bold, the second best underlined. ↑: higher is better, ↓: lower is better."
    )
    found = [
        _html(cells_table(grid, level), f"Clusterings, {level}", text, levelled=False)
        for level in reversed(levels)
    ]
    found.append(
        _html(
            maps_table(grid), "Maps", "How faithful each map in two dimensions is.", levelled=True
        )
    )
    return [*found, models_table(grid)]


def _html(table: ScoreTable, name: str, text: str, levelled: bool) -> HtmlTable:
    return HtmlTable(
        heading=name,
        text=text,
        columns=[
            *table.names,
            *(heading(metric, level if levelled else "") for metric, level in table.columns),
            "notes",
        ],
        rows=[
            [
                thing[0],
                *(method_name(part) for part in thing[1:]),
                *(_cell(entry) for entry in entries),
                Cell(note, note=True),
            ]
            for (thing, entries), note in zip(table.rows, table.notes, strict=True)
        ],
    )


def models_table(grid: Sequence[Row]) -> HtmlTable:
    """Return the scores of the models' vectors themselves: one row per score, one column per model."""
    rows: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in grid:
        if row["family"] in ("space", "MTEB"):
            rows.setdefault((row["family"], row["metric"], row["level"]), {})[row["model"]] = row
    models = list(dict.fromkeys(model for own in rows.values() for model in own))
    return HtmlTable(
        heading="Models",
        text="Scores of the vectors themselves, without a reduction. Chance: the same score for shuffled categories.",
        columns=["score", "level", *models, "chance", "papers", "notes"],
        rows=[
            [
                heading(metric) if family == "space" else f"MTEB: {heading(metric)}",
                level,
                *(_cell(entry_of(own.get(model))) for model in models),
                together(_number(row["chance"]) for row in own.values()),
                together(f"{row['papers']:,}" for row in own.values()),
                Cell(together(row["note"] for row in own.values()), note=True),
            ]
            for (family, metric, level), own in rows.items()
        ],
    )


def differences_table(differences: Sequence[Row]) -> HtmlTable:
    """Return the real differences between models: one row per score of a cell and pair of models.

    Args:
        differences: rows of the table of differences between models.
    """
    real = [row for row in differences if row["real"]]
    return HtmlTable(
        heading="Real differences between models",
        text=(
            f"{len(real):,} of {len(differences):,} differences are real: the first model's score minus the second's, on "
            "the same subsamples of the same papers, corrected for the number of comparisons (Holm, 1979). All "
            "differences are in differences.csv."
        ),
        columns=["score", "level", "reduction", "clustering", "models", "difference"],
        rows=[
            [
                metric_name(row["metric"]),
                row["level"],
                method_name(row["reduction"]),
                method_name(row["clustering"]),
                f"{row['model a']} − {row['model b']}",
                _cell(Entry(row["difference"], row["low"], row["high"]), sign="+"),
            ]
            for row in real
        ],
    )


def omitted_table(grid: Sequence[Row]) -> HtmlTable:
    """Return what was omitted and why: one row per cell, map or model and reason."""
    reasons: dict[tuple[str, str, str, str], None] = {}
    for row in grid:
        if row["value"] is None:
            reasons[row["model"], row["reduction"], row["clustering"], row["note"]] = None
    return HtmlTable(
        heading="Omitted",
        text="Scores that could not be computed.",
        columns=["model", "reduction", "clustering", "reason"],
        rows=[
            [model, method_name(reduction), method_name(clustering), reason]
            for model, reduction, clustering, reason in reasons
        ],
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _cell(entry: Entry, sign: str = "") -> Cell:
    if entry.value is None:
        return Cell("omitted")
    known = entry.low is not None and entry.high is not None
    interval = f"{entry.low:{sign}.3f} to {entry.high:{sign}.3f}" if known else ""
    return Cell(f"{entry.value:{sign}.3f}", interval, MARKS[entry.rank])
