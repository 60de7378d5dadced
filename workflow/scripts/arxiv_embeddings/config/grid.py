"""The benchmark grid that the config asks for: its reductions, maps and cells by name.

A reduction is called by its method and its number of dimensions, such as ``pca-300``; the vectors themselves are
called ``none``. A map is a reduction to two dimensions. A cell is a reduction and a clustering of it.
"""

import importlib.util
import itertools
import json
from collections.abc import Sequence
from typing import Any

NONE = "none"
MAP_DIMENSIONS = 2
# Methods that give no more dimensions than this.
MOST_DIMENSIONS = {"tsne": 2}
# Methods whose library is installed on request only, by this command.
INSTALLED_BY = {"phate": "make phate", "trimap": "make trimap"}


def reduction_names(evaluation: dict[str, Any]) -> list[str]:
    """Return the names of the reductions that are clustered, in the order of the config."""
    asked = evaluation["dimensions"]
    numbers = asked if isinstance(asked, list) else [asked]
    names = (_name(method, number) for method in evaluation["reductions"] for number in numbers)
    return list(dict.fromkeys(names))


def map_names(evaluation: dict[str, Any]) -> list[str]:
    """Return the names of the reductions that are maps, in the order of the config."""
    return [_name(method, MAP_DIMENSIONS) for method in evaluation["maps"]]


def cells(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the cells of a model: names of the reduction and of the clustering."""
    return list(itertools.product(reduction_names(evaluation), evaluation["clusterings"]))


def _name(method: str, dimensions: int) -> str:
    if method == NONE:
        return NONE
    return f"{method}-{min(dimensions, MOST_DIMENSIONS.get(method, dimensions))}"


def method_of(reduction: str) -> str:
    """Return the method of the reduction with this name."""
    return reduction.partition("-")[0]


def dimensions_of(reduction: str) -> int:
    """Return to how many dimensions the reduction with this name brings the vectors; 0 if it keeps all."""
    return int(reduction.partition("-")[2] or 0)


def settings_json(evaluation: dict[str, Any], method: str) -> str:
    """Return the parameters that the config sets for a method, as one line of JSON."""
    return json.dumps(evaluation["settings"].get(method, {}), sort_keys=True)


def is_installed(method: str) -> bool:
    """Return whether the library of a method that is installed on request is there; True for all others."""
    return method not in INSTALLED_BY or importlib.util.find_spec(method) is not None


def grid_options(models: Sequence[str], evaluation: dict[str, Any], folder: str) -> list[list[str]]:
    """Return the options of ``compare_models.py`` that name every file of scores, one list for each file.

    Args:
        models: the labels.
        evaluation: the section of the config, with its defaults.
        folder: of the results of all models.
    """
    options = []
    for model in models:
        own = f"{folder}/{model}/evaluation"
        options.append(["--space", model, f"{own}/space-scores.parquet"])
        for name in map_names(evaluation):
            options.append(["--map", model, name, f"{own}/maps/{name}-scores.parquet"])
        for reduction, clustering in cells(evaluation):
            scores = f"{own}/cells/{reduction}/{clustering}-scores.parquet"
            options.append(["--cell", model, reduction, clustering, scores])
    return options


def map_options(models: Sequence[str], evaluation: dict[str, Any], folder: str) -> list[list[str]]:
    """Return the options of ``draw_comparison.py`` that name every map and its Shepard diagram; see ``grid_options``."""
    return [
        [
            *("--map", model, name, f"{folder}/{model}/evaluation/reductions/{name}.npy"),
            f"{folder}/{model}/evaluation/maps/{name}-shepard.parquet",
        ]
        for model in models
        for name in map_names(evaluation)
    ]
