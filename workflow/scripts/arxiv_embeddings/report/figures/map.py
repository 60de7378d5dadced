"""The map of a model's vectors, coloured by category."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..palette import COLOURS, group_categories
from .style import new_figure


def map_title(map_report: dict[str, Any], points: int) -> str:
    """Return the title of a map of ``points`` papers: its method and the number of papers.

    A map by another method than PHATE says that it replaces one by PHATE.
    """
    method, papers = str(map_report["method"]), int(map_report["papers"])
    if method != "PHATE":
        method += " (in place of PHATE)"
    number = f"{points:,}" if points == papers else f"{points:,} of {papers:,}"
    return f"{method} map of {number} papers"


def draw_map(
    x: np.ndarray,
    y: np.ndarray,
    *,
    categories: np.ndarray,
    level: str,
    model: str,
    map_report: dict[str, Any],
) -> Figure:
    """Draw each paper as a point in the colour of its category.

    Args:
        x: float64 (papers,).
        y: float64 (papers,).
        categories: strings (papers,), the papers' categories of ``level``.
        level: "category 0" or "category 1".
        model: the model's label.
        map_report: ``map.json`` of the model.
    """
    groups = group_categories(categories)
    colours = np.array(groups.colours)
    figure = new_figure(height=5.0)
    axes = figure.add_subplot()
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
    axes.set(
        title=f"{model}: {map_title(map_report, len(x))}",
        xlabel=f"{map_report['method']} 1",
        ylabel=f"{map_report['method']} 2",
        xticks=[],
        yticks=[],
    )
    handles = [
        Line2D([], [], linestyle="", marker="o", color=colour, label=f"{name}  {size:,}")
        for name, colour, size in zip(groups.names, groups.colours, groups.sizes, strict=True)
    ]
    figure.legend(
        handles=handles, title=f"{level}, papers", loc="outside right upper", alignment="left"
    )
    return figure
