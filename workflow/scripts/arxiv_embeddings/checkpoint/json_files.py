"""Reading the JSON files of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from ..common.errors import InputError


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, or None if there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}). Fetch the checkpoint again.") from error
