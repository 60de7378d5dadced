"""The snippets of docs/use.md run on a result."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from support.made_result import PAPERS, dataset_options, make_result

PAGE = (Path(__file__).parents[3] / "docs/use.md").read_text()
# Each snippet with its name, and the text between both.
SNIPPETS = re.findall(
    r"^\*\*([^*]+)\*\*([^`]*(?:`[^`\n]+`[^`]*)*)^```python\n(.*?)^```", PAGE, re.M | re.S
)
CODE = {name: code for name, _, code in SNIPPETS}


@pytest.fixture
def result(
    script: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The folder of the result that the snippets name, in the working folder."""
    folder = tmp_path / "results/arxiv/qwen3-embedding-0.6b"
    make_result(folder)
    done = script(*dataset_options(folder))
    assert done.returncode == 0, done.stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_no_snippet_is_left_out() -> None:
    assert len(CODE) == PAGE.count("```python")


@pytest.mark.usefixtures("result")
@pytest.mark.parametrize("name", CODE)
def test_snippet_runs(name: str) -> None:
    if name == "Lance":
        pytest.importorskip("lance")
    mpl.use("agg")
    found: dict[str, Any] = {}
    exec(CODE[name], found)  # noqa: S102
    if "papers" in found:
        assert len(found["papers"]) == PAPERS
