"""What the rules derive from a config: options, prefixes, sizes, shards and the summary."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.derived import (
    category_prefixes,
    check_sample_size,
    encoder_settings,
    format_options,
    has_gpu,
    read_filter_report,
    report_matches,
    shard_ranges,
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
    """Otherwise Snakemake would see a changed command and recompute finished results."""
    corpus = {"name": "arxiv", "categories": ["cs.", "physics."], **key}
    assert format_options(corpus) == ""
    assert category_prefixes(corpus) == ["cs.", "physics."]


def test_format_options_are_those_of_the_command() -> None:
    assert format_options(WOS) == " --format wos"
    words = shlex.split(format_options({"name": "a", "format": "table", "columns": COLUMNS}))
    assert words[:3] == ["--format", "table", "--columns"]
    assert json.loads(words[3]) == COLUMNS


@pytest.mark.parametrize("corpus", [WOS, {**WOS, "categories": "all"}])
def test_all_categories_need_no_prefix(corpus: dict[str, Any]) -> None:
    assert category_prefixes(corpus) == []


def test_size_of_a_folder_is_the_sum_of_its_three_files(folder: Path) -> None:
    assert snapshot_bytes(folder, WOS) == 6
    assert snapshot_bytes(folder / "Y.txt", {"name": "arxiv"}) == 100


def test_report_of_other_categories_or_bytes_does_not_match(folder: Path) -> None:
    report = {"snapshot": {"bytes": 6}, "categories": []}
    assert report_matches(report, folder, WOS)
    assert not report_matches(report, folder, {**WOS, "categories": ["1."]})
    (folder / "YL1.txt").write_bytes(bytes(3))
    assert not report_matches(report, folder, WOS)


def test_summary_shows_format_and_categories(folder: Path) -> None:
    config = {
        "corpus": WOS,
        "sample": {"size": 3, "seed": 1},
        "shards": {"size": 2},
        "models": [],
    }
    text = summary(config, folder, "results/wos", gpu=False)
    assert f"{folder} (0.00 GB, format wos)" in text
    assert "3 papers of all categories, drawn with seed 1, in 2 shard(s)" in text
    arxiv = {**config, "corpus": {"name": "a", "categories": ["cs.", "math."]}}
    text = summary(arxiv, folder / "X.txt", "results/a", gpu=False)
    assert "X.txt (0.00 GB)\n" in text
    assert "3 papers of cs., math., drawn" in text
    everything = {**config, "sample": {"size": "all", "seed": 1}, "shards": {"size": 5_000}}
    text = summary(everything, folder, "results/wos", gpu=True)
    assert "all papers of all categories, drawn with seed 1, in shards of 5,000\n" in text
    assert "Device    GPU\n" in text


@pytest.mark.parametrize(
    ("papers", "size", "ranges"),
    [
        (0, 10, {}),
        (9, 10, {"00000": (0, 9)}),
        (10, 10, {"00000": (0, 10)}),
        (21, 10, {"00000": (0, 10), "00001": (10, 20), "00002": (20, 21)}),
    ],
)
def test_shards_cover_all_papers(
    papers: int, size: int, ranges: dict[str, tuple[int, int]]
) -> None:
    assert shard_ranges(papers, size) == ranges


def test_encoder_settings_are_those_of_the_model() -> None:
    settings = {
        "pooling": "last",
        "max_length": 8,
        "normalize": False,
        "dtype": "float16",
        "prompt": "query: ",
        "dimensions": 32,
    }
    found = encoder_settings({"label": "a", "name": "b", **settings}).to_dict()
    assert {name: found[name] for name in settings} == settings
    assert found.keys() - settings.keys() == {"engine"}


@pytest.mark.parametrize("size", [None, 1, 10])
def test_sample_of_at_most_all_papers_passes(size: int | None) -> None:
    check_sample_size(size, 10)


def test_sample_of_more_papers_than_there_are_fails() -> None:
    with pytest.raises(InputError, match=r"asks for 1,001 papers, but only 1,000 .* Lower sample"):
        check_sample_size(1_001, 1_000)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("nvidia0", True),
        ("nvidia12", True),
        ("kfd", True),
        ("nvidiactl", False),  # exists without a GPU, too
        ("null", False),
    ],
)
def test_gpu_is_found_by_its_device_file(device: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / device).touch()
    assert has_gpu(tmp_path) == expected


def test_filter_report_is_read(tmp_path: Path) -> None:
    report = {"snapshot": {"bytes": 1}, "records": {"kept": 2}}
    (tmp_path / "filter.json").write_text(json.dumps(report))
    assert read_filter_report(tmp_path / "filter.json") == report


def test_missing_filter_report_is_not_an_input_error(tmp_path: Path) -> None:
    """Snakemake takes FileNotFoundError as "not known yet"."""
    with pytest.raises(FileNotFoundError):
        read_filter_report(tmp_path / "filter.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"snapshot": {"bytes": 1}}', "null"])
def test_damaged_filter_report_is_reported(text: str, tmp_path: Path) -> None:
    (tmp_path / "filter.json").write_text(text)
    with pytest.raises(InputError, match=r"filter.json cannot be read .* Delete it and run"):
        read_filter_report(tmp_path / "filter.json")
