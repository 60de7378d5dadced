"""The two-dimensional map of a model's vectors, coloured by category."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..palette import COLOURS, group_categories
from .style import new_figure


def map_method(about: dict[str, Any]) -> str:
    """Return how a map was made, by its ``map.json``: a stand-in is called one."""
    method = str(about["method"])
    return method if method == "PHATE" else f"{method} (stand-in for PHATE)"


def map_title(about: dict[str, Any], points: int) -> str:
    """Return what a map shows: its method and its number of papers."""
    papers = int(about["papers"])
    number = f"{points:,}" if points == papers else f"{points:,} of {papers:,}"
    return f"{map_method(about)} map of {number} papers"


def draw_map(
    x: np.ndarray,
    y: np.ndarray,
    categories: np.ndarray,
    level: str,
    model: str,
    about: dict[str, Any],
) -> Figure:
    """Draw each paper as a point in the colour of its category.

    Args:
        x: float64 (papers,).
        y: float64 (papers,).
        categories: strings (papers,), the papers' categories of ``level``.
        level: "category 0" or "category 1".
        model: the model's label.
        about: ``map.json``.
    """
    groups = group_categories(categories)
    colours = np.array(groups.colours)
    figure = new_figure(height=5.0)
    axes = figure.add_subplot()
    # The rest lies beneath. The others stay in drawing order, so that none of them lies on top of all.
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
        title=f"{model}: {map_title(about, len(x))}",
        xlabel=f"{about['method']} 1",
        ylabel=f"{about['method']} 2",
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
