"""The map of a model's vectors, coloured by category."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..names import METHODS
from ..palette import COLOURS, group_categories
from .style import new_figure


def map_title(report: dict[str, Any]) -> str:
    """Return the title of a map: its method and the number of papers, or that it was omitted and why."""
    name = METHODS[report["method"]]
    if reason := report.get("omitted"):
        return f"{name} map omitted: {reason}"
    return f"{name} map of {report['papers']:,} papers"


def draw_map(
    places: np.ndarray, *, categories: np.ndarray, level: str, model: str, report: dict[str, Any]
) -> Figure:
    """Draw each paper as a point in the colour of its category.

    Args:
        places: float32 (papers, 2); no rows if the map was omitted.
        categories: strings (papers,), the papers' categories of ``level``.
        level: such as "category 0".
        model: the model's label.
        report: of the map.
    """
    figure = new_figure(height=5.0)
    axes = figure.add_subplot()
    axes.set(title=f"{model}: {map_title(report)}", xticks=[], yticks=[])
    if not len(places):
        return figure
    x, y = places.T
    groups = group_categories(categories)
    colours = np.array(groups.colours)
    # The rest is drawn first, below the others. These keep the drawing order of the papers, so that no category
    # covers all others.
    rest = groups.codes == len(COLOURS)
    order = np.concatenate([np.flatnonzero(rest), np.flatnonzero(~rest)])
    axes.scatter(
        x[order],
        y[order],
        s=float(np.clip(20_000 / len(x), 0.8, 12)),
        c=colours[groups.codes[order]],
        linewidths=0,
        alpha=0.75,
        rasterized=True,
    )
    axes.set_aspect("equal", adjustable="datalim")
    name = METHODS[report["method"]]
    axes.set(xlabel=f"{name} 1", ylabel=f"{name} 2")
    handles = [
        Line2D([], [], linestyle="", marker="o", color=colour, label=f"{name}  {size:,}")
        for name, colour, size in zip(groups.names, groups.colours, groups.sizes, strict=True)
    ]
    figure.legend(
        handles=handles, title=f"{level}, papers", loc="outside right upper", alignment="left"
    )
    return figure
