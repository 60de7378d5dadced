"""Papers per category, in the corpus and in the sample drawn from it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..palette import COLOURS
from .style import HEIGHT, new_figure

# More bars would be illegible.
NAMED = 40
# In inches.
BAR_HEIGHT, AROUND_PANEL = 0.17, 0.55

Counts = Mapping[str, int]


def largest(corpus: Counts, sample: Counts, named: int = NAMED) -> list[tuple[str, int, int]]:
    """Return name, papers in the corpus and papers in the sample of the largest categories.

    They are sorted by their size in the corpus, then by name; a last row sums up the rest.
    """
    order = sorted(corpus, key=lambda name: (-corpus[name], name))
    rows = [(name, corpus[name], sample.get(name, 0)) for name in order[:named]]
    if rest := order[named:]:
        name = rest[0] if len(rest) == 1 else f"other ({len(rest)} categories)"
        in_sample = sum(sample.get(name, 0) for name in rest)
        rows.append((name, sum(corpus[name] for name in rest), in_sample))
    return rows


def draw_categories(
    corpus: Mapping[str, Counts], sample: Mapping[str, Counts], name: str
) -> Figure:
    """Draw the share of each category among the papers of the corpus and of the sample.

    Args:
        corpus: papers per category, for each level, the coarsest first.
        sample: the same for the sample.
        name: of the corpus.
    """
    levels = list(corpus)
    # So that all bars of a page have room.
    named = int((HEIGHT - 0.5 - AROUND_PANEL * len(levels)) / BAR_HEIGHT / len(levels))
    bars = [largest(corpus[level], sample[level], min(NAMED, named)) for level in levels]
    heights = [max(len(own), 3) * BAR_HEIGHT for own in bars]
    figure = new_figure(height=min(sum(heights) + AROUND_PANEL * len(levels) + 0.5, HEIGHT))
    panels = figure.subplots(len(levels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[
        :, 0
    ]
    totals = sum(corpus[levels[0]].values()), sum(sample[levels[0]].values())
    for axes, level, own in zip(panels, levels, bars, strict=True):
        _draw_panel(axes, own, totals)
        number = len(corpus[level])
        axes.set_title(f"{level}: {number:,} categor{'y' if number == 1 else 'ies'}")
    panels[-1].set_xlabel(
        "share of the papers; next to each bar: papers in the corpus / in the sample"
    )
    figure.suptitle(
        f"{name}: {totals[0]:,} papers in the corpus, {totals[1]:,} in the sample",
        x=0.01,
        ha="left",
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def _draw_panel(axes: Axes, bars: list[tuple[str, int, int]], totals: tuple[int, int]) -> None:
    places = np.arange(len(bars))
    shares = np.array([[bar[1] / totals[0], bar[2] / totals[1]] for bar in bars])
    axes.barh(places - 0.2, shares[:, 0], 0.4, color=COLOURS[1], label="corpus")
    axes.barh(places + 0.2, shares[:, 1], 0.4, color=COLOURS[0], label="sample")
    for place, (_, in_corpus, in_sample), share in zip(places, bars, shares, strict=True):
        axes.annotate(
            f"{in_corpus:,} / {in_sample:,}",
            (share.max(), place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6,
            color="#555555",
        )
    axes.set_yticks(places, [bar[0] for bar in bars], fontsize=7)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, shares.max() * 1.15)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.grid(axis="x")
