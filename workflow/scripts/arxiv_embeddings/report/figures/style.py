"""The style of all figures, and how they are saved: SVG, PNG and PDF, byte for byte the same every time."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ...common.files import written_beside

# In inches: the width of a two-column page.
WIDTH = 7.2
# The greatest height: the report shows a figure in a window of 600 pixels, 96 for an inch, and cannot scroll it.
HEIGHT = 6.2
INK, GRID = "#222222", "#DDDDDD"
# Of PNGs, and of the rasterised parts of an SVG.
RASTER_DPI = 300
# Of a PNG on the start page of the report.
SMALL_DPI = 100

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#888888",
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "figure.titlesize": 10,
    "font.family": "sans-serif",
    # The first comes with matplotlib.
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    # Keep text as text, not as outlines.
    "svg.fonttype": "none",
    "svg.hashsalt": "arxiv-embeddings",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.color": INK,
    "ytick.labelsize": 7.5,
    "ytick.major.width": 0.6,
}
mpl.rcParams.update(STYLE)


def new_figure(height: float) -> Figure:
    """Return an empty figure, ``WIDTH`` by ``height`` inches."""
    return Figure(figsize=(WIDTH, height))


def save(figure: Figure, stem: Path) -> None:
    """Write ``figure`` to ``stem.svg``, ``stem.png`` and ``stem.pdf``, without dates or versions."""
    for kind, metadata in (
        ("svg", {"Date": None, "Creator": None}),
        ("png", {"Software": None}),
        ("pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
    ):
        with written_beside(stem.with_name(f"{stem.name}.{kind}")) as partial:
            figure.savefig(partial, format=kind, dpi=RASTER_DPI, metadata=metadata)


def save_small(figure: Figure, path: Path) -> None:
    """Write ``figure`` as a PNG of few bytes, for the start page of the report."""
    with written_beside(path) as partial:
        figure.savefig(partial, format="png", dpi=SMALL_DPI, metadata={"Software": None})
