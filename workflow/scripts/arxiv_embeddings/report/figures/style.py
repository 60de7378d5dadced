"""How every picture looks and is saved: small print type, SVG and PNG, the same bytes every time."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ...common.files import written_beside

WIDTH = 7.2  # inches: across both columns of a page
INK, GRID = "#222222", "#DDDDDD"
RASTER_DPI = 300  # of PNGs, and of what is rasterised inside an SVG

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
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],  # the first comes with matplotlib
    "font.size": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text
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
    """Write ``figure`` to ``stem.svg`` and ``stem.png``, without dates or versions."""
    for kind, metadata in (
        ("svg", {"Date": None, "Creator": None}),
        ("png", {"Software": None}),
    ):
        with written_beside(stem.with_name(f"{stem.name}.{kind}")) as partial:
            figure.savefig(partial, format=kind, dpi=RASTER_DPI, metadata=metadata)
