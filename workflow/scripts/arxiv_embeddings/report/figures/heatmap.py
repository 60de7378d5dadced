"""The benchmark grid as a heat map: one score of every cell, at every level."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ..names import method_name, metric_name
from .style import HEIGHT, new_figure

# In inches.
ROW_HEIGHT, AROUND_PANELS = 0.2, 1.5
OMITTED = "#EEEEEE"

Row = dict[str, Any]


def draw_heatmap(rows: list[Row], metric: str, levels: list[str]) -> Figure:
    """Draw the metric of every cell: one panel per level, one row per model and reduction, one column per clustering.

    Args:
        rows: of the table of the grid, those of the flat clusterings. A value of None is marked as omitted.
        metric: in snake_case.
        levels: the coarsest first.
    """
    rows = [row for row in rows if row["metric"] == metric]
    models = list(dict.fromkeys(row["model"] for row in rows))
    sides = list(dict.fromkeys((row["model"], row["reduction"]) for row in rows))
    clusterings = list(dict.fromkeys(row["clustering"] for row in rows))
    values = {
        (row["model"], row["reduction"], row["clustering"], row["level"]): row["value"]
        for row in rows
    }
    numbers = np.array(
        [
            [
                [values.get((*side, clustering, level)) for clustering in clusterings]
                for side in sides
            ]
            for level in levels
        ],
        dtype=np.float64,
    )
    height = min(max(len(sides) * ROW_HEIGHT, 1.0) + AROUND_PANELS, HEIGHT)
    figure = new_figure(height=height)
    panels = figure.subplots(1, len(levels), squeeze=False)[0]
    best = float(np.nanmax(numbers)) if np.isfinite(numbers).any() else 1.0
    image = None
    for axes, level, of_level in zip(panels, levels, numbers, strict=True):
        image = _draw_panel(axes, of_level, best)
        axes.set_title(level)
        axes.set_xticks(
            range(len(clusterings)), map(method_name, clusterings), rotation=30, ha="right"
        )
        axes.set_yticks([])
    size = 7.5 if len(sides) <= 24 else 5
    names = [
        method_name(reduction) if len(models) == 1 else f"{model}: {method_name(reduction)}"
        for model, reduction in sides
    ]
    panels[0].set_yticks(range(len(sides)), names, fontsize=size)
    if image is not None:
        figure.colorbar(
            image, ax=panels, label=metric_name(metric), shrink=0.8, aspect=30, pad=0.02
        )
    title = f"{metric_name(metric)} of every reduction and clustering"
    figure.suptitle(f"{models[0]}: {title}" if len(models) == 1 else title, x=0.01, ha="left")
    return figure


def _draw_panel(axes: Axes, numbers: np.ndarray, best: float) -> AxesImage:
    axes.set_facecolor(OMITTED)
    image = axes.imshow(
        numbers, cmap="viridis", vmin=0, vmax=best, aspect="auto", interpolation="nearest"
    )
    size = 7 if len(numbers) <= 24 else 4.5
    for (row, column), number in np.ndenumerate(numbers):
        known = np.isfinite(number)
        colour = "white" if known and number < 0.6 * best else "black"
        axes.annotate(
            f"{number:.2f}" if known else "omitted",
            (column, row),
            ha="center",
            va="center",
            fontsize=size if known else 5,
            color=colour,
        )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
