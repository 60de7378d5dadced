"""Scores of the space itself: nearest neighbours, silhouettes, mean cosine, and correlation with text length."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sklearn
from scipy.stats import rankdata
from sklearn.metrics import silhouette_score

from .bootstrap import (
    SHUFFLES,
    bootstrap,
    subsample,
    subsample_note,
    subsamples,
)
from .labels import Labels, shuffled
from .neighbours import (
    METHOD,
    NEIGHBOURS,
    accuracies,
    metrics_of,
    nearest_papers,
)
from .probe import METHOD as PROBE
from .probe import probe_scores
from .retrieval import retrieval_scores
from .scores import Score, joined, measured, measured_again
from .vectors import unit_vectors

log = logging.getLogger(__name__)

# Papers whose nearest neighbours among all papers are scored.
QUERIES = 30_000
# Papers whose cosines are computed in pairs.
PAIRED = 30_000
# Papers whose silhouettes are computed, among one another.
SILHOUETTES = 5_000


def space_scores(
    matrix: np.ndarray,
    levels: Sequence[Labels],
    lengths: np.ndarray,
    nearest: np.ndarray,
    listed: Sequence[str] | None = None,
) -> list[Score]:
    """Return the scores of the family "space".

    Memory and time grow with n up to 30,000 papers (1.3 GB and about a minute on one core, measured with 1,024
    dimensions); of more papers, a sample is scored.

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        levels: the classes of the n papers at each level.
        lengths: int64 (n,), characters of each text.
        nearest: the neighbours of every paper, as ``nearest_papers`` returns them.
        listed: all classes of the finest level that each paper lists, separated by spaces (n,); None if unknown.

    Raises:
        InputError: a vector is zero or not finite.
    """
    papers = len(matrix)
    rows = subsample(papers, PAIRED)
    vectors = unit_vectors(matrix, rows)
    if papers == 1:
        return _omitted(levels, papers, "omitted: there is only one paper")
    distinct = distinct_rows(vectors)
    if distinct == 1:
        log.warning("All vectors are identical, so the space has no scores.")
        return _omitted(levels, len(rows), "omitted: all vectors are identical")
    shared = len(rows) - distinct
    note = joined(
        subsample_note(len(rows), papers),
        f"{shared} papers have the same vector as another" if shared else "",
    )
    found = _pair_scores(vectors, lengths[rows], note)
    part = subsample(len(rows), SILHOUETTES)
    for labels in levels:
        found.append(silhouette(vectors[part], labels.at(rows[part]), papers))
    log.info("Training linear probes on %s papers.", f"{len(rows):,}")
    found += probe_scores(vectors, [labels.at(rows) for labels in levels], note)
    del vectors
    queries = subsample(papers, QUERIES)
    log.info("Finding the nearest papers again in subsamples.")
    of_queries: dict[str, Any] = {
        "queries": queries,
        "nearest": nearest[queries],
        "again": [
            (rows, nearest_papers(matrix[queries[rows]])) for rows in subsamples(len(queries))
        ],
        "note": note,
    }
    found += accuracies(levels, family="space", **of_queries)
    return found + retrieval_scores(levels, listed=listed, **of_queries)


def _omitted(levels: Sequence[Labels], papers: int, note: str) -> list[Score]:
    """Return all scores of the family without a value."""
    keys = [("cosine", "mean_cosine", ""), ("cosine", "length_correlation", "")]
    keys += [(PROBE, "probe_hierarchical_f1", ""), (METHOD, "ndcg_at_10", "")]
    for labels in levels:
        keys += [("cosine", "silhouette", labels.level), (PROBE, "probe_accuracy", labels.level)]
        of_neighbours = [metric for k in NEIGHBOURS for metric in metrics_of(k)]
        of_neighbours += ["ndcg_at_10", "any_listed_accuracy_at_10"]
        keys += [(METHOD, metric, labels.level) for metric in of_neighbours]
    return [Score("space", *key, value=None, papers=papers, note=note) for key in keys]


def distinct_rows(vectors: np.ndarray) -> int:
    """Return how many rows of (n, d) differ from one another in at least one bit."""
    return len({hashlib.blake2b(row.data, digest_size=16).digest() for row in vectors})


def read_lengths(path: Path) -> np.ndarray:
    """Return the characters of every text (column ``topic``) in a Parquet file of papers, int64 (n,)."""
    with pq.ParquetFile(path) as file:
        batches = [
            pc.utf8_length(batch["topic"]).to_numpy(zero_copy_only=False)
            for batch in file.iter_batches(columns=["topic"])
        ]
    return np.concatenate(batches).astype(np.int64) if batches else np.empty(0, dtype=np.int64)


def read_listed(path: Path) -> list[str] | None:
    """Return the column ``categories`` of a Parquet file of papers; None if it has no such column."""
    if "categories" not in pq.read_schema(path).names:
        return None
    listed: list[str | None] = pq.read_table(path, columns=["categories"])["categories"].to_pylist()
    return [names or "" for names in listed]


def _pair_scores(vectors: np.ndarray, lengths: np.ndarray, note: str) -> list[Score]:
    """Return the mean cosine of all pairs of papers, and the correlation of cosines and text lengths."""
    papers = len(vectors)
    mean = measured(
        *("space", "cosine", "mean_cosine", ""),
        value=mean_cosine(vectors, np.ones(papers)),
        papers=papers,
        note=note,
        replicates=bootstrap(papers, lambda counts: mean_cosine(vectors, counts)),
    )
    key = ("space", "cosine", "length_correlation", "")
    if len(np.unique(lengths)) == 1:
        problem = "omitted: all texts have the same length"
        return [mean, Score(*key, value=None, papers=papers, note=problem)]
    central = centrality(vectors)
    correlation = measured(
        *key,
        value=spearman(central, lengths, np.ones(papers, dtype=np.int64)),
        papers=papers,
        note=note,
        replicates=bootstrap(papers, lambda counts: spearman(central, lengths, counts)),
    )
    return [mean, correlation]


def mean_cosine(vectors: np.ndarray, counts: np.ndarray) -> float:
    """Return the mean cosine of all pairs of different papers, the expected cosine of a random pair.

    Near 0 the vectors point in all directions; near 1 they fill a narrow cone (anisotropy; Ethayarajh, 2019,
    "How contextual are contextualized word representations?"). No pair is computed: the cosines of all
    pairs, including those of a paper with itself, add up to the squared length of the sum of the vectors.

    Args:
        vectors: float32 (n, d), of length 1.
        counts: how often each paper counts (n,). Copies of one paper are not a pair.

    Returns:
        NaN if only one paper counts.
    """
    total = counts.astype(np.float32) @ vectors
    weights = counts.astype(np.float64)
    itself = weights @ weights
    pairs = weights.sum() ** 2 - itself
    if not pairs:
        return float("nan")
    return float((total.astype(np.float64) @ total - itself) / pairs)


def centrality(vectors: np.ndarray) -> np.ndarray:
    """Return the mean cosine of every paper to all others, float64 (n,), of vectors (n, d) of length 1."""
    total = vectors.sum(axis=0, dtype=np.float64).astype(np.float32)
    return np.asarray((vectors @ total - 1.0) / (len(vectors) - 1), dtype=np.float64)


def spearman(values: np.ndarray, others: np.ndarray, counts: np.ndarray) -> float:
    """Return Spearman's rank correlation of two values per paper, each paper counted ``counts`` times.

    Equals ``scipy.stats.spearmanr`` of the repeated values; NaN where one of them is constant.

    The length correlation is that of a paper's mean cosine to all others (``centrality``) and the length of
    its text. It reveals vectors that are a mean over padding: padding pulls every vector towards its own
    vector, and shorter texts have more of it, so a shorter text is closer to all others. With all-MiniLM-L6-v2
    and batches of 32 in random order, 3,000 arXiv papers give -0.90 for the mean over padding and -0.10 for
    the mean over the text's own tokens. The first principal component was tried in place of the centrality
    and separates the two less well (0.92 and 0.45): it shows subjects first, and their abstracts differ in
    length.
    """
    repeated = np.repeat(np.arange(len(counts)), counts)
    ranks = [rankdata(part[repeated]) for part in (values, others)]
    if any(np.ptp(part) == 0 for part in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def silhouette(vectors: np.ndarray, labels: Labels, papers: int) -> Score:
    """Return the mean silhouette (Rousseeuw, 1987) of vectors (n, d) in the classes ``labels``, by cosine.

    The only paper of a class has the silhouette 0. The silhouettes are computed again on subsamples; a bootstrap of the papers'
    silhouettes would leave out that they depend on one another.

    Args:
        vectors: float32, of length 1.
        labels: the classes of these n papers.
        papers: the number of papers they were drawn from.
    """
    key = ("space", "cosine", "silhouette", labels.level)
    if labels.problem:
        return Score(*key, value=None, papers=len(vectors), note=labels.problem)
    on_subsamples = [
        _mean_silhouette(vectors[rows], labels.at(rows)) for rows in subsamples(len(vectors))
    ]
    return measured_again(
        *key,
        value=_mean_silhouette(vectors, labels),
        papers=len(vectors),
        note=joined(subsample_note(len(vectors), papers), labels.note),
        on_subsamples=on_subsamples,
        drawn_from=len(vectors),
        chance=float(
            np.mean(
                [
                    _mean_silhouette(vectors, shuffled([labels], number)[0])
                    for number in range(SHUFFLES)
                ]
            )
        ),
    )


def _mean_silhouette(vectors: np.ndarray, labels: Labels) -> float:
    if labels.problem or len(labels.names) >= len(vectors):
        return float("nan")
    # In MiB.
    with sklearn.config_context(working_memory=256):
        return float(silhouette_score(vectors, labels.codes, metric="cosine"))
