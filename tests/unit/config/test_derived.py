"""What the rules derive from a config: prefixes, sizes, settings and the summary."""

import json
from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config import derived
from arxiv_embeddings.config.derived import (
    category_prefixes,
    check_sample_size,
    encoder_settings,
    has_gpu,
    most_papers,
    read_filter_report,
    snapshot_bytes,
    summary,
)

WOS: dict[str, Any] = {"name": "wos", "format": "wos"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Web of Science set of 6 bytes."""
    for size, name in enumerate(("X.txt", "YL1.txt", "YL2.txt"), start=1):
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "Y.txt").write_bytes(bytes(100))
    return tmp_path


def test_categories_are_prefixes() -> None:
    corpus = {"name": "arxiv", "format": "arxiv", "categories": ["cs.", "physics."]}
    assert category_prefixes(corpus) == ["cs.", "physics."]


@pytest.mark.parametrize("corpus", [WOS, {**WOS, "categories": "all"}])
def test_all_categories_need_no_prefix(corpus: dict[str, Any]) -> None:
    assert category_prefixes(corpus) == []


@pytest.mark.parametrize(
    ("named", "levels"), [([], 2), ([0], 1), ([1], 2), ([0, 1], 2), ([2, 0, 1], 3), (range(11), 11)]
)
def test_levels_are_two_unless_a_table_names_others(named: list[int], levels: int) -> None:
    columns = {"text": "t", **{f"category {depth}": "c" for depth in named}}
    expected = [f"category {depth}" for depth in range(levels)]
    assert derived.levels({"format": "table", "columns": columns}) == expected
    assert derived.levels(WOS) == ["category 0", "category 1"]


def test_size_of_a_folder_is_the_sum_of_its_three_files(folder: Path) -> None:
    assert snapshot_bytes(folder, WOS) == 6
    assert snapshot_bytes(folder / "Y.txt", {"name": "a", "format": "arxiv"}) == 100


def write(folder: Path, *lines: str) -> Path:
    """Write a file of these lines."""
    path = folder / "snapshot"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("corpus_format", "shortest"),
    [
        ("arxiv", '{"id":"","title":"","abstract":"","categories":""}'),
        ("table", "a,b"),
    ],
)
def test_a_snapshot_holds_at_most_as_many_papers_as_the_shortest_records(
    corpus_format: str, shortest: str, tmp_path: Path
) -> None:
    for papers in (1, 3, 100):
        most = most_papers(write(tmp_path, *[shortest] * papers), corpus_format)
        assert most is not None
        assert papers <= most <= papers * 1.05


def test_the_shortest_file_of_a_web_of_science_set_decides(tmp_path: Path) -> None:
    for name, line in (("X.txt", "a long text"), ("YL1.txt", "1"), ("YL2.txt", "12")):
        (tmp_path / name).write_text(f"{line}\n" * 10)
    assert most_papers(tmp_path, "wos") == 10


@pytest.mark.parametrize("start", derived.PACKINGS)
def test_the_size_of_a_packed_snapshot_tells_nothing(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(start + bytes(100))
    assert most_papers(tmp_path / "packed", "arxiv") is None


def test_the_papers_of_several_tables_add_up(tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        file.write_text("a,b\n" * 10)
    assert most_papers(files, "table") == 20
    assert snapshot_bytes(files, {"format": "table"}) == 80
    files[1].write_bytes(b"PAR1" + bytes(100))
    assert most_papers(files, "table") is None


def test_summary_shows_format_and_categories(folder: Path) -> None:
    config = {
        "corpus": WOS,
        "sample": {"size": 3, "seed": 1},
        "shards": {"size": 2},
        "models": [],
    }
    text = summary(config, folder, "results/wos", gpu=False)
    assert f"Snapshot  {folder} (0.00 GB, format wos)\n" in text
    assert "Papers    3 papers of all categories, drawn with seed 1\n" in text
    jobs = "papers whose vectors are in the vector store need none\n"
    assert f"Jobs      at most 2 shard(s) of up to 2; {jobs}" in text
    assert text.endswith("Results   results/wos")
    arxiv = {**config, "corpus": {"name": "a", "format": "arxiv", "categories": ["cs.", "math."]}}
    text = summary(arxiv, folder / "X.txt", "results/a", gpu=False)
    assert "X.txt (0.00 GB)\n" in text
    assert "3 papers of cs., math., drawn" in text
    everything = {**config, "sample": {"size": "all", "seed": 1}, "shards": {"size": 5_000}}
    text = summary(everything, folder, "results/wos", gpu=True)
    assert "Papers    all papers of all categories, drawn with seed 1\n" in text
    assert f"Jobs      shards of up to 5,000; {jobs}" in text
    assert "Device    GPU\n" in text


def test_summary_shows_the_settings_of_each_model(folder: Path) -> None:
    asked = {"pooling": "mean", "max_length": 64, "normalize": True, "dtype": "float32"}
    model = {"label": "minilm", "name": "some/model", "prompt": "", "dimensions": None, **asked}
    config = {
        "corpus": WOS,
        "sample": {"size": 3, "seed": 1},
        "shards": {"size": 2},
        "models": [model, {**model, "label": "other", "max_length": "auto"}],
    }
    lines = summary(config, folder, "results/wos", gpu=False).splitlines()
    settings = "some/model (pooling mean, max_length {}, normalize True, dtype float32)"
    assert f"Model     minilm: {settings.format(64)}" in lines
    assert f"Model     other: {settings.format('auto')}" in lines


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
