"""Length of the papers in tokens, and the share of it that truncation cuts off."""

import numpy as np
from matplotlib.figure import Figure

from ..palette import COLOURS
from .style import new_figure

BINS = 60
# Share of the papers on the axis; with the few longest ones, the others would be hard to see.
SHOWN = 0.999


def truncation(tokens: np.ndarray, max_length: int) -> tuple[float, float]:
    """Return the share of papers longer than ``max_length``, and the share of all tokens cut off.

    Args:
        tokens: integers (papers,), before truncation.
        max_length: the model sees at most so many tokens of a paper.
    """
    cut = np.maximum(tokens.astype(np.int64) - max_length, 0)
    return float((cut > 0).mean()), float(cut.sum() / tokens.sum())


def draw_tokens(tokens: np.ndarray, max_length: int, model: str) -> Figure:
    """Draw the histogram of ``tokens`` (papers,) with a line at ``max_length``."""
    papers, lost = truncation(tokens, max_length)
    reach = max(float(np.quantile(tokens, SHOWN)), max_length) * 1.05
    beyond = int((tokens > reach).sum())
    figure = new_figure(height=2.6)
    axes = figure.add_subplot()
    # A bin ends at the cut, between the longest text that fits and the next longer one.
    cut = max_length + 0.5
    width = cut / max(round(BINS * cut / reach), 1)
    edges = np.arange(0, reach + width, width)
    counts, _ = np.histogram(tokens, bins=edges)
    seen = edges[:-1] + width / 2 < cut
    for part, colour in ((seen, COLOURS[0]), (~seen, COLOURS[4])):
        axes.bar(edges[:-1][part], counts[part], width, align="edge", color=colour, linewidth=0)
    axes.axvline(cut, color="black", linewidth=1, linestyle="--")
    axes.annotate(
        f"max_length {max_length:,}\n{papers:.1%} of the papers are longer,\n{lost:.1%} of all tokens are cut off",
        (cut, counts.max()),
        xytext=(-6, 0) if cut > reach / 2 else (6, 0),
        textcoords="offset points",
        ha="right" if cut > reach / 2 else "left",
        va="top",
        fontsize=7.5,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
    )
    more = f" ({beyond:,} longer ones are not shown)" if beyond else ""
    axes.set(
        title=f"{model}: tokens of {len(tokens):,} papers, {tokens.mean():.0f} on average",
        xlabel=f"tokens of a paper, prompt and special tokens included{more}",
        ylabel="papers",
        xlim=(0, reach),
    )
    axes.grid(axis="y")
    return figure
