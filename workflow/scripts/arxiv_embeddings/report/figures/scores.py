"""The scores of the models side by side, with their intervals."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..names import metric_name
from ..palette import COLOURS
from .style import HEIGHT, new_figure

MARKERS = "osD^vP*Xh"
# In inches.
ROW_HEIGHT, ROW_OF_MODEL, AROUND_BLOCK = 0.1, 0.07, 0.42

# A row of the table of scores.
Score = dict[str, Any]


def blocks(scores: list[Score]) -> list[tuple[str, list[str]]]:
    """Return the blocks of the figure in the order of the table: each title and its metrics."""
    found: dict[str, list[str]] = {}
    for score in scores:
        metrics = found.setdefault(_title(score), [])
        if score["metric"] not in metrics:
            metrics.append(score["metric"])
    return list(found.items())


def draw_scores(scores: list[Score], levels: list[str]) -> Figure:
    """Draw every score as a point with its interval: one block per method, one column per level.

    Args:
        scores: rows of the table of scores with ``model, family, method, metric, level, value, low, high``.
            A value of None is marked as omitted.
        levels: of the hierarchy, the coarsest first. Scores without a level are in the column of the first.
    """
    columns = {f"{levels[0]}, or no level": (levels[0], "")} | {
        level: (level,) for level in levels[1:]
    }
    models = list(dict.fromkeys(score["model"] for score in scores))
    levelled = {(_title(score), score["metric"]) for score in scores if score["level"]}
    scores = [{**score, "metric": _row_name(score, levelled)} for score in scores]
    parts = blocks(scores)
    row = ROW_HEIGHT + ROW_OF_MODEL * len(models)
    heights = [len(metrics) * row for _, metrics in parts]
    figure = new_figure(height=min(sum(heights) + AROUND_BLOCK * len(parts) + 0.6, HEIGHT))
    grid = figure.subplots(
        len(parts),
        len(columns),
        squeeze=False,
        sharex="row",
        sharey="row",
        gridspec_kw={"height_ratios": heights},
    )
    for row_of_axes, (title, metrics) in zip(grid, parts, strict=True):
        for axes, shown in zip(row_of_axes, columns.values(), strict=True):
            own = [score for score in scores if _title(score) == title and score["level"] in shown]
            _draw_panel(axes, own, metrics, models)
        row_of_axes[0].set_title(title, fontweight="bold", fontsize=8)
    for axes, heading in zip(grid[0], columns, strict=True):
        axes.annotate(
            heading, (0, 1), xytext=(0, 18), xycoords="axes fraction", textcoords="offset points"
        )
    handles = [
        figure.axes[0].errorbar([], [], xerr=[[], []], label=model, **_mark(number))
        for number, model in enumerate(models)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def _row_name(score: Score, levelled: set[tuple[str, str]]) -> str:
    """Return the label of a score's row.

    A score without a level gets a row of its own if its metric also has scores with a level (``levelled``).
    """
    name = metric_name(score["metric"])
    if not score["level"] and (_title(score), score["metric"]) in levelled:
        return f"{name}, no level"
    return name


def _title(score: Score) -> str:
    return f"{score['family']}: {score['method']}" if score["method"] else str(score["family"])


def _mark(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "fmt": MARKERS[number % len(MARKERS)],
        "markersize": 3.5,
        "elinewidth": 1,
        "capsize": 1.5,
    }


def _draw_panel(axes: Axes, scores: list[Score], metrics: list[str], models: list[str]) -> None:
    axes.set_yticks(range(len(metrics)), metrics)
    axes.set_ylim(len(metrics) - 0.5, -0.5)
    if not scores:
        axes.set_axis_off()
        return
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    offsets = (np.arange(len(models)) - (len(models) - 1) / 2) * 0.6 / len(models)
    for score in scores:
        model = models.index(score["model"])
        place = metrics.index(score["metric"]) + offsets[model]
        value, low, high = score["value"], score["low"], score["high"]
        if value is None:
            axes.annotate(
                "omitted",
                (0.5, place),
                xycoords=axes.get_yaxis_transform(),
                ha="center",
                va="center",
                fontsize=6,
                color=COLOURS[model % len(COLOURS)],
            )
            continue
        # A percentile interval does not always contain the value itself.
        interval = None if low is None else [[max(value - low, 0)], [max(high - value, 0)]]
        axes.errorbar([value], [place], xerr=interval, **_mark(model))
    if all(score["value"] is None for score in scores):
        axes.set_xticks([])
        return
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
