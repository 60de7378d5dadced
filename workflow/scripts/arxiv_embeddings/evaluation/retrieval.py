"""How well the nearest papers of a paper are of its classes, with credit for the upper levels of the hierarchy."""

from collections.abc import Sequence

import numpy as np

from .bootstrap import SHUFFLES
from .labels import Labels, paths, shuffled
from .neighbours import METHOD, Again, votes
from .scores import Score, joined, measured_again

RANKS = 10
DISCOUNTS = 1 / np.log2(np.arange(2, RANKS + 2))


def retrieval_scores(
    levels: Sequence[Labels],
    *,
    queries: np.ndarray,
    nearest: np.ndarray,
    again: Again,
    listed: Sequence[str] | None,
    note: str,
) -> list[Score]:
    """Return nDCG@10 by level and graded, and how often the predicted class is one of those that a paper lists.

    Args:
        levels: the classes of all n papers, the coarsest first.
        queries: row numbers (q,).
        nearest: their neighbours (q, k), the nearest first.
        again: see ``accuracies``.
        listed: the classes of the finest level that each paper lists, separated by spaces (n,); None if unknown.
        note: of the scores.
    """
    found = []
    grades = [([labels.codes], labels.level, labels.problem) for labels in levels]
    grades.append((paths(levels), "", ""))
    few = "" if nearest.shape[1] >= RANKS else f"omitted: {RANKS} neighbours need more papers"
    for codes, level, problem in grades:
        key = ("space", METHOD, "ndcg_at_10", level)
        if problem or few:
            reason = problem or few
            found.append(Score(*key, value=None, papers=len(queries), note=reason))
            continue
        gains, chances = ndcg(codes, queries, nearest)
        known = np.isfinite(gains)
        on_subsamples = [
            _mean_gain([of_level[queries[rows]] for of_level in codes], near)
            for rows, near in again
        ]
        alone = int((~known).sum())
        found.append(
            measured_again(
                *key,
                value=float(gains[known].mean()) if known.any() else float("nan"),
                papers=int(known.sum()),
                note=joined(note, f"without {alone} papers alone in their class" if alone else ""),
                on_subsamples=on_subsamples,
                drawn_from=len(queries),
                chance=float(chances[known].mean()) if known.any() else None,
            )
        )
    for number, labels in enumerate(levels):
        key = ("space", METHOD, "any_listed_accuracy_at_10", labels.level)
        problem = labels.problem or few
        if listed is None:
            problem = problem or "omitted: the papers have no column categories"
        if problem or listed is None:
            found.append(Score(*key, value=None, papers=len(queries), note=problem))
            continue
        own = _listed_classes(labels, levels[-1], listed, queries)
        hits = _among(votes(labels.codes, nearest[:, :RANKS]), own)
        codes = labels.codes[queries]
        on_subsamples = [
            _among(votes(codes[rows], near[:, :RANKS]), [own[row] for row in rows]).mean()
            for rows, near in again
        ]
        by_chance = [
            _among(votes(shuffled(levels, shuffle)[number].codes, nearest[:, :RANKS]), own).mean()
            for shuffle in range(SHUFFLES)
        ]
        found.append(
            measured_again(
                *key,
                value=float(hits.mean()),
                papers=len(queries),
                note=joined(note, labels.note),
                on_subsamples=on_subsamples,
                drawn_from=len(queries),
                chance=float(np.mean(by_chance)),
            )
        )
    return found


def ndcg(
    codes: Sequence[np.ndarray], queries: np.ndarray, nearest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return nDCG@10 (Järvelin & Kekäläinen, 2002) of every query and its mean for random neighbours, float64 (q,).

    The gain of a neighbour is the number of levels whose class it shares. NaN for papers that share no class with
    another.

    Args:
        codes: the classes of the n papers at each level, int (n,); a class lies within one of the level before.
        queries: row numbers (q,).
        nearest: 10 neighbours or more of each query (q, k), the nearest first.
    """
    first = nearest[:, :RANKS]
    gains, best, by_chance = (np.zeros(len(queries)) for _ in range(3))
    sums = np.concatenate([[0.0], np.cumsum(DISCOUNTS)])
    for of_level in codes:
        gains += (of_level[first] == of_level[queries, None]) @ DISCOUNTS
        others = np.bincount(of_level)[of_level[queries]] - 1
        # The best ranking has the papers that share most levels first, so a level adds 1 to its first ranks.
        best += sums[np.minimum(others, RANKS)]
        by_chance += others / (len(of_level) - 1) * sums[-1]
    best[best == 0] = np.nan
    return gains / best, by_chance / best


def _mean_gain(codes: Sequence[np.ndarray], nearest: np.ndarray) -> float:
    """Return the mean nDCG@10 of all papers; NaN with fewer than 10 neighbours each."""
    if nearest.shape[1] < RANKS:
        return float("nan")
    gains = ndcg(codes, np.arange(len(nearest)), nearest)[0]
    return float(gains[np.isfinite(gains)].mean()) if np.isfinite(gains).any() else float("nan")


def _listed_classes(
    labels: Labels, finest: Labels, listed: Sequence[str], queries: np.ndarray
) -> list[set[int]]:
    """Return the classes of a level above the listed classes of every query; names that are no class are left out."""
    above: dict[str, set[int]] = {}
    for low, high in set(zip(finest.codes.tolist(), labels.codes.tolist(), strict=True)):
        above.setdefault(finest.names[low], set()).add(high)
    # The own class is listed too, also where the class above a listed one differs between papers.
    return [
        {int(labels.codes[row])}.union(*(above.get(name, set()) for name in listed[row].split()))
        for row in queries
    ]


def _among(predicted: np.ndarray, classes: Sequence[set[int]]) -> np.ndarray:
    return np.array(
        [one in own for one, own in zip(predicted.tolist(), classes, strict=True)], bool
    )
