"""Find the vectors in a store that the merged result does not use."""

import json
from pathlib import Path


def unused_files(model: Path) -> tuple[list[Path], str]:
    """Return the files in a model's store that its merged result does not use, and why other files are kept.

    Vectors newer than the merged result are kept: a run that is not merged yet may need them.

    Args:
        model: the folder of the model's results.
    """
    try:
        written = (model / "manifest.json").stat().st_mtime
        used = {
            piece["piece"] for piece in json.loads((model / "manifest.json").read_text())["pieces"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return [], "There is no merged result, so all vectors are kept."
    files, newer = [], 0
    for file in sorted((model / "vectors").iterdir()):
        if file.name.split(".", 1)[0] in used:
            continue
        if file.stat().st_mtime > written:
            newer += 1
        else:
            files.append(file)
    reason = f"{newer} files are newer than the merged result and are kept." if newer else ""
    return files, reason
