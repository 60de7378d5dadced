"""Inputs and parameters of rules that follow from the config."""

from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.config.rule_values import (
    checkpoint_files,
    encoder_json,
    model_source,
    paper_link,
    revision_option,
    shard_bounds,
    shard_names,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A local checkpoint with two files and a folder, in a second folder to search."""
    folder = tmp_path / "clone/models/minilm"
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (folder / name).touch()
    return folder


def test_local_folder_is_found_in_the_first_folder_that_has_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    folders = [tmp_path, tmp_path / "clone"]
    assert model_source("models/minilm", folders) == str(checkpoint)
    (tmp_path / "models/minilm").mkdir(parents=True)
    assert model_source("models/minilm", folders) == str(tmp_path / "models/minilm")
    assert model_source(str(checkpoint), folders) == str(checkpoint)


def test_relative_path_stays_relative(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder that moves keeps the names of its inputs."""
    monkeypatch.chdir(checkpoint.parents[1])
    assert model_source("models/minilm", [Path()]) == "models/minilm"


def test_other_names_are_hugging_face_ids(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("owner/model", "file"):
        assert model_source(name, [tmp_path]) == name


def test_files_of_a_local_checkpoint_are_listed_without_folders(checkpoint: Path) -> None:
    names = ["config.json", "model.safetensors"]
    assert checkpoint_files(str(checkpoint)) == [str(checkpoint / name) for name in names]


def test_hugging_face_id_has_no_files() -> None:
    assert checkpoint_files("owner/model") == []


def test_only_a_revision_becomes_an_option() -> None:
    assert revision_option({"revision": "0123abc"}) == "--revision 0123abc"
    assert revision_option({"revision": None}) == ""


def test_encoder_settings_are_one_line_that_can_be_read_back() -> None:
    model: dict[str, Any] = {"pooling": "cls", "max_length": 64, "normalize": True}
    model |= {"dtype": "float32", "prompt": "two\nlines: ", "dimensions": None}
    line = encoder_json({"label": "a", "name": "b", **model})
    assert "\n" not in line
    assert EncoderSettings.from_json(line) == EncoderSettings(**model)


@pytest.mark.parametrize(
    ("missing", "bounds"),
    [
        (0, []),
        (9, [(0, 9)]),
        (10, [(0, 10)]),
        (21, [(0, 10), (10, 20), (20, 21)]),
    ],
)
def test_shards_cover_all_missing_texts(missing: int, bounds: list[tuple[int, int]]) -> None:
    lookup = {
        **{"lookup": "3f2a9c1b", "papers": 100, "missing": missing},
        **{"shard_size": 10, "shards": len(bounds)},
    }
    names = shard_names(lookup)
    assert names == [f"3f2a9c1b-0000{number}" for number in range(len(bounds))]
    assert [shard_bounds(lookup, name) for name in names] == bounds


def test_a_run_may_have_more_shards_than_five_digits_can_count() -> None:
    lookup = {"lookup": "12345678", "missing": 120_000, "shard_size": 1, "shards": 120_000}
    names = shard_names(lookup)
    assert names[99_999:100_001] == ["12345678-99999", "12345678-100000"]
    assert shard_bounds(lookup, names[-1]) == (119_999, 120_000)


def test_only_papers_of_arxiv_have_a_page() -> None:
    assert paper_link("arxiv") == "https://arxiv.org/abs/"
    assert paper_link("wos") == paper_link("table") == ""
