"""How the papers of each category are distributed over the clusters of a clustering."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy.optimize import linear_sum_assignment

from ..palette import group_categories
from .style import HEIGHT, WIDTH, new_figure

# More rows would be illegible.
NAMED = 24
# In inches.
ROW_HEIGHT, PANEL_HEIGHT, AROUND_PANEL = 0.125, 1.0, 0.75


@dataclass(frozen=True)
class Panel:
    """A clustering to compare with the categories of a level.

    Attributes:
        method: of the clustering, such as "PCA, 300, Ward".
        level: such as "category 0".
        categories: strings (papers,).
        clusters: int32 (papers,); -1 where a paper was not clustered.
    """

    method: str
    level: str
    categories: np.ndarray
    clusters: np.ndarray


@dataclass(frozen=True)
class Confusion:
    """Shares of each category's papers by cluster.

    Attributes:
        rows: names of the categories in alphabetical order; the rest of them last.
        shares: float64 (rows, columns); each row sums to 1. Column j is the cluster that is paired with the
            category of row j. All other clusters, if there are any, share one last column.
        papers: the number of papers that were clustered.
    """

    rows: list[str]
    shares: np.ndarray
    papers: int


def confusion(categories: np.ndarray, clusters: np.ndarray, named: int = NAMED) -> Confusion:
    """Count the papers of the ``named`` largest categories, and of the rest, in each cluster.

    Categories and clusters are paired one to one so that as many papers as possible agree (the assignment
    problem, solved by scipy's linear_sum_assignment).

    Args:
        categories: strings (papers,).
        clusters: integers (papers,); papers with -1 are left out.
        named: how many categories get a row of their own.
    """
    clustered = clusters >= 0
    found, of_category = np.unique(categories[clustered], return_inverse=True)
    numbers, of_cluster = np.unique(clusters[clustered], return_inverse=True)
    counts = np.zeros((len(found), len(numbers)), dtype=np.int64)
    np.add.at(counts, (of_category, of_cluster), 1)
    pairs = dict(zip(*(side.tolist() for side in linear_sum_assignment(-counts)), strict=True))

    groups = group_categories(categories[clustered], named)
    members = sorted(groups.members, key=lambda own: (len(own) > 1, own[0]))
    positions = [np.searchsorted(found, own) for own in members]
    by_category = np.stack([counts[own].sum(axis=0) for own in positions])
    singles = [int(own[0]) for own in positions if len(own) == 1]
    matched = [pairs[category] for category in singles if category in pairs]
    others = np.setdiff1d(np.arange(len(numbers)), matched)
    columns = by_category[:, matched]
    if len(others):
        columns = np.column_stack([columns, by_category[:, others].sum(axis=1)])
    rows = [own[0] if len(own) == 1 else f"other ({len(own)} categories)" for own in members]
    return Confusion(rows, columns / columns.sum(axis=1, keepdims=True), int(clustered.sum()))


def draw_confusion(panels: list[list[Panel]], model: str) -> Figure:
    """Draw rows of panels; the panels of a row have the same level and so the same categories. There may be no row."""
    if not panels:
        figure = new_figure(height=1.0)
        figure.suptitle(f"{model}: no clustering could be made", x=0.01, ha="left")
        return figure
    confusions = [[confusion(panel.categories, panel.clusters) for panel in row] for row in panels]
    heights = [max(len(row[0].rows) * ROW_HEIGHT, PANEL_HEIGHT) for row in confusions]
    figure = new_figure(height=min(sum(heights) + AROUND_PANEL * len(heights) + 0.4, HEIGHT))
    axes = figure.subplots(
        len(panels),
        len(panels[0]),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    image = None
    for row_of_axes, row, of_row in zip(axes, panels, confusions, strict=True):
        for place, panel, found in zip(row_of_axes, row, of_row, strict=True):
            image = _draw_panel(place, panel, found, first=place is row_of_axes[0])
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


def _draw_panel(axes: Axes, panel: Panel, found: Confusion, first: bool) -> AxesImage:
    image = axes.imshow(
        found.shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    axes.set_title(f"{panel.method}, {panel.level}, n = {found.papers:,}")
    size = 7.5 if len(found.rows) <= 12 else 6
    axes.set_yticks(range(len(found.rows)), found.rows if first else [], fontsize=size)
    axes.set_xticks([])
    axes.set_xlabel("clusters, in the order of their categories")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    return image
