"""The methods of the benchmark grid: the parameters that a config may set, with the values used without it.

A parameter with the value None has the default of its library. Numbers of dimensions and clusters, seeds and threads are
set by the workflow. A test compares the names with the libraries.
"""

from collections.abc import Iterator
from typing import Any

PARAMETERS: dict[str, dict[str, Any]] = {
    "pca": {"whiten": False, "svd_solver": "auto"},
    # knn: with all-MiniLM-L6-v2 every score of a map of 3,000 papers was best with 5, among 5, 10, 15 and 30. SMACOF,
    # which the PHATE paper uses for its figures, gave as good a map as SGD in a third of the time.
    "phate": {
        "knn": 5,
        "decay": 40,
        "n_pca": 100,
        "n_landmark": 2_000,
        "gamma": 1,
        "t": "auto",
        "mds_solver": "smacof",
    },
    "umap": {
        "n_neighbors": 15,
        "min_dist": 0.1,
        "spread": 1.0,
        "metric": "euclidean",
        "n_epochs": None,
        "learning_rate": 1.0,
        "negative_sample_rate": 5,
        "repulsion_strength": 1.0,
        # The spectral start needs as many eigenvectors as dimensions: minutes for hundreds of them.
        "init": "pca",
    },
    "tsne": {
        "perplexity": 30,
        "early_exaggeration": "auto",
        "early_exaggeration_iter": 250,
        "exaggeration": None,
        "n_iter": 500,
        "learning_rate": "auto",
        "initialization": "pca",
        "metric": "euclidean",
    },
    "pacmap": {"n_neighbors": 10, "MN_ratio": 0.5, "FP_ratio": 2.0, "lr": 1.0, "apply_pca": True},
    "trimap": {
        "n_inliers": 12,
        "n_outliers": 4,
        "n_random": 3,
        "lr": 0.1,
        "n_iters": 400,
        "apply_pca": True,
    },
    "kmeans": {"max_iter": 300, "tol": 1e-4},
    "ward": {},
    "average": {},
    "hdbscan": {"min_cluster_size": 15, "min_samples": 5, "cluster_selection_method": "eom"},
    "diffusion_condensation": {
        "neighbours": 10,
        "threshold": 0.1,
        "iterations": 200,
    },
}


def setting_errors(settings: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with ``evaluation.settings`` of a config whose methods are known."""
    for method, own in settings.items():
        for name in sorted(set(own) - set(PARAMETERS[method])):
            known = ", ".join(PARAMETERS[method]) or "none"
            yield f"evaluation.settings.{method}: unknown parameter {name!r}. Allowed here: {known}."


def with_defaults(method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a method in full: those of ``settings`` over its defaults."""
    return {**PARAMETERS.get(method, {}), **settings}
