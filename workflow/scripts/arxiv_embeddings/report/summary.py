"""The start page of the report: what was compared, what is best, what differs, what is unusual."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from .names import method_name, metric_name
from .tables import Row, best_cells

SHOWN = 10
# The report centres the page in its window and cuts off what is higher.
SCROLLED = '<div style="max-height: 90vh; overflow-y: auto">'


def summary(
    grid: Sequence[Row],
    differences: Sequence[Row],
    manifests: Mapping[str, dict[str, Any]],
    *,
    corpus: str,
    papers: int,
    levels: Sequence[str],
    best_by: str,
    maps: bytes,
) -> str:
    """Return the page in reStructuredText.

    Args:
        grid: rows of the table of the grid.
        differences: rows of the table of differences between models.
        manifests: ``manifest.json`` of every model, by label.
        corpus: its name.
        papers: how many papers take part in the evaluation.
        levels: of the hierarchy, the coarsest first.
        best_by: the score that ranks the cells.
        maps: a small picture of the maps, PNG.
    """
    embedded = next(iter(manifests.values()))["embeddings"]["shape"][0]
    part = "all take part" if papers == embedded else f"the first {papers:,} take part"
    lines = [
        *_raw(SCROLLED),
        f"**{_plain(corpus)}**: {embedded:,} papers were embedded with {len(manifests)} model(s), {part} in the "
        f"evaluation. Labels have {len(levels)} level(s).",
        "",
        f"Best cells by {metric_name(best_by)}",
        "",
    ]
    for level in reversed(levels):
        lines += _best(grid, best_by, level)
    lines += _picture(maps, "the maps of the models")
    return "\n".join([*lines, *_real(differences), *_unusual(grid), "", *_raw("</div>")])


def _raw(html: str) -> list[str]:
    return [".. raw:: html", "", f"   {html}", ""]


def _picture(png: bytes, alternative: str) -> list[str]:
    """Return a picture within the page. Its lines are short, as docutils refuses lines of 10,000 characters."""
    encoded = base64.encodebytes(png).decode().split()
    return [
        ".. image:: data:image/png;base64,",
        *(f"   {line}" for line in encoded),
        f"   :alt: {alternative}",
        "",
    ]


def _best(grid: Sequence[Row], metric: str, level: str) -> list[str]:
    best = best_cells(grid, metric, level)[:3]
    if not best:
        return [f"- {level}: no cell has this score", ""]
    shown = "; ".join(
        f"{_plain(row['model'])}, {method_name(row['reduction'])}, {method_name(row['clustering'])}: "
        f"{row['value']:.3f}{_interval(row)}"
        for row in best
    )
    return [f"- {level}: {shown}", ""]


def _interval(row: Row) -> str:
    return "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"


def _real(differences: Sequence[Row]) -> list[str]:
    if not differences:
        return []
    real = [row for row in differences if row["real"]]
    wins: dict[str, int] = {}
    for row in real:
        better = row["model a"] if row["better"] == "a" else row["model b"]
        wins[better] = wins.get(better, 0) + 1
    told = "; ".join(
        f"{_plain(model)} is better in {count:,}" for model, count in sorted(wins.items())
    )
    return [
        f"Differences between models: {len(real):,} of {len(differences):,} are real"
        + (f": {told}." if told else "."),
        "",
    ]


def _unusual(grid: Sequence[Row]) -> list[str]:
    reasons: dict[str, set[str]] = {}
    for row in grid:
        if row["value"] is None and row["reduction"]:
            name = f"{method_name(row['reduction'])} {method_name(row['clustering'])}".strip()
            reasons.setdefault(row["note"].removeprefix("omitted: "), set()).add(name)
    if not reasons:
        return ["Nothing was omitted."]
    lines = ["Omitted:", ""]
    lines += [
        f"- {_plain(reason)}: {', '.join(sorted(names))}"
        for reason, names in list(reasons.items())[:SHOWN]
    ]
    return lines


def _plain(text: str) -> str:
    """Return ``text`` with the characters escaped that mean something in reStructuredText."""
    return "".join(f"\\{letter}" if letter in "\\*`_|" else letter for letter in text)
