"""What identifies a fetched checkpoint. Apart from fetching, so that merging need not import transformers."""

import json
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import json_sha256
from .json_files import MANIFEST


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
