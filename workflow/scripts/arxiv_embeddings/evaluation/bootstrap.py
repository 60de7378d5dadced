"""Seeded draws of papers: the subsamples and the bootstrap resamples behind the interval of every score.

A score of something that was found in all papers (a clustering, neighbours, a classifier) varies with what would be found in
other papers. So it is found again in each of 25 subsamples without replacement, half of the papers but at most 5,000, and the
interval is the score ± t · sd of its values there. A subsample has the share f of the papers, so its scores vary too much by
the sampling (variance ∝ 1 / f), and too little because subsamples overlap (∝ 1 - f): the sd is multiplied by √(f / (1 - f))
(the delete-d jackknife; Shao & Wu, 1989). Halves make that 1; more than 5,000 papers would only take time.

Scores that are means over papers or pairs and nothing else are resampled with replacement (Efron, 1979).

All draws depend on the number of papers alone: replicate r of every score of every model is computed on the same papers, so
differences of replicates are paired.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import t as student

SEED = 42
REPLICATES = 200
SUBSAMPLES = 25
# Papers of a subsample.
MOST = 5_000
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


def subsamples(papers: int) -> list[np.ndarray]:
    """Return the rows of ``SUBSAMPLES`` subsamples without replacement, sorted int64: the same for all models.

    There are none of fewer than ``LEAST`` papers.
    """
    if papers < LEAST:
        return []
    return [
        np.sort(np.random.default_rng([SEED, papers, number]).permutation(papers)[: _size(papers)])
        for number in range(SUBSAMPLES)
    ]


def subsamples_note(papers: int) -> str:
    """Return the note of a score that has no interval because there are too few papers for ``subsamples``; or ""."""
    return f"no interval: fewer than {LEAST} papers" if papers < LEAST else ""


def _size(papers: int) -> int:
    return min(papers // 2, MOST)


def spread(papers: int) -> float:
    """Return by how much more a score varies between draws of ``papers`` papers than between ``subsamples(papers)``."""
    size = _size(papers)
    return float(np.sqrt(size / (papers - size)))


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
