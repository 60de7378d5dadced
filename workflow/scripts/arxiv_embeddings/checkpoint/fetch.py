"""Copying or downloading a checkpoint to a folder, so that later jobs need no network."""

import json
import logging
import re
import shutil
from pathlib import Path

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
from ..common.files import file_sha256, write_json, written_beside
from ..config.encoder_settings import EncoderSettings
from .declared import check_adapter, read_modules
from .json_files import MANIFEST
from .judge import judge

log = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")

# The files that are needed: configuration, tokenizer and safetensors weights. Pickles, ONNX files and code are not
# copied.
NEEDED = re.compile(r"[^/]+\.json|vocab\.txt|merges\.txt|[^/]+\.model|[^/]+\.safetensors")

# The files of a module in a folder of its own (pooling, Dense).
NEEDED_OF_A_MODULE = ("config.json", "model.safetensors")

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")

TOKENIZER = re.compile(r"tokenizer\.json|vocab\.txt|vocab\.json|.+\.model")


def fetch_model(name: str, revision: str | None, folder: Path, settings: EncoderSettings) -> None:
    """Put the checkpoint ``name`` into ``folder``, with a manifest of its files, and judge it.

    Where ``modules.json`` names a folder for the Transformer module, its files come to the root of ``folder``.

    Args:
        name: a Hugging Face id, or a local directory.
        revision: the full commit id of a Hugging Face checkpoint; None for a local directory.
        folder: the folder to create, with the files and ``checkpoint.json``.
        settings: the encoder settings that it must be able to do.

    Raises:
        InputError: ``folder`` exists already; or the checkpoint does not exist, cannot be downloaded, is
            incomplete, has only pickled weights, or would fail or give wrong vectors with ``settings``.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already. Delete it to fetch {name} again.")
    source = Path(name) if Path(name).is_dir() else _download(name, revision)
    files = _needed_files(source)
    _check(name, source, files)
    with written_beside(folder) as partial:
        for target, file in files.items():
            (partial / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, partial / target)
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
        try:
            judge(partial, settings)
        except InputError as error:
            # Only the checkpoint's own name means something to the user.
            raise InputError(str(error).replace(str(partial), name)) from error
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    log.info("Copied %d files (%.0f MB) of %s to %s.", len(files), size / 1e6, name, folder)


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


def _needed_files(source: Path) -> dict[str, Path]:
    """Return the files to copy: their paths in the fetched folder, sorted, and where they are.

    Raises:
        InputError: a needed file is a link to a file that does not exist, or modules.json is not valid.
    """
    modules = read_modules(source) or []
    root = next((module.path for module in modules if module.kind == "Transformer"), "")
    found = {path.name: path for path in source.glob("*") if NEEDED.fullmatch(path.name)}
    # A folder that was fetched from elsewhere can be fetched again.
    found.pop(MANIFEST, None)
    if root and (source / root).is_dir():
        # The root of old layouts has a config.json of sentence-transformers itself.
        found.pop("config.json", None)
        found |= {
            path.name: path for path in (source / root).glob("*") if NEEDED.fullmatch(path.name)
        }
    for module in modules:
        if module.path != root:
            wanted = (source / module.path / name for name in NEEDED_OF_A_MODULE)
            found |= {f"{module.path}/{path.name}": path for path in wanted if _exists(path)}
    dangling = sorted(str(path) for path in found.values() if not path.exists())
    if dangling:
        raise InputError(
            f"{dangling[0]} is a link to a file that does not exist: the Hugging Face cache is incomplete, or the "
            "folder was copied without the files behind its links. Fetch the checkpoint again, or copy it with "
            "'cp -rL'."
        )
    return {target: found[target] for target in sorted(found) if found[target].is_file()}


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _check(name: str, source: Path, files: dict[str, Path]) -> None:
    """Fail if ``files`` are not a complete checkpoint with weights that are safe to load."""
    if "adapter_config.json" in files:
        check_adapter(files["adapter_config.json"].parent)
    if "config.json" not in files:
        raise InputError(
            f"{name} has no config.json, so transformers cannot load it. Set 'name' to another model."
        )
    if not any(TOKENIZER.fullmatch(file) for file in files):
        raise InputError(
            f"{name} has no tokenizer files. Save the tokenizer in the same folder as the weights."
        )
    weights = {
        file: path
        for file, path in files.items()
        if NEEDED.fullmatch(file) and file.endswith(".safetensors")
    }
    folder = files["config.json"].parent
    index = files.get("model.safetensors.index.json")
    if not weights and index is None:
        raise _no_weights(name, folder)
    if index is not None:
        try:
            listed = set(json.loads(index.read_text())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"The index {index} is damaged ({error!r}). Fetch it again."
            ) from error
        if missing := sorted(listed - set(weights)):
            raise InputError(f"{name} lacks {', '.join(missing)}. Fetch it again.")
    for file, path in weights.items():
        try:
            with safetensors.safe_open(path, framework="numpy"):
                pass
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(
                f"{folder / file} is truncated or damaged ({error}). Fetch it again."
            ) from error


def _no_weights(name: str, folder: Path) -> InputError:
    """Return the error for a checkpoint without safetensors weights: pickles, or an incomplete copy."""
    advice = (
        "For many models the hub holds a conversion to safetensors as a pull request (see the tab Community of the "
        "model's page): set 'revision' to the commit id of that pull request."
    )
    if any(path for pattern in PICKLED for path in folder.glob(pattern)):
        return InputError(
            f"{name} has no weights in the safetensors format. Pickled weights (.bin, .pt) are refused, "
            f"because they can run code when they are loaded. {advice} Or convert a local copy: load it with "
            "transformers on a machine where you trust it, and save it with save_pretrained."
        )
    return InputError(
        f"{name} has no weights in the safetensors format: {folder} is incomplete, or the model has only pickled "
        f"weights, which are refused. {advice} Otherwise fetch the checkpoint again."
    )
