"""Checking the config before anything runs. Every error names the key and the allowed values."""

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
from .methods import setting_errors

# JSON Schema accepts 100.0 as an integer, but counts must be written without a decimal point.
VALIDATOR = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
RESULT_NAMES = {"papers.parquet", "drawn.parquet", "filter.json", "comparison"}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_config(config: dict[str, Any], schema_path: Path, folders: Sequence[Path]) -> None:
    """Report all errors of ``config``: those against the schema or, if there are none, those of models and methods.

    Snakemake passes values in braces after ``--config`` as strings (``sample={size: 100}`` gives
    ``"100"``). Numbers and booleans among them are replaced in ``config`` by their parsed values.

    Args:
        config: the config as Snakemake read it.
        schema_path: its JSON Schema (YAML), whose descriptions say what is allowed.
        folders: where relative paths are searched, in this order.

    Raises:
        InputError: one line per error, with the path of its key and what is allowed there.
    """
    schema = yaml.safe_load(schema_path.read_text())
    _parse_strings(config, schema)
    errors = list(_schema_errors(config, schema))
    if not errors:
        errors += _model_errors(config["models"], folders)
        errors += setting_errors(config.get("evaluation", {}).get("settings", {}))
    if errors:
        raise InputError("\n".join(["The config has errors:", *(f"  {error}" for error in errors)]))


def _parse_strings(value: Any, schema: dict[str, Any]) -> Any:
    """Return ``value`` with strings parsed as YAML where ``schema`` allows no string; change containers in place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            value[key] = _parse_strings(inner, schema.get("properties", {}).get(key, {}))
    elif isinstance(value, list):
        value[:] = [_parse_strings(inner, schema.get("items", {})) for inner in value]
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
            yield f"{place}{error.message}. {error.schema.get('description', '')}"
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
            yield f"{place}.label: {label!r} is the name of another result. Choose another label."
        if labels[label] > 1:
            yield f"{place}.label: {labels[label]} models have the label {label!r}. Give each its own."
        if find_input(name, folders, Path.is_dir):
            continue
        if not HUB_ID.fullmatch(name):
            yield (
                f"{place}.name: {name!r} is not a Hugging Face id (owner/name), and there is no such "
                f"folder in {_listed(folders)}. Set name to one of them."
            )
        elif model.get("revision") is None:
            yield (
                f"{place}.revision: {name!r} needs a revision: there is no such folder in "
                f"{_listed(folders)}, so it is a Hugging Face id. Set revision to the full commit id of "
                "the checkpoint, 40 hexadecimal digits."
            )


def _listed(folders: Sequence[Path]) -> str:
    # The working folder is often the clone itself, so the same folder may be given twice.
    return " or ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))


def check_snapshot(name: str, folders: Sequence[Path], corpus_format: str = "arxiv") -> None:
    """Fail if none of ``folders`` contains the snapshot ``name`` of the format ``corpus_format``."""
    if find_snapshot(name, folders, corpus_format):
        return
    missing, wanted = {
        "arxiv": (f"no {name!r}", "the metadata file"),
        "wos": (f"no folder {name!r} with {', '.join(WOS_FILES)}", "the folder"),
        "table": (f"no {name!r}", "the table"),
    }[corpus_format]
    raise InputError(
        f"snapshot: there is {missing} in {_listed(folders)}. "
        f"Put {wanted} there, or set snapshot to its path."
    )


def find_snapshot(name: str, folders: Sequence[Path], corpus_format: str) -> Path | None:
    """Return the path of the snapshot in the first of ``folders`` that has all its files, or None."""

    def is_complete(path: Path) -> bool:
        return all(file.is_file() for file in snapshot_files(path, corpus_format))

    return find_input(name, folders, is_complete)


def find_input(name: str, folders: Sequence[Path], is_input: Callable[[Path], bool]) -> Path | None:
    """Return the path of the input ``name`` in the first of ``folders`` that has it, or None.

    Args:
        name: a relative path, or an absolute one, which is used without ``folders``.
        folders: where a relative path is searched, in this order.
        is_input: whether a path is a valid input, for example ``Path.is_dir``.
    """
    return next((folder / name for folder in folders if is_input(folder / name)), None)
