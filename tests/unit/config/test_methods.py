"""The parameters of the methods are those of their libraries."""

import importlib
import inspect

import pytest
from arxiv_embeddings.config.grid import INSTALLED_BY
from arxiv_embeddings.config.methods import PARAMETERS, setting_errors, with_defaults

CLASSES = {
    "pca": ("sklearn.decomposition", "PCA"),
    "phate": ("phate", "PHATE"),
    "umap": ("umap", "UMAP"),
    "tsne": ("openTSNE", "TSNE"),
    "pacmap": ("pacmap", "PaCMAP"),
    "trimap": ("trimap", "TRIMAP"),
    "kmeans": ("sklearn.cluster", "KMeans"),
    "hdbscan": ("hdbscan", "HDBSCAN"),
    "diffusion_condensation": ("arxiv_embeddings.evaluation.condensation", "condense"),
}


@pytest.mark.parametrize("method", CLASSES)
def test_a_library_takes_the_parameters(method: str) -> None:
    module, name = CLASSES[method]
    if method in INSTALLED_BY:
        pytest.importorskip(module)
    taken = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    assert set(PARAMETERS[method]) <= set(taken)


def test_methods_without_a_library_have_no_parameters() -> None:
    assert {method for method, own in PARAMETERS.items() if not own} == {"ward", "average"}
    assert set(PARAMETERS) - set(CLASSES) == {"ward", "average"}


def test_unknown_parameters_are_told_with_the_known_ones() -> None:
    errors = list(
        setting_errors({"umap": {"n_neighbours": 3}, "ward": {"metric": "cosine"}, "pca": {}})
    )
    assert len(errors) == 2
    assert (
        "evaluation.settings.umap: unknown parameter 'n_neighbours'. Allowed here: n_neighbors,"
        in errors[0]
    )
    assert errors[1] == "evaluation.settings.ward: unknown parameter 'metric'. Allowed here: none."


def test_settings_go_over_the_defaults() -> None:
    assert with_defaults("hdbscan", {"min_samples": 9})["min_samples"] == 9
    assert with_defaults("hdbscan", {})["min_samples"] == PARAMETERS["hdbscan"]["min_samples"]
    assert with_defaults("none", {}) == {}
