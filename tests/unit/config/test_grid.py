"""The names of the grid's reductions, maps and cells, as they follow from the config."""

import json
from typing import Any

import pytest
from arxiv_embeddings.config import grid

BENCHMARK: dict[str, Any] = {
    "dimensions": 300,
    "reductions": ["none", "pca", "phate", "umap", "tsne", "pacmap", "trimap"],
    "clusterings": ["kmeans", "ward", "hdbscan", "diffusion_condensation"],
    "maps": ["pca", "phate", "umap", "tsne", "pacmap", "trimap"],
    "settings": {"umap": {"n_neighbors": 10, "min_dist": 0.05}},
}


def test_the_whole_benchmark() -> None:
    assert grid.reduction_names(BENCHMARK) == [
        *("none", "pca-300", "phate-300", "umap-300", "tsne-2", "pacmap-300", "trimap-300"),
    ]
    assert len(grid.cells(BENCHMARK)) == 28
    assert grid.map_names(BENCHMARK) == [f"{method}-2" for method in BENCHMARK["maps"]]


@pytest.mark.parametrize(
    ("dimensions", "reductions", "names"),
    [
        (2, ["none", "pca"], ["none", "pca-2"]),
        ([2, 10, 300], ["none", "pca"], ["none", "pca-2", "pca-10", "pca-300"]),
        # t-SNE has two dimensions, however many are asked for, and one where one is.
        ([10, 300], ["tsne"], ["tsne-2"]),
        ([1, 10], ["tsne"], ["tsne-1", "tsne-2"]),
    ],
)
def test_dimensions(dimensions: Any, reductions: list[str], names: list[str]) -> None:
    config = {**BENCHMARK, "dimensions": dimensions, "reductions": reductions}
    assert grid.reduction_names(config) == names


@pytest.mark.parametrize(
    ("name", "method", "dimensions"),
    [("none", "none", 0), ("pca-300", "pca", 300), ("tsne-2", "tsne", 2)],
)
def test_parts_of_a_name(name: str, method: str, dimensions: int) -> None:
    assert (grid.method_of(name), grid.dimensions_of(name)) == (method, dimensions)


def test_settings_of_a_method() -> None:
    assert json.loads(grid.settings_json(BENCHMARK, "umap")) == {
        "n_neighbors": 10,
        "min_dist": 0.05,
    }
    assert grid.settings_json(BENCHMARK, "ward") == "{}"


def test_optional_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not grid.is_installed("phate")
    assert not grid.is_installed("trimap")
    assert grid.is_installed("umap")


def test_every_file_of_scores_is_named_once() -> None:
    options = grid.grid_options(["a", "b"], BENCHMARK, "results/x")
    assert len(options) == 2 * (1 + 6 + 28)
    assert [
        "--cell",
        "b",
        "tsne-2",
        "ward",
        "results/x/b/evaluation/cells/tsne-2/ward-scores.parquet",
    ] in options
    assert ["--map", "a", "tsne-2", "results/x/a/evaluation/maps/tsne-2-scores.parquet"] in options
    assert ["--space", "a", "results/x/a/evaluation/space-scores.parquet"] in options
    files = [option[-1] for option in options]
    assert len(set(files)) == len(files)
