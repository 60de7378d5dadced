"""Checking the config before anything runs, in words that name the key and what is allowed."""

import collections
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from ..common.errors import InputError
from .derived import WOS_FILES, snapshot_files

# JSON schema takes 100.0 for an integer; counts are written without a point.
VALIDATOR = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
RESULT_NAMES = {"papers.parquet", "drawn.parquet", "filter.json", "comparison"}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_config(config: dict[str, Any], schema_path: Path, folders: Sequence[Path]) -> None:
    """Fail with every error of ``config``: against the schema first, then among its models.

    Snakemake hands over what stands in braces after ``--config`` as text (``sample={size: 100}`` gives
    ``"100"``); such numbers and truth values are put into ``config`` as what they are.

    Args:
        config: the config as it was read.
        schema_path: the JSON schema of it (YAML); its descriptions say what is allowed.
        folders: where relative paths are looked for, in this order.

    Raises:
        InputError: one line for each error, with the path of its key and what is allowed there.
    """
    schema = yaml.safe_load(schema_path.read_text())
    _parse_texts(config, schema)
    errors = list(_schema_errors(config, schema))
    if not errors:
        errors += _model_errors(config["models"], folders)
    if errors:
        raise InputError("\n".join(["The config has errors:", *(f"  {error}" for error in errors)]))


def _parse_texts(value: Any, schema: dict[str, Any]) -> Any:
    """Return ``value`` with texts parsed where ``schema`` wants none; containers are changed in place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            value[key] = _parse_texts(inner, schema.get("properties", {}).get(key, {}))
    elif isinstance(value, list):
        value[:] = [_parse_texts(inner, schema.get("items", {})) for inner in value]
    elif isinstance(value, str) and not VALIDATOR(schema).is_valid(value):
        with contextlib.suppress(yaml.YAMLError, ValueError):
            parsed = yaml.safe_load(value)
            return parsed if VALIDATOR(schema).is_valid(parsed) else value
    return value


def _schema_errors(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    validator = VALIDATOR(schema)
    for error in sorted(validator.iter_errors(config), key=lambda error: error.json_path):
        path = error.json_path.removeprefix("$").removeprefix(".")
        place = f"{path}: " if path else ""
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            for key in sorted(set(error.instance) - set(known), key=str):
                yield f"{place}unknown key {key!r}. Allowed here: {', '.join(known)}."
        elif error.validator == "required":
            yield f"{place}{error.message}: {error.schema.get('description', '')}"
        else:
            allowed = error.schema.get("description", error.message)
            keys = (
                f" Its keys: {', '.join(error.schema['properties'])}."
                if error.validator == "type" and "properties" in error.schema
                else ""
            )
            yield f"{place}{error.instance!r} is not allowed. {allowed}{keys}"


def _model_errors(models: list[dict[str, Any]], folders: Sequence[Path]) -> Iterator[str]:
    labels = collections.Counter(model["label"] for model in models)
    for number, model in enumerate(models):
        place, label, name = f"models[{number}]", model["label"], model["name"]
        if label in RESULT_NAMES:
            yield f"{place}.label: {label!r} is the name of another result. Choose another."
        if labels[label] > 1:
            yield f"{place}.label: {label!r} is used by {labels[label]} models. Each needs its own."
        if find_input(name, folders, Path.is_dir):
            continue
        if not HUB_ID.fullmatch(name):
            yield (
                f"{place}.name: {name!r} is no Hugging Face id (owner/name), and there is no such "
                f"directory in {_listed(folders)}."
            )
        elif model.get("revision") is None:
            yield (
                f"{place}.revision: {name!r} needs one, the full commit id of the checkpoint (40 "
                f"hexadecimal digits). If a local directory is meant, there is none of that name in "
                f"{_listed(folders)}."
            )


def _listed(folders: Sequence[Path]) -> str:
    return " or ".join(str(folder.resolve()) for folder in folders)


def check_snapshot(name: str, folders: Sequence[Path], kind: str = "arxiv") -> None:
    """Fail if there is no snapshot ``name`` in any of ``folders``; ``kind`` is the corpus.format."""
    if find_snapshot(name, folders, kind):
        return
    what, wanted = {
        "arxiv": (f"no {name!r}", "the metadata file"),
        "wos": (f"no folder {name!r} with {', '.join(WOS_FILES)}", "that folder"),
        "table": (f"no {name!r}", "the table"),
    }[kind]
    raise InputError(
        f"snapshot: there is {what} in {_listed(folders)}. "
        f"Put {wanted} there, or set the key to where it is."
    )


def find_snapshot(name: str, folders: Sequence[Path], kind: str) -> Path | None:
    """Return where the snapshot lies: in the first of ``folders`` that has all its files, or None."""

    def is_whole(path: Path) -> bool:
        return all(file.is_file() for file in snapshot_files(path, kind))

    return find_input(name, folders, is_whole)


def find_input(name: str, folders: Sequence[Path], kind: Callable[[Path], bool]) -> Path | None:
    """Return where the input ``name`` lies: in the first of ``folders`` that has it, or None.

    Args:
        name: a relative path, or an absolute one, which is looked for as it stands.
        folders: where a relative path is looked for, in this order.
        kind: tells whether a path is what is looked for, for example ``Path.is_dir``.
    """
    return next((folder / name for folder in folders if kind(folder / name)), None)
