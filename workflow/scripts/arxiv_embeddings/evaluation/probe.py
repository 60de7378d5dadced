"""How much of the labels a linear classifier finds in the vectors."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import RidgeClassifier

from .bootstrap import SEED, subsamples
from .labels import Labels, paths
from .scores import Score, joined, measured_again

METHOD = "linear probe"
FOLDS = 5
# Of the ridge, for vectors of length 1.
ALPHA = 1.0
# Fewer papers leave too few of a class in a fold.
LEAST = 50


def probe_scores(vectors: np.ndarray, levels: Sequence[Labels], note: str) -> list[Score]:
    """Return the accuracy of a linear probe at every level, and its hierarchical F1.

    A ridge classifier (least squares on classes as 1 and -1) learns the finest classes from four fifths of the papers and
    predicts those of the last fifth, in turn. Least squares needs seconds where logistic regression needs minutes. The class
    at a level is the one above the predicted. The hierarchical F1 (Kiritchenko et al., 2006) compares predicted
    and true classes together with all classes above them; as every path has the same length, it is the mean share
    of the path that is right. For the intervals, classifiers learn again from each subsample.

    Args:
        vectors: float32 (n, d), of length 1.
        levels: the classes of the n papers, the coarsest first.
        note: of the scores.
    """
    papers = len(vectors)
    keys = [("space", METHOD, "probe_accuracy", labels.level) for labels in levels]
    keys.append(("space", METHOD, "probe_hierarchical_f1", ""))
    problem = ""
    if papers < LEAST:
        problem = f"omitted: fewer than {LEAST} papers"
    elif all(len(labels.names) < 2 for labels in levels):
        problem = "omitted: the finest level has fewer than two classes"
    if problem:
        return [Score(*key, value=None, papers=papers, note=problem) for key in keys]
    values, chances = _shares(vectors, levels)
    on_subsamples = [
        _shares(vectors[rows], [labels.at(rows) for labels in levels])[0]
        for rows in subsamples(papers)
    ]
    return [
        measured_again(
            *key,
            value=value,
            papers=papers,
            note=joined(note, f"{FOLDS} folds"),
            on_subsamples=of_key,
            drawn_from=papers,
            chance=chance,
        )
        for key, value, of_key, chance in zip(
            keys, values, np.array(on_subsamples).T, chances, strict=True
        )
    ]


def _shares(vectors: np.ndarray, levels: Sequence[Labels]) -> tuple[list[float], list[float]]:
    """Return the shares of papers whose predicted class is right at every level, and their mean; and those by chance."""
    down = paths(levels)
    finest = down[-1]
    # A paper of every path, for the classes above it.
    example = np.unique(finest, return_index=True)[1]
    predicted = example[predict(vectors, finest)]
    hits = [float((codes == codes[predicted]).mean()) for codes in down]
    chances = [_chance(codes, codes[predicted]) for codes in down]
    return [*hits, float(np.mean(hits))], [*chances, float(np.mean(chances))]


def predict(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the class of every paper as predicted from the papers of the other folds, int (n,).

    Args:
        vectors: float32 (n, d).
        codes: int (n,), two classes or more.
    """
    fold = np.random.default_rng(SEED).permutation(len(vectors)) % FOLDS
    predicted = np.empty_like(codes)
    for held_out in range(FOLDS):
        known = fold != held_out
        if len(np.unique(codes[known])) < 2:
            predicted[~known] = codes[known][0]
            continue
        model = RidgeClassifier(alpha=ALPHA, solver="cholesky").fit(vectors[known], codes[known])
        predicted[~known] = model.predict(vectors[~known])
    return predicted


def _chance(codes: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of hits expected if the classes are shuffled."""
    classes = max(codes.max(), predicted.max()) + 1
    true, told = (np.bincount(part, minlength=classes) / len(part) for part in (codes, predicted))
    return float(true @ told)
