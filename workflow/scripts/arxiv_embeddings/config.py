"""Checking the config before anything runs, in words that name the key and what is allowed."""

import collections
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from .errors import InputError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_config(config: dict[str, Any], schema_path: Path, folders: Sequence[Path]) -> None:
    """Fail with every error of ``config``: against the schema first, then against what is there.

    Args:
        config: the config as it was read.
        schema_path: the JSON schema of it (YAML); its descriptions say what is allowed.
        folders: where relative paths are looked for, in this order.

    Raises:
        InputError: one line for each error, with the path of its key and what is allowed there.
    """
    schema = yaml.safe_load(schema_path.read_text())
    errors = list(_schema_errors(config, schema))
    if not errors:
        errors += _snapshot_errors(config["snapshot"], folders)
        errors += _model_errors(config["models"], folders)
    if errors:
        raise InputError("\n".join(["The config has errors:", *(f"  {error}" for error in errors)]))


def _schema_errors(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(config), key=lambda error: error.json_path):
        path = error.json_path.removeprefix("$").removeprefix(".")
        place = f"{path}: " if path else ""
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            for key in sorted(set(error.instance) - set(known)):
                yield f"{place}unknown key {key!r}. Allowed here: {', '.join(known)}."
        elif error.validator == "required":
            yield f"{place}{error.message}: {error.schema.get('description', '')}"
        else:
            yield f"{place}{error.instance!r} is not allowed. {error.schema.get('description', error.message)}"


def _snapshot_errors(name: str, folders: Sequence[Path]) -> Iterator[str]:
    if not find_input(name, folders):
        yield (
            f"snapshot: there is no {name!r} in {' or '.join(map(str, folders))}. "
            "Put the metadata file there, or set the key to where it is."
        )


def _model_errors(models: list[dict[str, Any]], folders: Sequence[Path]) -> Iterator[str]:
    labels = collections.Counter(model["label"] for model in models)
    for number, model in enumerate(models):
        place, label, name = f"models[{number}]", model["label"], model["name"]
        if labels[label] > 1:
            yield f"{place}.label: {label!r} is used by {labels[label]} models. Each needs its own."
        if find_input(name, folders):
            continue
        if not HUB_ID.fullmatch(name):
            yield (
                f"{place}.name: {name!r} is no Hugging Face id (owner/name), and there is no such "
                f"directory in {' or '.join(map(str, folders))}."
            )
        elif model.get("revision") is None:
            yield (
                f"{place}.revision: {name!r} needs one, the full commit id of the checkpoint (40 "
                f"hexadecimal digits). If a local directory is meant, there is none of that name in "
                f"{' or '.join(map(str, folders))}."
            )


def find_input(name: str, folders: Sequence[Path]) -> Path | None:
    """Return where the file or directory ``name`` lies: the first of ``folders`` that has it, or None.

    An absolute path is looked for as it stands.
    """
    return next((folder / name for folder in folders if (folder / name).exists()), None)
