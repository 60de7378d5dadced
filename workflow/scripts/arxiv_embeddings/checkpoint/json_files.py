"""Reading the JSON files of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from ..common.errors import InputError

# The manifest that fetch_model writes into the folder of a checkpoint.
MANIFEST = "checkpoint.json"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, or None if there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}). Fetch the checkpoint again.") from error


def read_transformer(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the file in which sentence-transformers declares the Transformer module, and its content.

    Older versions named the file after the architecture. Without a file, the content is empty.

    Raises:
        InputError: the file is damaged.
    """
    usual = folder / "sentence_bert_config.json"
    paths = [usual, *sorted(folder.glob("sentence_*_config.json"))]
    path = next((path for path in paths if path.is_file()), usual)
    return path, read_json(path) or {}
