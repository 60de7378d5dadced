"""Seeded draws of papers: subsamples, and the bootstrap resamples behind the interval of every score.

Papers are resampled with replacement (Efron, 1979). What was fitted on all papers (a clustering, a tree, a
map) is not fitted again. An interval therefore shows how much a score would vary with other papers of the
same kind, not with another start of the clustering. All draws depend on the number of papers alone: replicate
r of every score of every model is computed on the same papers, so differences of replicates are paired.

This fits scores that are means over papers or pairs, and nothing else: a clustering varies more than its score on other
papers. Clusterings are therefore made again on subsamples (``cells``).
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import t as student

SEED = 42
REPLICATES = 200
SUBSAMPLES = 25
# Shuffles of the labels behind a chance level.
SHUFFLES = 5
# Fewer papers have subsamples that are too small.
LEAST = 40
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


def subsamples(papers: int, size: int) -> list[np.ndarray]:
    """Return the rows of ``SUBSAMPLES`` subsamples without replacement, sorted int64: the same for all models."""
    return [
        np.sort(np.random.default_rng([SEED, papers, number]).permutation(papers)[:size])
        for number in range(SUBSAMPLES)
    ]


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


def interval(value: float, replicates: np.ndarray) -> tuple[float, float]:
    """Return the lower and upper end of the interval of ``LEVEL``: the value ± t · sd of its replicates (r,).

    t is the quantile of Student's distribution with r - 1 degrees of freedom.
    """
    reach = float(student.ppf((1 + LEVEL) / 2, len(replicates) - 1) * np.std(replicates, ddof=1))
    return value - reach, value + reach


def p_value(value: float, replicates: np.ndarray) -> float:
    """Return the probability of a value at least as far from 0 by chance: the two-sided t test that fits ``interval``."""
    deviation = float(np.std(replicates, ddof=1))
    if deviation == 0:
        return float(value == 0)
    return float(2 * student.sf(abs(value) / deviation, len(replicates) - 1))


def mean_replicates(values: np.ndarray) -> np.ndarray:
    """Return the replicates of the mean of ``values``, one per paper (n,): float64 (REPLICATES,)."""
    return bootstrap(len(values), lambda counts: float(counts @ values / len(values)))
