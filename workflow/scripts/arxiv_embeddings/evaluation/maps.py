"""A map of the vectors in two dimensions: by PHATE, or by PCA where PHATE is not installed."""

import importlib.util
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import PCA

from ..common.errors import InputError
from ..common.files import written_beside
from ..common.versions import versions
from .bootstrap import SEED, subsample
from .geometry import distinct_rows
from .reading import read_json, read_parquet
from .vectors import unit_vectors

log = logging.getLogger(__name__)

# Papers on the map; of more papers, a random sample is mapped.
MAPPED = 100_000
# The defaults of phate 2.0, written down, except for the solver. With 3,000 arXiv papers SMACOF, which the PHATE
# paper uses for its figures, gave as good a map as SGD in a third of the time, and it detects convergence reliably.
# knn: with all-MiniLM-L6-v2 every score of that map was best with 5, among 5, 10, 15 and 30.
SETTINGS = {
    "knn": 5,
    "decay": 40,
    "n_pca": 100,
    "n_landmark": 2_000,
    "gamma": 1,
    "mds_solver": "smacof",
}
# Fewest papers: trustworthiness is defined for more than twice as many papers as neighbours.
LEAST = 21
T_MAX = 100


def make_map(matrix: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the rows that are on the map, their places, and how the map was made.

    The vectors are scaled to length 1. The same vectors give the same map. With 1,024 dimensions PHATE took
    75 s on one core and 0.9 GB for 30,000 papers, 190 s and 1.8 GB for 100,000.

    Args:
        matrix: float32 (n, d), usually memory-mapped; at most ``MAPPED`` rows are read.
        threads: for the neighbour search.

    Returns:
        rows: int64 (m,), sorted.
        places: float64 (m, 2).
        map_report: method ("PHATE" or "PCA"), papers, subsample (m, or None for all), seed, settings and
            diagnostics of the method, seconds and versions, ready for JSON.

    Raises:
        InputError: there are too few papers, a vector is zero or not finite, or all are identical.
    """
    start = time.monotonic()
    papers = len(matrix)
    if papers < LEAST:
        raise InputError(
            f"A map needs at least {LEAST} papers, but the embeddings have {papers}. Raise sample.size."
        )
    rows = subsample(papers, MAPPED)
    if len(rows) < papers:
        log.info("The map shows a random sample of %s of %s papers.", f"{MAPPED:,}", f"{papers:,}")
    vectors = unit_vectors(matrix, rows)
    if distinct_rows(vectors) == 1:
        raise InputError(
            "All vectors of the map are identical. Check the settings of the model and the texts of the papers."
        )
    if importlib.util.find_spec("phate"):
        method, (places, diagnostics) = "PHATE", phate_places(vectors, threads)
    else:
        log.warning(
            "PHATE is not installed, so the map is a projection on two principal components (PCA). For a "
            "PHATE map, run: make phate, then snakemake report --forcerun map_embeddings."
        )
        method, (places, diagnostics) = "PCA", pca_places(vectors)
    if not np.isfinite(places).all():
        unplaced = int((~np.isfinite(places)).any(axis=1).sum())
        raise RuntimeError(f"{method} gave {unplaced} papers a place that is not finite")
    map_report = {
        "method": method,
        "papers": papers,
        "subsample": len(rows) if len(rows) < papers else None,
        "seed": SEED,
        **diagnostics,
        "seconds": round(time.monotonic() - start, 1),
        "versions": versions("numpy", "scipy", "scikit-learn", "phate", "graphtools"),
    }
    return rows, places, map_report


def phate_places(vectors: np.ndarray, threads: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the places (n, 2) that PHATE (Moon et al., 2019) gives vectors (n, d), and its diagnostics.

    The same as ``phate.PHATE(t="auto")``: t is the knee of the von Neumann entropy of the diffusion operator.
    It is computed here so that it can be recorded.

    Returns:
        places: float64 (n, 2).
        diagnostics: ``t``, ``settings``, ``components`` (connected components of the neighbour graph; their
            positions relative to each other mean little), and ``entropy`` (at t = 0 to 99, as phate counts).
    """
    # Not part of every installation: phate is under the GPL 2.
    import phate

    log.info("PHATE: graph, landmarks and diffusion operator of %s papers.", f"{len(vectors):,}")
    operator = phate.PHATE(random_state=SEED, n_jobs=threads, verbose=0, **SETTINGS).fit(vectors)
    log.info("PHATE: choosing the diffusion time t.")
    entropy = phate.vne.compute_von_neumann_entropy(operator.diff_op, t_max=T_MAX)
    t = int(phate.vne.find_knee_point(entropy))
    log.info("PHATE: computing the places with t = %d.", t)
    places = operator.set_params(t=t).transform()
    return np.asarray(places, dtype=np.float64), {
        "t": t,
        "settings": SETTINGS,
        "components": int(operator.graph.n_connected_components),
        "entropy": [round(float(value), 4) for value in entropy],
    }


def pca_places(vectors: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the places (n, 2) of vectors (n, d) on their first two principal components.

    Returns:
        places: float64 (n, 2).
        diagnostics: ``t`` (None: PCA has none) and ``explained_variance``, the share of each component.
    """
    log.info("PCA of %s papers.", f"{len(vectors):,}")
    pca = PCA(n_components=2, random_state=SEED)
    places = pca.fit_transform(vectors).astype(np.float64)
    return places, {"t": None, "explained_variance": pca.explained_variance_ratio_.tolist()}


def write_map(path: Path, rows: np.ndarray, places: np.ndarray) -> None:
    """Write a map as a Parquet file: ``row`` (int64), ``x`` and ``y`` (float64)."""
    table = pa.table({"row": rows, "x": places[:, 0], "y": places[:, 1]})
    with written_beside(path) as partial:
        pq.write_table(table, partial)


def read_map(path: Path, map_report: Path, papers: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the rows (m,) and places (m, 2) of a map that ``write_map`` wrote, and its method.

    Args:
        path: the Parquet file.
        map_report: the JSON file that records how the map was made.
        papers: rows of the embeddings.

    Raises:
        InputError: a file is missing or damaged, or the map belongs to other embeddings.
    """
    table = read_parquet(path, ["row", "x", "y"])
    rows, x, y = (table[name].to_numpy() for name in table.column_names)
    report = read_json(map_report)
    try:
        method, mapped = str(report["method"]), int(report["papers"])
        shown = int(report["subsample"] or mapped)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{map_report} does not record how a map was made ({error!r}). Delete it and run again."
        ) from error
    if mapped != papers or len(rows) != shown:
        raise InputError(
            f"{path} is not a map of these embeddings: it shows {len(rows):,} of {mapped:,} papers, but the "
            f"embeddings have {papers:,}. Delete it and run again."
        )
    return rows, np.column_stack([x, y]), method
