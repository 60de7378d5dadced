"""Seeded draws of papers: subsamples, and the bootstrap resamples behind the interval of every score.

Papers are resampled with replacement (Efron, 1979). What was fitted on all papers (a clustering, a tree, a
map) is not fitted again. An interval therefore shows how much a score would vary with other papers of the
same kind, not with another start of the clustering. All draws depend on the number of papers alone: replicate
r of every score of every model is computed on the same papers, so differences of replicates are paired.

A paper that is drawn twice agrees with itself, which raises some scores (V-measure by 0.03 to 0.04 with 150
classes and 30,000 papers). The replicates of a score are therefore shifted until their mean is its value
(``centred``).
"""

from collections.abc import Callable, Sequence

import numpy as np

SEED = 42
REPLICATES = 200
# Coverage of the intervals.
LEVEL = 0.95


def subsample(papers: int, size: int) -> np.ndarray:
    """Return ``size`` of the rows 0 to ``papers - 1`` (all if there are fewer), sorted, int64.

    A smaller subsample of the same papers is a subset of a larger one.
    """
    return np.sort(np.random.default_rng(SEED).permutation(papers)[:size])


def subsample_note(size: int, papers: int) -> str:
    """Return the note of a score that was computed on ``size`` of ``papers`` papers; "" if on all."""
    return f"a random sample of {size:,} of {papers:,} papers" if size < papers else ""


def resample(papers: int, replicate: int) -> np.ndarray:
    """Return how often each of ``papers`` papers is drawn in a replicate, int64 (papers,)."""
    generator = np.random.default_rng([SEED, papers, replicate])
    return np.bincount(generator.integers(papers, size=papers), minlength=papers)


def bootstrap(papers: int, score: Callable[[np.ndarray], float | Sequence[float]]) -> np.ndarray:
    """Return ``score(counts)`` of every replicate, float64 (REPLICATES,), or (REPLICATES, m) for m at once.

    Args:
        papers: the number of papers that the score is computed on.
        score: takes how often each paper counts, int64 (papers,), as ``resample`` returns it. For the mean
            of a value per paper that is ``lambda counts: counts @ values / papers``.
    """
    return np.array([score(resample(papers, replicate)) for replicate in range(REPLICATES)], float)


def centred(replicates: np.ndarray, value: float) -> np.ndarray:
    """Return replicates (r,) shifted by their bias, which is their mean minus the value on all papers."""
    return np.asarray(replicates - (replicates.mean() - value))


def interval(replicates: np.ndarray) -> tuple[float, float]:
    """Return the lower and upper end of the percentile interval of ``LEVEL``, of replicates (r,)."""
    low, high = np.percentile(replicates, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def mean_replicates(values: np.ndarray) -> np.ndarray:
    """Return the replicates of the mean of ``values``, one per paper (n,): float64 (REPLICATES,)."""
    return bootstrap(len(values), lambda counts: float(counts @ values / len(values)))
