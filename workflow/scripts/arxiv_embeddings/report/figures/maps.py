"""The maps of all models side by side: one row per model, one column per map."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..names import method_name
from ..palette import COLOURS, group_categories
from .style import HEIGHT, WIDTH, new_figure

# Papers in a panel; more make the file larger, but the picture no clearer.
DRAWN = 10_000
# The axes end at these percentiles of the places, because a few papers far away would shrink all others.
CUT = (1, 99)


@dataclass(frozen=True)
class Map:
    """A map of a model's papers.

    Attributes:
        model: its label.
        name: of the map, such as "umap-2".
        places: float32 (papers, 2); no rows where the map was omitted.
        omitted: why there is none, or "".
    """

    model: str
    name: str
    places: np.ndarray
    omitted: str = ""


def draw_maps(maps: list[list[Map]], categories: np.ndarray, level: str) -> Figure:
    """Draw every paper as a point in the colour of its category.

    Args:
        maps: one list per model, with the same maps in the same order.
        categories: strings (papers,), the categories of ``level`` of the papers in the maps.
        level: such as "category 0".
    """
    groups = group_categories(categories)
    colours = np.array(groups.colours)[groups.codes]
    # The rest is drawn first, below the others.
    order = np.argsort(groups.codes != len(COLOURS), kind="stable")
    columns = len(maps[0])
    panel = WIDTH / columns
    height = min(panel * len(maps) + 1.3, HEIGHT)
    figure = new_figure(height=height)
    grid = figure.subplots(len(maps), columns, squeeze=False)
    for row_of_axes, row in zip(grid, maps, strict=True):
        for axes, own in zip(row_of_axes, row, strict=True):
            _draw_panel(axes, own, order, colours)
        row_of_axes[0].set_ylabel(row[0].model, fontsize=7)
    for axes, own in zip(grid[0], maps[0], strict=True):
        axes.set_title(method_name(own.name).partition(",")[0])
    cut = f"axes cut at the {CUT[0]}st and {CUT[1]}th percentile of the places"
    figure.suptitle(f"Maps by {level}, {cut}", x=0.01, ha="left")
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=4, color=colour, label=name)
        for name, colour in zip(groups.names, groups.colours, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _draw_panel(axes: Axes, own: Map, order: np.ndarray, colours: np.ndarray) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    axes.set_box_aspect(1)
    if not len(own.places):
        axes.annotate("omitted", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center")
        return
    drawn = order[order < DRAWN]
    (left, bottom), (right, top) = np.percentile(own.places, CUT, axis=0)
    axes.scatter(
        own.places[drawn, 0],
        own.places[drawn, 1],
        s=float(np.clip(4_000 / len(drawn), 0.3, 4)),
        c=colours[drawn],
        linewidths=0,
        alpha=0.7,
        rasterized=True,
    )
    axes.set_xlim(*_padded(left, right))
    axes.set_ylim(*_padded(bottom, top))


def _padded(low: float, high: float) -> tuple[float, float]:
    """Return the ends a little apart, also where they are equal."""
    space = 0.03 * (high - low) or 1.0
    return low - space, high + space
