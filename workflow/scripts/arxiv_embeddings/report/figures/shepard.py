"""Shepard diagrams: how the distances on a map follow the distances of the vectors, as densities of pairs."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..names import method_name
from .style import HEIGHT, WIDTH, new_figure


@dataclass(frozen=True)
class Shepard:
    """The density of a map's pairs of papers.

    Attributes:
        model: its label.
        name: of the map, such as "umap-2".
        pairs: int64 (bins, bins), pairs by distance of the vectors (rows) and distance on the map (columns), both
            ascending and divided by the greatest; no rows where the map was omitted.
        correlation: Spearman's, of both distances; None where it is not known.
    """

    model: str
    name: str
    pairs: np.ndarray
    correlation: float | None


def draw_shepard(diagrams: list[list[Shepard]]) -> Figure:
    """Draw one diagram per map.

    Args:
        diagrams: one list per model, with the same maps in the same order.
    """
    columns = len(diagrams[0])
    figure = new_figure(height=min(WIDTH / columns * len(diagrams) + 1.0, HEIGHT))
    grid = figure.subplots(len(diagrams), columns, squeeze=False)
    for row_of_axes, row in zip(grid, diagrams, strict=True):
        for axes, own in zip(row_of_axes, row, strict=True):
            _draw_panel(axes, own)
        row_of_axes[0].set_ylabel(row[0].model, fontsize=7)
    for axes, own in zip(grid[0], diagrams[0], strict=True):
        axes.set_title(method_name(own.name).partition(",")[0])
    figure.suptitle(
        "Shepard diagrams: distance on the map against distance of the vectors", x=0.01, ha="left"
    )
    figure.supxlabel(
        "right: farther apart in the vectors; up: farther apart on the map; dark: many pairs; ρ: Spearman's correlation",
        fontsize=7,
        x=0.01,
        ha="left",
    )
    return figure


def _draw_panel(axes: Axes, own: Shepard) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    axes.set_box_aspect(1)
    if not own.pairs.size:
        axes.annotate("omitted", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center")
        return
    # Each column of the picture is scaled by itself; otherwise only the commonest distances are seen.
    most = own.pairs.max(axis=1, keepdims=True)
    shares = np.divide(own.pairs, most, out=np.zeros(own.pairs.shape), where=most > 0)
    axes.imshow(shares.T, cmap="Blues", origin="lower", aspect="auto", vmin=0, vmax=1)
    if own.correlation is not None:
        axes.annotate(
            f"ρ = {own.correlation:.2f}",
            (0.04, 0.96),
            xycoords="axes fraction",
            va="top",
            fontsize=7,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
        )
