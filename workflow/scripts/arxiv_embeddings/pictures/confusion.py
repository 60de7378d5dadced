"""Which clusters the papers of each category fall into."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy.optimize import linear_sum_assignment

from .palette import group_categories
from .style import WIDTH, new_figure

NAMED = 24  # rows that stay legible in a panel
ROW_HEIGHT, PANEL_HEIGHT, AROUND_PANEL = 0.125, 1.0, 0.75  # inches


@dataclass(frozen=True)
class Panel:
    """A clustering to compare with the categories of a level.

    Attributes:
        method: such as "MiniBatchKMeans".
        level: "category 0" or "category 1".
        categories: strings (papers,).
        clusters: int32 (papers,); -1 where a paper was not clustered.
    """

    method: str
    level: str
    categories: np.ndarray
    clusters: np.ndarray


@dataclass(frozen=True)
class Confusion:
    """Shares of a category's papers by cluster.

    Attributes:
        rows: names of the categories, in the order of the alphabet; the rest of them last.
        shares: float64 (rows, columns); a row sums to 1. Column j is the cluster that belongs to row j
            where clusters and categories are paired one to one so that as many papers as possible agree.
            Clusters paired with the rest, or with none, share the last column.
        papers: how many were clustered.
    """

    rows: list[str]
    shares: np.ndarray
    papers: int


def confusion(categories: np.ndarray, clusters: np.ndarray, named: int = NAMED) -> Confusion:
    """Count how the papers of the ``named`` biggest categories, and of the rest, fall into clusters.

    Args:
        categories: strings (papers,).
        clusters: integers (papers,); papers with -1 are left out.
        named: categories that get a row of their own.
    """
    clustered = clusters >= 0
    categories = categories[clustered]
    groups = group_categories(categories, named)
    found, of_category = np.unique(categories, return_inverse=True)
    numbers, of_cluster = np.unique(clusters[clustered], return_inverse=True)
    counts = np.zeros((len(found), len(numbers)), dtype=np.int64)
    np.add.at(counts, (of_category, of_cluster), 1)
    rows_of_pairs, columns_of_pairs = linear_sum_assignment(counts, maximize=True)
    partner = dict(zip(rows_of_pairs.tolist(), columns_of_pairs.tolist(), strict=True))

    names = sorted(own[0] for own in groups.members if len(own) == 1)
    rest = [own for own in groups.members if len(own) > 1]
    positions = [int(np.searchsorted(found, name)) for name in names]
    columns = [counts[:, partner[row]] if row in partner else 0 * counts[:, 0] for row in positions]
    own = {partner[row] for row in positions if row in partner}
    left = [number for number in range(len(numbers)) if number not in own]
    if left or rest:
        columns.append(counts[:, left].sum(axis=1))
    by_column = np.stack(columns, axis=1)
    rows = [by_column[row] for row in positions]
    if rest:
        names.append(next(name for name in groups.names if name.startswith("other (")))
        rows.append(by_column[[int(np.searchsorted(found, name)) for name in rest[0]]].sum(axis=0))
    table = np.stack(rows).astype(np.float64)
    return Confusion(names, table / table.sum(axis=1, keepdims=True), int(clustered.sum()))


def draw_confusion(panels: list[list[Panel]], model: str) -> Figure:
    """Draw rows of panels; the panels of a row share their level and so their categories."""
    tables = [[confusion(panel.categories, panel.clusters) for panel in row] for row in panels]
    heights = [max(len(row[0].rows) * ROW_HEIGHT, PANEL_HEIGHT) for row in tables]
    figure = new_figure(height=sum(heights) + AROUND_PANEL * len(heights) + 0.4)
    axes = figure.subplots(
        len(panels),
        len(panels[0]),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    image = None
    for row_of_axes, row, of_row in zip(axes, panels, tables, strict=True):
        for place, panel, table in zip(row_of_axes, row, of_row, strict=True):
            image = _draw_panel(place, panel, table, first=place is row_of_axes[0])
    if image is not None:
        figure.colorbar(
            image,
            ax=axes,
            label="share of the category's papers",
            shrink=min(1.0, WIDTH / 3 / sum(heights)),
            aspect=30,
            pad=0.02,
        )
    figure.suptitle(f"{model}: clusters and categories", x=0.01, ha="left")
    return figure


def _draw_panel(axes: Axes, panel: Panel, table: Confusion, first: bool) -> AxesImage:
    image = axes.imshow(
        table.shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    axes.set_title(f"{panel.method}, {panel.level}, n = {table.papers:,}")
    size = 7.5 if len(table.rows) <= 12 else 6
    axes.set_yticks(range(len(table.rows)), table.rows if first else [], fontsize=size)
    axes.set_xticks([])
    axes.set_xlabel("clusters, each under the category it is paired with" if first else "clusters")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    return image
