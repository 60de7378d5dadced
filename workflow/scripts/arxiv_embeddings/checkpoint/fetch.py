"""Copying or downloading a checkpoint to a folder, so that later jobs need no network."""

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

# The files that are needed: configuration, tokenizer, safetensors weights, and the pooling declared for
# sentence-transformers. Pickles, ONNX files and code are not copied.
NEEDED = re.compile(
    r"[^/]+\.json|vocab\.txt|merges\.txt|[^/]+\.model|[^/]+\.safetensors|\d+_[^/]+/config\.json"
)

TOKENIZER = re.compile(r"tokenizer\.json|vocab\.txt|vocab\.json|.+\.model")


def fetch_model(name: str, revision: str | None, folder: Path) -> None:
    """Put the checkpoint ``name`` into ``folder``, with a manifest of its files.

    Args:
        name: a Hugging Face id, or a local directory.
        revision: the full commit id of a Hugging Face checkpoint; None for a local directory.
        folder: the folder to create, with the files and ``checkpoint.json``.

    Raises:
        InputError: ``folder`` exists already; or the checkpoint does not exist, cannot be downloaded, is
            incomplete, or has only pickled weights.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already. Delete it to fetch {name} again.")
    source = Path(name) if Path(name).is_dir() else _download(name, revision)
    files = sorted(
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and NEEDED.fullmatch(path.relative_to(source).as_posix())
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
    log.info("Copied %d files (%.0f MB) of %s to %s.", len(files), size / 1e6, name, folder)


def checkpoint_identity(folder: Path) -> dict[str, Any]:
    """Return what identifies a fetched checkpoint: ``name``, ``revision`` and ``sha256`` of all its files.

    The checksum is that of the manifest's list of files. The files themselves are only checked for their
    sizes, which takes no time.

    Raises:
        InputError: ``fetch_model`` did not create the folder, or a file is missing or has another size.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = {name: facts["bytes"] for name, facts in manifest["files"].items()}
        identity = {
            "name": manifest["name"],
            "revision": manifest["revision"],
            "sha256": json_sha256(manifest["files"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} does not contain a fetched checkpoint ({MANIFEST}: {error}). "
            "Delete it and run snakemake again."
        ) from error
    for name, size in files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != size:
            raise InputError(
                f"{file} is missing or truncated. Delete {folder} and run snakemake again."
            )
    return identity


def _download(name: str, revision: str | None) -> Path:
    """Return the folder of a Hugging Face checkpoint at a commit in the local cache; download it if needed."""
    if revision is None or not COMMIT.fullmatch(revision):
        raise InputError(
            f"{name} is not a local directory, and the revision {revision!r} of a Hugging Face model can "
            "change to other weights. Set 'revision' to a full commit id of 40 hexadecimal digits."
        )
    log.info("Fetching %s at %s.", name, revision)
    # The library prints its messages itself.
    hub_logging.disable_propagation()
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
            f"{name} is neither a local directory nor a Hugging Face id ({error}). "
            "Set 'name' to one of them."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{name} at {revision} is not in the Hugging Face cache of this machine and cannot be "
            f"downloaded ({type(error).__name__}: {reason}). Run this step on a machine with network access, "
            "log in with 'hf auth login' if the model is gated, or set 'name' to a local directory."
        ) from error


def _check(name: str, source: Path, files: list[str]) -> None:
    """Fail if ``files`` are not a complete checkpoint with weights that are safe to load."""
    if "config.json" not in files:
        raise InputError(
            f"{name} has no config.json, so transformers cannot load it. Set 'name' to another model."
        )
    if not any(TOKENIZER.fullmatch(file) for file in files):
        raise InputError(
            f"{name} has no tokenizer files. Save the tokenizer in the same folder as the weights."
        )
    weights = [file for file in files if file.endswith(".safetensors")]
    if not weights:
        raise InputError(
            f"{name} has no weights in the safetensors format. Pickled weights (.bin, .pt) are refused, "
            "because they can run code when they are loaded. Convert them to safetensors."
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
                f"{source / file} is truncated or damaged ({error}). Fetch it again."
            ) from error
