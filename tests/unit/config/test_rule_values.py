"""Inputs and parameters of rules that follow from the config."""

import json
from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.config.rule_values import (
    checkpoint_files,
    encoder_json,
    model_source,
    paper_link,
    recorded_config,
    revision_option,
    scores_by_model,
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


def test_manifest_records_one_model_and_no_other() -> None:
    first, second = {"label": "first", "pooling": "mean"}, {"label": "second", "pooling": "cls"}
    shared: dict[str, Any] = {
        "snapshot": "snapshot.json",
        "corpus": {"name": "arxiv", "categories": ["cs."]},
        "sample": {"size": 10, "seed": 1},
        "shards": {"size": 5},
    }
    recorded = recorded_config({**shared, "models": [first, second]}, second)
    assert json.loads(recorded) == {**shared, "model": second}


def test_scores_follow_the_label_of_their_model() -> None:
    """A label may be the name of the corpus, or part of another label."""
    files = [
        f"results/a/{model}/evaluation/{kind}-scores.parquet"
        for kind in ("map", "space")
        for model in ("ab", "a")
    ]
    assert scores_by_model(["a", "ab"], files) == [
        *("--model", "a", files[1], files[3]),
        *("--model", "ab", files[0], files[2]),
    ]


def test_only_papers_of_arxiv_have_a_page() -> None:
    assert paper_link("arxiv") == "https://arxiv.org/abs/"
    assert paper_link("wos") == paper_link("table") == ""
