"""What the rules ask of a config before anything runs."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.config.derived import (
    category_prefixes,
    format_options,
    same_input,
    snapshot_bytes,
    summary,
)

WOS: dict[str, Any] = {"name": "wos", "format": "wos"}
COLUMNS = {"id": "it's {no}", "text": ["a b", "é"], "category 1": "$x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Web of Science set of 6 bytes."""
    for size, name in enumerate(("X.txt", "YL1.txt", "YL2.txt"), start=1):
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "Y.txt").write_bytes(bytes(100))
    return tmp_path


@pytest.mark.parametrize("key", [{}, {"format": "arxiv"}])
def test_nothing_is_added_to_the_command_for_arxiv(key: dict[str, str]) -> None:
    """Else Snakemake would take the command for changed, and embed finished results again."""
    corpus = {"name": "arxiv", "categories": ["cs.", "physics."], **key}
    assert format_options(corpus) == ""
    assert category_prefixes(corpus) == ["cs.", "physics."]


def test_format_options_are_those_of_the_command() -> None:
    assert format_options(WOS) == " --format wos"
    words = shlex.split(format_options({"name": "a", "format": "table", "columns": COLUMNS}))
    assert words[:3] == ["--format", "table", "--columns"]
    assert json.loads(words[3]) == COLUMNS


@pytest.mark.parametrize("corpus", [WOS, {**WOS, "categories": "all"}])
def test_all_categories_need_no_beginning(corpus: dict[str, Any]) -> None:
    assert category_prefixes(corpus) == []


def test_size_of_a_folder_is_that_of_its_three_files(folder: Path) -> None:
    assert snapshot_bytes(folder, WOS) == 6
    assert snapshot_bytes(folder / "Y.txt", {"name": "arxiv"}) == 100


def test_report_of_other_categories_or_bytes_is_of_another_input(folder: Path) -> None:
    report = {"snapshot": {"bytes": 6}, "categories": []}
    assert same_input(report, folder, WOS)
    assert not same_input(report, folder, {**WOS, "categories": ["1."]})
    (folder / "YL1.txt").write_bytes(bytes(3))
    assert not same_input(report, folder, WOS)


def test_summary_tells_format_and_categories(folder: Path) -> None:
    config = {
        "corpus": WOS,
        "sample": {"size": 3, "seed": 1},
        "shards": {"size": 2},
        "models": [],
    }
    told = summary(config, folder, "results/wos", gpu=False)
    assert f"{folder} (0.00 GB, format wos)" in told
    assert "3 papers of all categories, drawn with seed 1, in 2 shard(s)" in told
    arxiv = {**config, "corpus": {"name": "a", "categories": ["cs.", "math."]}}
    told = summary(arxiv, folder / "X.txt", "results/a", gpu=False)
    assert "X.txt (0.00 GB)\n" in told
    assert "3 papers of cs., math., drawn" in told
