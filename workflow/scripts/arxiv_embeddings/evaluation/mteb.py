"""The clustering protocol of MTEB (Muennighoff et al., 2023; mteb 2, AbsTaskClustering) on these papers.

Its task ArXivHierarchicalClusteringP2P clusters title and abstract of 2,048 arXiv papers, as here, and its
score is comparable in kind. It is not the same number: MTEB's papers are others (all archives, until 2020), models with
prompts are given one there, and releases of mteb differ in how many of the 2,048 they keep.
"""

import random
from collections.abc import Sequence

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import v_measure_score
from threadpoolctl import threadpool_limits

from .bootstrap import SEED
from .labels import Labels
from .scores import Score

DOCUMENTS = 2_048
EXPERIMENTS = 10
DRAWS = 16_384  # papers a clustering is given, drawn with replacement
BATCH = 512


def mteb_scores(matrix: np.ndarray, levels: Sequence[Labels]) -> list[Score]:
    """Return the V-measure of MTEB's protocol at each level, and its main score, their mean.

    At most 2,048 papers are drawn once. For each level, ten times: 16,384 draws with replacement, clustered
    by ``MiniBatchKMeans`` (batches of 512, one start) into as many clusters as the level has classes. The
    vectors are taken as the model gives them, not normalised.

    MTEB's lower level is the part of a category behind its dot, so that cs.IT and math.IT are one class,
    and papers of categories without a dot (hep-th) have no part in it. That is followed here, and only here.

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        levels: the classes of the n papers at the two levels, the upper one first.
    """
    draw = random.Random(SEED)  # noqa: S311 - as MTEB draws
    rows = np.array(draw.sample(range(len(matrix)), min(DOCUMENTS, len(matrix))))
    vectors = np.array(matrix[rows])
    upper, lower = (np.array(labels.names)[labels.codes[rows]] for labels in levels)
    runs, found = [], []
    for labels, classes in zip(levels, (upper, lower_classes(upper, lower)), strict=True):
        key = ("MTEB", "MiniBatchKMeans", "v_measure", labels.level)
        taken = np.flatnonzero(classes != "")
        number = len(np.unique(classes[taken]))
        if number < 2:
            found.append(Score(*key, None, len(taken), "omitted: fewer than two classes"))
            continue
        values = _experiments(vectors[taken], classes[taken], number, draw)
        runs.append(values)
        found.append(Score(*key, float(np.mean(values)), len(taken), _note(len(taken), values)))
    key = ("MTEB", "MiniBatchKMeans", "v_measure", "")
    if len(runs) < len(levels):
        return [*found, Score(*key, None, len(rows), "omitted: a level has no score")]
    values = np.concatenate(runs)
    return [*found, Score(*key, float(np.mean(values)), len(rows), _note(len(rows), values))]


def _note(papers: int, values: np.ndarray) -> str:
    return (
        f"{papers:,} papers, {len(values)} clusterings of {DRAWS:,} draws; no interval, their standard "
        f"deviation is {np.std(values):.3f}"
    )


def lower_classes(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return MTEB's classes of the lower level: what stands behind the upper one and a dot, else "".

    Where no class has that form (no arXiv categories), the lower classes as they are.

    Args:
        upper: the names of the upper classes (n,).
        lower: the names of the lower classes (n,).
    """
    prefixes = [f"{name}." for name in upper]
    parts = [
        name.removeprefix(prefix) if name.startswith(prefix) else ""
        for name, prefix in zip(lower, prefixes, strict=True)
    ]
    return np.array(parts) if any(parts) else lower


def _experiments(
    vectors: np.ndarray, classes: np.ndarray, clusters: int, draw: random.Random
) -> np.ndarray:
    """Return the V-measure of every experiment, float64 (EXPERIMENTS,)."""
    values = []
    # One thread: batches are so small that two threads wait for each other. On two cores that others
    # use too, 20 experiments took 5 s with one thread and 114 s with two.
    with threadpool_limits(limits=1):
        for _ in range(EXPERIMENTS):
            drawn = np.array(draw.choices(range(len(vectors)), k=DRAWS))
            model = MiniBatchKMeans(clusters, batch_size=BATCH, n_init=1, random_state=SEED)
            values.append(v_measure_score(classes[drawn], model.fit_predict(vectors[drawn])))
    return np.array(values)
