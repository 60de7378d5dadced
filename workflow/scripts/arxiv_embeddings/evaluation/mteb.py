"""The clustering protocol of MTEB (Muennighoff et al., 2023; mteb 2, AbsTaskClustering) on these papers.

Its task ArXivHierarchicalClusteringP2P also clusters title and abstract of 2,048 arXiv papers, so the scores
are comparable in kind, but not equal: MTEB uses other papers (all archives, until 2020), passes a prompt to models
that have one, and its releases differ in how many of the 2,048 papers they keep.
"""

import random
import re
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
# Papers per clustering, drawn with replacement.
DRAWS = 16_384
BATCH = 512


def mteb_scores(matrix: np.ndarray, levels: Sequence[Labels]) -> list[Score]:
    """Return the V-measure of MTEB's protocol at each level, and its main score, their mean.

    At most 2,048 papers are drawn once. For each level, ten times: 16,384 draws with replacement, clustered
    by ``MiniBatchKMeans`` (batches of 512, one start) into as many clusters as the level has classes. The
    vectors are used as the model returns them, not normalised.

    MTEB's lower level is the part of a category after its dot, so cs.IT and math.IT are one class, and papers
    of categories without a dot (hep-th) are left out. Only this function follows that definition, and only for two
    levels whose names are like arXiv's.

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        levels: the classes of the n papers, the coarsest first.
    """
    draw = random.Random(SEED)  # noqa: S311 - as MTEB draws
    rows = np.array(draw.sample(range(len(matrix)), min(DOCUMENTS, len(matrix))))
    vectors = np.array(matrix[rows])
    names = [np.array(labels.names)[labels.codes[rows]] for labels in levels]
    if len(levels) == 2:
        names[1] = lower_classes(*names)
    runs, chances, found = [], [], []
    for labels, classes in zip(levels, names, strict=True):
        key = ("MTEB", "MiniBatchKMeans", "v_measure", labels.level)
        taken = np.flatnonzero(classes != "")
        number = len(np.unique(classes[taken]))
        if number < 2:
            problem = "omitted: fewer than two classes"
            found.append(Score(*key, value=None, papers=len(taken), note=problem))
            continue
        values, chance = _experiments(vectors[taken], classes[taken], number, draw)
        runs.append(values)
        chances.append(chance)
        found.append(_mean_score(key, values, len(taken), chance))
    key = ("MTEB", "MiniBatchKMeans", "v_measure", "")
    if len(runs) < len(levels):
        problem = "omitted: a level has no score"
        return [*found, Score(*key, value=None, papers=len(rows), note=problem)]
    return [*found, _mean_score(key, np.concatenate(runs), len(rows), float(np.mean(chances)))]


def _mean_score(
    key: tuple[str, str, str, str], values: np.ndarray, papers: int, chance: float
) -> Score:
    note = (
        f"{papers:,} papers, {len(values)} clusterings of {DRAWS:,} draws each, whose standard deviation is "
        f"{np.std(values):.3f}; no bootstrap interval"
    )
    return Score(*key, value=float(np.mean(values)), papers=papers, note=note, chance=chance)


def lower_classes(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return MTEB's classes of the lower level: the part after the upper class and a dot, else "".

    If no class has that form with a letter behind the dot, the corpus is not arXiv, and the lower classes are returned
    unchanged. Classes that are numbered within the upper one (0.1 and 1.1) must not become one class.

    Args:
        upper: the names of the upper classes (n,).
        lower: the names of the lower classes (n,).
    """
    prefixes = [f"{name}." for name in upper]
    parts = [
        name.removeprefix(prefix) if name.startswith(prefix) else ""
        for name, prefix in zip(lower, prefixes, strict=True)
    ]
    return np.array(parts) if any(re.search("[A-Za-z]", part) for part in parts) else lower


def _experiments(
    vectors: np.ndarray, classes: np.ndarray, clusters: int, draw: random.Random
) -> tuple[np.ndarray, float]:
    """Return the V-measure of every experiment, float64 (EXPERIMENTS,), and its mean with the papers' classes shuffled."""
    values, by_chance = [], []
    generator = np.random.default_rng(SEED)
    # One thread: with batches this small, two threads mostly wait for each other. On two shared cores,
    # 20 experiments took 5 s with one thread and 114 s with two.
    with threadpool_limits(limits=1):
        for _ in range(EXPERIMENTS):
            drawn = np.array(draw.choices(range(len(vectors)), k=DRAWS))
            model = MiniBatchKMeans(clusters, batch_size=BATCH, n_init=1, random_state=SEED)
            found = model.fit_predict(vectors[drawn])
            values.append(v_measure_score(classes[drawn], found))
            by_chance.append(v_measure_score(generator.permutation(classes)[drawn], found))
    return np.array(values), float(np.mean(by_chance))
