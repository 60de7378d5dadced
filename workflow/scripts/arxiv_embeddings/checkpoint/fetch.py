"""Bringing a checkpoint to a folder of its own, so that everything after works without a network."""

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import safetensors
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import logging as hub_logging

from ..common.errors import InputError
from ..common.files import file_sha256, json_sha256, write_json, written_beside

log = logging.getLogger(__name__)

MANIFEST = "checkpoint.json"
COMMIT = re.compile(r"[0-9a-f]{40}")

# What is needed of a checkpoint: its configuration, tokenizer, safetensors weights, and what
# sentence-transformers declares about pooling. Pickles, ONNX files and code are left behind.
WANTED = re.compile(
    r"[^/]+\.json|vocab\.txt|merges\.txt|[^/]+\.model|[^/]+\.safetensors|\d+_[^/]+/config\.json"
)

TOKENIZER = re.compile(r"tokenizer\.json|vocab\.txt|vocab\.json|.+\.model")


def fetch_model(name: str, revision: str | None, folder: Path) -> None:
    """Put the checkpoint ``name`` into ``folder``, with a manifest of its files.

    Args:
        name: a Hugging Face id, or a local directory.
        revision: the full commit id of a Hugging Face checkpoint; None for a local directory.
        folder: made anew; holds the files and ``checkpoint.json``.

    Raises:
        InputError: the checkpoint is not there, not reachable, incomplete, or has pickled weights only.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already. Delete it to fetch {name} anew.")
    source = Path(name) if Path(name).is_dir() else _download(name, revision)
    files = sorted(
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and WANTED.fullmatch(path.relative_to(source).as_posix())
    )
    _check(name, source, files)
    with written_beside(folder) as partial:
        for file in files:
            target = partial / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, target)
        write_json(
            partial / MANIFEST,
            {
                "name": name,
                "revision": revision,
                "files": {
                    file: {
                        "bytes": (partial / file).stat().st_size,
                        "sha256": file_sha256(partial / file),
                    }
                    for file in files
                },
            },
        )
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    log.info("Put %d files (%.0f MB) of %s into %s.", len(files), size / 1e6, name, folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a fetched checkpoint is: ``name``, ``revision`` and ``sha256`` over all its files.

    Raises:
        InputError: the folder was not made by ``fetch_model``, or a file of it is missing or cut.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = {name: facts["bytes"] for name, facts in manifest["files"].items()}
        content = {
            "name": manifest["name"],
            "revision": manifest["revision"],
            "sha256": json_sha256(manifest["files"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} holds no fetched checkpoint ({MANIFEST}: {error}). Delete it and run again."
        ) from error
    for name, size in files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != size:
            raise InputError(
                f"{file} is missing or cut. Delete {folder} and run again to fetch it anew."
            )
    return content


def _download(name: str, revision: str | None) -> Path:
    """Return the local copy of a Hugging Face checkpoint at a commit, downloaded where it is not yet."""
    if revision is None or not COMMIT.fullmatch(revision):
        raise InputError(
            f"The revision of {name} is {revision!r}, which can move to other weights. "
            "Set 'revision' to a full commit id of 40 hexadecimal digits; "
            f"if {name} is meant to be a local directory: there is none of that name."
        )
    log.info("Fetching %s at %s.", name, revision)
    hub_logging.disable_propagation()  # it prints by itself
    try:
        return Path(
            huggingface_hub.snapshot_download(
                name,
                revision=revision,
                allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"],
                ignore_patterns=["onnx/*", "openvino/*"],
            )
        )
    except HFValidationError as error:
        raise InputError(
            f"{name} is neither a local directory nor a Hugging Face id: {error}"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{name} at {revision} is neither in the Hugging Face cache of this machine nor could it be "
            f"downloaded ({type(error).__name__}: {reason}). Run this step where the network is, log in "
            "with 'hf auth login' if the model is gated, or set 'name' to a local directory."
        ) from error


def _check(name: str, source: Path, files: list[str]) -> None:
    """Fail if ``files`` do not make up a whole checkpoint with safe weights."""
    if "config.json" not in files:
        raise InputError(
            f"{name} has no config.json: it is no checkpoint that transformers can load."
        )
    if not any(TOKENIZER.fullmatch(file) for file in files):
        raise InputError(f"{name} has no tokenizer files. Save the tokenizer beside the weights.")
    weights = [file for file in files if file.endswith(".safetensors")]
    if not weights:
        raise InputError(
            f"{name} has no weights in the safetensors format. Pickled weights (.bin, .pt) can run code "
            "when they are read and are refused; convert them to safetensors first."
        )
    index = source / "model.safetensors.index.json"
    if index.is_file():
        try:
            listed = set(json.loads(index.read_text())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"The index {index} is damaged ({error!r}). Fetch it again."
            ) from error
        if missing := sorted(listed - set(weights)):
            raise InputError(f"{name} lacks {', '.join(missing)}. Fetch it again.")
    for file in weights:
        try:
            with safetensors.safe_open(source / file, framework="numpy"):
                pass
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(
                f"{source / file} is cut or damaged ({error}). Fetch it again."
            ) from error
