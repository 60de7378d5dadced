"""The library can be installed for notebooks: its version, its dependencies and its files."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
LIBRARY = ROOT / "workflow/scripts/arxiv_embeddings"
EVALUATION = ("evaluation", "report")
# Installed on request: `make phate`, which is under the GPL, `make trimap`, and cuML where there is a GPU.
OPTIONAL = {"phate", "trimap", "cuml"}


def imported(module: Path) -> Iterator[str]:
    """Yield the top-level names of the packages that ``module`` imports, the standard library left out."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        else:
            continue
        yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names


def test_version_is_the_newest_of_the_changelog() -> None:
    versions = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == PROJECT["version"]


@pytest.mark.parametrize("evaluation", [False, True])
def test_every_import_is_declared_and_nothing_else(evaluation: bool) -> None:
    distributions = packages_distributions()
    used = {
        re.sub(r"[-_.]+", "-", distributions[name][0]).lower()
        for module in LIBRARY.rglob("*.py")
        if (module.relative_to(LIBRARY).parts[0] in EVALUATION) == evaluation
        for name in set(imported(module)) - OPTIONAL
    }
    base = set(PROJECT["dependencies"])
    extra = set(PROJECT["optional-dependencies"]["evaluation"])
    assert used - (base if evaluation else set()) == (extra if evaluation else base)


def test_packages_and_files_of_the_library_are_included() -> None:
    """Setuptools finds only folders with an ``__init__.py``."""
    files = [file for file in LIBRARY.rglob("*.*") if file.is_file() and file.suffix != ".pyc"]
    assert all((file.parent / "__init__.py").is_file() for file in files)
    patterns = {f"*{file.suffix}" for file in files} - {"*.py"}
    assert patterns == set(PYPROJECT["tool"]["setuptools"]["package-data"]["*"])
