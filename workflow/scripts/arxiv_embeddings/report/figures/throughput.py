"""How fast each piece of the vector store was embedded."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..palette import COLOURS
from .style import new_figure

KINDS = (("papers_per_second", "papers per second"), ("tokens_per_second", "tokens per second"))


def draw_throughput(pieces: list[dict[str, Any]], model: str) -> Figure:
    """Draw the papers and tokens per second at which each piece of the vector store was embedded.

    Args:
        pieces: manifests of the pieces, in order.
        model: the model's label.
    """
    devices = sorted({str(piece["device"]["name"]) for piece in pieces})
    # Where the time is not known, the zero is not a speed.
    shown = [piece for piece in pieces if piece["seconds"]]
    figure = new_figure(height=2.6)
    for axes, (key, name) in zip(figure.subplots(1, 2), KINDS, strict=True):
        speeds = np.array([float(piece[key]) for piece in shown])
        for number, device in enumerate(devices):
            own = [i for i, piece in enumerate(shown) if str(piece["device"]["name"]) == device]
            axes.plot(
                [i + 1 for i in own],
                speeds[own],
                linestyle="",
                marker="osD^v"[number % 5],
                markersize=float(np.clip(60 / max(len(pieces), 1), 2, 5)),
                color=COLOURS[number % len(COLOURS)],
                label=device,
            )
        if len(shown):
            median = float(np.median(speeds))
            axes.axhline(median, color="black", linewidth=0.8, linestyle="--")
            axes.set_title(f"{name}, median {median:,.0f}")
        axes.set(xlabel="piece", ylim=(0, speeds.max() * 1.12 if len(shown) else 1))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y")
    omitted = len(pieces) - len(shown)
    more = f" ({omitted} not shown: time not known)" if omitted else ""
    title = f"{model}: throughput of {len(pieces):,} pieces of the vector store{more}"
    figure.suptitle(title, x=0.01, ha="left")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return figure
