"""Reductions: fewer dimensions for the vectors, by PCA, PHATE, UMAP, t-SNE, PaCMAP or TriMAP.

The libraries are imported where they are used: some compile code for seconds, and some are optional.
"""

import importlib.util
import logging
import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from ..common.errors import InputError
from ..common.versions import versions
from ..config.grid import INSTALLED_BY, MOST_DIMENSIONS, NONE
from ..config.methods import with_defaults

log = logging.getLogger(__name__)

# Fewer papers have too few neighbours for most methods.
LEAST = 21
LIBRARIES = {
    "pca": ("scikit-learn",),
    "phate": ("phate", "graphtools"),
    "umap": ("umap-learn", "pynndescent", "numba"),
    "tsne": ("openTSNE",),
    "pacmap": ("pacmap", "numba"),
    "trimap": ("trimap", "numba"),
}
T_MAX = 100

Reduced = tuple[np.ndarray, dict[str, Any]]


def reduce(
    vectors: np.ndarray,
    method: str,
    dimensions: int,
    *,
    seed: int,
    settings: dict[str, Any],
    threads: int,
) -> Reduced:
    """Return the vectors with fewer dimensions, and how they were made.

    The same vectors and seed give the same result on the same machine with the same number of threads.

    Args:
        vectors: float32 (n, d), of length 1.
        method: of ``METHODS``, or "none", which returns the vectors as they are.
        dimensions: how many are wanted.
        seed: for methods that draw at random.
        settings: parameters other than the defaults in ``config/methods.py``.
        threads: for methods that can use several.

    Returns:
        float32 (n, dimensions), and a report ready for JSON: method, papers, dimensions, seed, settings in full, what
        the method says of itself, seconds, peak_bytes (of the process) and versions.

    Raises:
        InputError: the method is not installed, there are too few papers or dimensions, all vectors are identical, the
            settings are refused by the method, or it gave numbers that are not finite.
    """
    start = time.monotonic()
    papers, had = vectors.shape
    full = with_defaults(method, settings)
    if method == NONE:
        made, own = vectors, dict[str, Any]()
    else:
        _check(vectors, method, dimensions)
        log.info("%s of %s papers: %d to %d dimensions.", method, f"{papers:,}", had, dimensions)
        try:
            made, own = METHODS[method](vectors, dimensions, seed, full, threads)
        except (TypeError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise InputError(f"{method} failed on these vectors and settings: {error}") from error
    made = np.ascontiguousarray(made, dtype=np.float32)
    if bad := int((~np.isfinite(made)).any(axis=1).sum()):
        raise InputError(f"{method} gave {bad:,} of {papers:,} papers places that are not finite")
    return made, {
        "method": method,
        "papers": papers,
        "dimensions": made.shape[1],
        "seed": seed,
        "settings": full,
        **own,
        "seconds": round(time.monotonic() - start, 1),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "versions": versions("numpy", "scipy", *LIBRARIES.get(method, ())),
    }


def _check(vectors: np.ndarray, method: str, dimensions: int) -> None:
    papers, had = vectors.shape
    if not importlib.util.find_spec({"tsne": "openTSNE", "pca": "sklearn"}.get(method, method)):
        raise InputError(
            f"{method} is not installed. Run: {INSTALLED_BY.get(method, 'make install')}"
        )
    if papers < LEAST:
        raise InputError(f"{method} needs at least {LEAST} papers, but there are {papers}")
    if dimensions > (most := MOST_DIMENSIONS.get(method, min(papers - 1, had))):
        raise InputError(
            f"{method} cannot give {dimensions} dimensions of {papers:,} vectors with {had}: at most {most}"
        )
    if (vectors == vectors[0]).all():
        raise InputError(f"{method} cannot reduce identical vectors")


def _pca(
    vectors: np.ndarray, dimensions: int, seed: int, settings: dict[str, Any], threads: int
) -> Reduced:
    pca = PCA(dimensions, random_state=seed, **settings)
    made = pca.fit_transform(vectors)
    shares = pca.explained_variance_ratio_
    return made, {
        "explained_variance": round(float(shares.sum()), 4),
        "explained_variance_by_component": [round(float(share), 5) for share in shares[:10]],
    }


def _phate(
    vectors: np.ndarray, dimensions: int, seed: int, settings: dict[str, Any], threads: int
) -> Reduced:
    """PHATE (Moon et al., 2019). t is chosen here, as ``phate`` does for "auto", so that it can be recorded."""
    import phate

    operator = phate.PHATE(
        dimensions, random_state=seed, n_jobs=threads, verbose=0, **settings
    ).fit(vectors)
    own: dict[str, Any] = {"components": int(operator.graph.n_connected_components)}
    if settings["t"] == "auto":
        entropy = phate.vne.compute_von_neumann_entropy(operator.diff_op, t_max=T_MAX)
        operator.set_params(t=int(phate.vne.find_knee_point(entropy)))
        own["entropy"] = [round(float(value), 4) for value in entropy]
    own["t"] = operator.t
    return operator.transform(), own


def _umap(
    vectors: np.ndarray, dimensions: int, seed: int, settings: dict[str, Any], threads: int
) -> Reduced:
    import umap

    with warnings.catch_warnings():
        # With a seed UMAP uses one thread, and says so each time.
        warnings.filterwarnings("ignore", message="n_jobs value")
        model = umap.UMAP(n_components=dimensions, random_state=seed, **settings)
        return model.fit_transform(vectors), {"threads": 1}


def _tsne(
    vectors: np.ndarray, dimensions: int, seed: int, settings: dict[str, Any], threads: int
) -> Reduced:
    import openTSNE

    model = openTSNE.TSNE(dimensions, random_state=seed, n_jobs=threads, **settings)
    made = model.fit(vectors)
    return np.asarray(made), {"kl_divergence": round(float(made.kl_divergence), 4)}


def _pacmap(
    vectors: np.ndarray, dimensions: int, seed: int, settings: dict[str, Any], threads: int
) -> Reduced:
    import pacmap

    # It refuses to reduce by PCA first, to 100 dimensions, where more are wanted.
    settings = {**settings, "apply_pca": settings["apply_pca"] and dimensions <= 100}
    model = pacmap.PaCMAP(dimensions, random_state=seed, **settings)
    return model.fit_transform(vectors, init="pca"), {"settings": settings, "threads": "all"}


def _trimap(
    vectors: np.ndarray, dimensions: int, seed: int, settings: dict[str, Any], threads: int
) -> Reduced:
    import trimap

    # It has no seed of its own.
    np.random.seed(seed)
    model = trimap.TRIMAP(dimensions, verbose=False, **settings)
    return model.fit_transform(vectors), {
        "reproducible": "no: the library draws triplets in threads without a seed"
    }


METHODS: dict[str, Callable[[np.ndarray, int, int, dict[str, Any], int], Reduced]] = {
    "pca": _pca,
    "phate": _phate,
    "umap": _umap,
    "tsne": _tsne,
    "pacmap": _pacmap,
    "trimap": _trimap,
}
