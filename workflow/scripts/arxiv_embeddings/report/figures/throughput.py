"""How fast each shard was embedded."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..palette import COLOURS
from .style import new_figure

KINDS = (("papers_per_second", "papers per second"), ("tokens_per_second", "tokens per second"))


def draw_throughput(shards: list[dict[str, Any]], model: str) -> Figure:
    """Draw the papers and tokens that the job of each shard embedded per second.

    Args:
        shards: manifests of the shards, in order.
        model: the model's label.
    """
    devices = sorted({str(shard["device"]["name"]) for shard in shards})
    # A job that took all its papers from an earlier run embedded none: its zero is not a speed.
    shown = [shard for shard in shards if shard["papers_resumed"] < shard["papers"]]
    figure = new_figure(height=2.6)
    for axes, (key, name) in zip(figure.subplots(1, 2), KINDS, strict=True):
        speeds = np.array([float(shard[key]) for shard in shown])
        for number, device in enumerate(devices):
            own = [i for i, shard in enumerate(shown) if str(shard["device"]["name"]) == device]
            axes.plot(
                [int(shown[i]["shard"]) for i in own],
                speeds[own],
                linestyle="",
                marker="osD^v"[number % 5],
                markersize=float(np.clip(60 / max(len(shards), 1), 2, 5)),
                color=COLOURS[number % len(COLOURS)],
                label=device,
            )
        if len(shown):
            median = float(np.median(speeds))
            axes.axhline(median, color="black", linewidth=0.8, linestyle="--")
            axes.set_title(f"{name}, median {median:,.0f}")
        axes.set(xlabel="shard", ylim=(0, speeds.max() * 1.12 if len(shown) else 1))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y")
    resumed = len(shards) - len(shown)
    more = f" ({resumed} not shown: all papers from an earlier run)" if resumed else ""
    figure.suptitle(f"{model}: throughput of {len(shards):,} shards{more}", x=0.01, ha="left")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return figure
