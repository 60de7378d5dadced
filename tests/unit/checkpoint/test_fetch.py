"""A checkpoint is fetched completely, without code or pickles, and is identified by its content."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.checkpoint.json_files import MANIFEST
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from safetensors.numpy import load_file, save_file
from support.models import make_bert

NAME = "owner/model"
COMMIT = "0123456789abcdef" * 2 + "01234567"
NOT_NEEDED = [
    "pytorch_model.bin",
    "modeling.py",
    "model.pt",
    "tf_model.h5",
    "README.md",
    "onnx/model.onnx",
    "onnx/config.json",
    "openvino/config.json",
    ".cache/file.json",
]

Script = Callable[..., subprocess.CompletedProcess[str]]


SETTINGS = EncoderSettings()


@pytest.fixture
def source(minilm: Path, tmp_path: Path) -> Path:
    """A small checkpoint with only the files that are needed."""
    folder = make_bert(minilm, tmp_path / "source")
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name in ("README.md", ".gitattributes"):
            file.unlink()
    return folder


def fetch(source: Path, folder: Path) -> None:
    fetch_model(str(source), None, folder, SETTINGS)


def files_of(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def refused(source: Path, message: str) -> None:
    """Check that ``source`` is refused with ``message`` and that no file is left."""
    with pytest.raises(InputError, match=message):
        fetch(source, source.parent / "fetched")
    assert [path.name for path in source.parent.iterdir()] == [source.name]


def test_only_needed_files_are_fetched(source: Path, tmp_path: Path) -> None:
    needed = files_of(source)
    for name in NOT_NEEDED:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("{}")
    fetched = tmp_path / "models/fetched"
    fetch(source, fetched)
    assert files_of(fetched) == sorted([MANIFEST, *needed])
    for name in needed:
        assert (fetched / name).read_bytes() == (source / name).read_bytes()
    assert [path.name for path in fetched.parent.iterdir()] == ["fetched"]


def test_manifest_lists_every_file_with_its_checksum(source: Path, tmp_path: Path) -> None:
    fetch(source, tmp_path / "fetched")
    manifest = json.loads((tmp_path / "fetched" / MANIFEST).read_text())
    assert (manifest["name"], manifest["revision"]) == (str(source), None)
    assert manifest["files"] == {
        name: {
            "bytes": (source / name).stat().st_size,
            "sha256": hashlib.sha256((source / name).read_bytes()).hexdigest(),
        }
        for name in files_of(source)
    }


def test_real_model_is_fetched(minilm: Path, tmp_path: Path) -> None:
    fetch(minilm, tmp_path / "fetched")
    fetched = files_of(tmp_path / "fetched")
    assert {"config.json", "model.safetensors", "tokenizer.json", "modules.json"} < set(fetched)
    assert "1_Pooling/config.json" in fetched
    assert "README.md" not in fetched
    assert checkpoint_identity(tmp_path / "fetched")["name"] == str(minilm)


def test_one_tokenizer_file_is_enough(source: Path, tmp_path: Path) -> None:
    (source / "vocab.txt").unlink()
    (source / "tokenizer_config.json").unlink()
    fetch(source, tmp_path / "fetched")


def test_weights_in_several_files_are_fetched(source: Path, tmp_path: Path) -> None:
    split_weights(source)
    fetch(source, tmp_path / "fetched")
    assert {"model-1-of-2.safetensors", "model-2-of-2.safetensors"} < set(
        files_of(tmp_path / "fetched")
    )


def split_weights(source: Path) -> None:
    """Put the weights of ``source`` into two files with an index."""
    weights = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    weight_map: dict[str, str] = {}
    for number in (1, 2):
        part = {name: weights[name] for name in sorted(weights)[number - 1 :: 2]}
        file = f"model-{number}-of-2.safetensors"
        save_file(part, source / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (source / "model.safetensors.index.json").write_text(index)


def test_missing_file_of_the_weights_is_refused(source: Path) -> None:
    split_weights(source)
    (source / "model-2-of-2.safetensors").unlink()
    refused(source, r"lacks model-2-of-2\.safetensors\. Fetch it again")


@pytest.mark.parametrize("index", ['{"weight_map": {"a', "[]", "{}"])
def test_damaged_index_is_refused(index: str, source: Path) -> None:
    (source / "model.safetensors.index.json").write_text(index)
    refused(source, "index")


@pytest.mark.parametrize("pickled", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickled_weights_alone_are_refused(pickled: str, source: Path) -> None:
    (source / "model.safetensors").rename(source / pickled)
    refused(source, "no weights in the safetensors format. Pickled weights .* can run code")


@pytest.mark.parametrize("length", [0, 5, 40, -1])
def test_truncated_weights_are_refused(length: int, source: Path) -> None:
    weights = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(weights[:length])
    refused(source, r"model\.safetensors is truncated or damaged")


def test_git_lfs_pointer_in_place_of_the_weights_is_refused(source: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90868376\n"
    (source / "model.safetensors").write_text(pointer)
    refused(source, "is truncated or damaged")


def test_missing_config_is_refused(source: Path) -> None:
    (source / "config.json").unlink()
    refused(source, "has no config.json, so transformers cannot load it")


def test_missing_tokenizer_is_refused(source: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (source / name).unlink()
    refused(source, "has no tokenizer files")


def test_settings_without_a_tokenizer_are_refused(source: Path) -> None:
    (source / "tokenizer.json").unlink()
    (source / "vocab.txt").unlink()
    refused(source, "has no tokenizer files")


def test_sentencepiece_model_is_a_tokenizer(source: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (source / name).unlink()
    (source / "sentencepiece.bpe.model").write_bytes(b"model")
    fetch(source, tmp_path / "fetched")


def test_links_to_missing_files_are_refused_with_the_reason(source: Path) -> None:
    """A folder of the Hugging Face cache that was copied with cp -a, or whose blobs are gone."""
    (source / "model.safetensors").unlink()
    (source / "model.safetensors").symlink_to("../../blobs/0123")
    refused(source, r"is a link to a file that does not exist.* copy it with 'cp -rL'")


def test_way_to_a_conversion_is_given_where_weights_are_only_pickled(source: Path) -> None:
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    refused(source, r"pull request.* set 'revision' to the commit id")


def test_existing_folder_is_not_changed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched/mine").touch()
    with pytest.raises(InputError, match=r"fetched exists already\. Delete it"):
        fetch(source, tmp_path / "fetched")
    assert files_of(tmp_path / "fetched") == ["mine"]


@pytest.mark.parametrize(
    "revision", [None, "main", "v1.0", "", COMMIT[:39], f"{COMMIT}0", f"{COMMIT}\n", COMMIT.upper()]
)
def test_revision_that_can_change_is_refused(revision: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can change to other weights.* 40 hexadecimal digits"):
        fetch_model(NAME, revision, tmp_path / "fetched", SETTINGS)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def hub(source: Path, tmp_path: Path) -> Path:
    """A Hugging Face home whose cache contains ``source`` in the layout of huggingface_hub."""
    cached = tmp_path / "home/hub/models--owner--model"
    snapshot = cached / "snapshots" / COMMIT
    (cached / "blobs").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text(COMMIT)
    for number, name in enumerate(files_of(source)):
        shutil.copy(source / name, cached / f"blobs/{number:040x}")
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        up = os.path.relpath(cached / "blobs", (snapshot / name).parent)
        (snapshot / name).symlink_to(f"{up}/{number:040x}")
    return tmp_path / "home"


def fetch_offline(script: Script, home: Path, folder: Path, revision: str) -> str:
    """Run ``fetch_model.py`` without a network; return its exit code and its output."""
    arguments: tuple[object, ...] = ("--name", NAME, "--revision", revision, "--folder", folder)
    arguments += ("--encoder", SETTINGS.to_json())
    done = script("fetch_model.py", *arguments, HF_HOME=str(home), HF_HUB_OFFLINE="1")
    return f"{done.returncode} {done.stdout}"


def test_cached_model_is_fetched_offline(
    script: Script, hub: Path, source: Path, tmp_path: Path
) -> None:
    output = fetch_offline(script, hub, tmp_path / "fetched", COMMIT)
    assert output.startswith("0 "), output
    assert files_of(tmp_path / "fetched") == sorted([MANIFEST, *files_of(source)])
    assert not any(path.is_symlink() for path in (tmp_path / "fetched").rglob("*"))
    identity = checkpoint_identity(tmp_path / "fetched")
    assert (identity["name"], identity["revision"]) == (NAME, COMMIT)


def test_model_that_is_not_cached_is_reported_offline(
    script: Script, hub: Path, tmp_path: Path
) -> None:
    output = fetch_offline(script, hub, tmp_path / "fetched", COMMIT[::-1])
    assert output.startswith("1 "), output
    assert f"ERROR {NAME} at {COMMIT[::-1]} is not in the Hugging Face cache" in output
    assert "Run this step on a machine with network access" in output
    assert "Traceback" not in output
    assert not (tmp_path / "fetched").exists()


def test_partly_cached_model_is_refused_offline(script: Script, hub: Path, tmp_path: Path) -> None:
    (weights,) = hub.rglob("model.safetensors")
    weights.unlink()
    output = fetch_offline(script, hub, tmp_path / "fetched", COMMIT)
    assert output.startswith("1 "), output
    assert "no weights in the safetensors format" in output
    assert not (tmp_path / "fetched").exists()


@pytest.mark.parametrize("name", ["owner--x/model", "-owner/model", "owner/model.git"])
def test_invalid_hub_name_is_reported(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=name):
        fetch_model(name, COMMIT, tmp_path / "fetched", SETTINGS)


def test_same_files_have_the_same_checksum_in_any_folder(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "elsewhere")
    (tmp_path / "elsewhere/README.md").write_text("not used")
    fetch(source, tmp_path / "one")
    fetch(tmp_path / "elsewhere", tmp_path / "two")
    one, two = checkpoint_identity(tmp_path / "one"), checkpoint_identity(tmp_path / "two")
    assert one["sha256"] == two["sha256"]
    assert one["name"] != two["name"]


@pytest.mark.parametrize("name", ["config.json", "1_Pooling/config.json", "model.safetensors"])
def test_changed_byte_changes_the_checksum(name: str, source: Path, tmp_path: Path) -> None:
    fetch(source, tmp_path / "one")
    changed = bytearray((source / name).read_bytes())
    if name.endswith(".json"):
        changed += b"\n"
    else:
        changed[-1] ^= 1
    (source / name).write_bytes(changed)
    fetch(source, tmp_path / "two")
    one, two = checkpoint_identity(tmp_path / "one"), checkpoint_identity(tmp_path / "two")
    assert one["sha256"] != two["sha256"]


@pytest.mark.parametrize("damage", ["missing", "cut", "longer"])
def test_damaged_file_of_a_fetched_model_is_reported(
    damage: str, source: Path, tmp_path: Path
) -> None:
    fetched = tmp_path / "fetched"
    fetch(source, fetched)
    weights = fetched / "model.safetensors"
    content = weights.read_bytes()
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(content[:-1] if damage == "cut" else content + b"x")
    message = r"model\.safetensors is missing or truncated\. Delete .*fetched and run snakemake"
    with pytest.raises(InputError, match=message):
        checkpoint_identity(fetched)


@pytest.mark.parametrize("manifest", [None, "", '{"name": "a'])
def test_folder_without_a_manifest_is_not_a_fetched_model(
    manifest: str | None, tmp_path: Path
) -> None:
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(InputError, match="does not contain a fetched checkpoint"):
        checkpoint_identity(tmp_path)
