"""Every error of a config is reported with the path of its key and what is allowed there."""

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.check import check_config

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
COMMIT = "0123456789abcdef" * 2 + "01234567"
NAMES = (
    "config",
    "demo",
)  # the shipped config files; values of the second replace those of the first

Config = dict[str, Any]


def merged(config: Config, changes: Config) -> Config:
    """Return ``config`` updated with ``changes``: mappings are merged, other values are replaced."""
    both = config | changes
    for key in config.keys() & changes.keys():
        if isinstance(config[key], dict) and isinstance(changes[key], dict):
            both[key] = merged(config[key], changes[key])
    return both


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The config of the demo, with a model in ``tmp_path``."""
    shipped = [yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in NAMES]
    both = merged(*shipped)
    both["models"] = [{**both["models"][0], "name": "model"}]
    (tmp_path / "model").mkdir()
    return both


def changed(config: Config, place: str, value: Any) -> Config:
    """Return ``config`` with ``value`` at ``place``, for example ``models[0].label``; ``...`` deletes."""
    changed = copy.deepcopy(config)
    *path, last = [
        int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", place)
    ]
    inner: Any = changed
    for part in path:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return changed


def errors(config: Config, folder: Path) -> list[str]:
    """Return the error lines of ``config``."""
    try:
        check_config(config, SCHEMA, [folder])
    except InputError as error:
        first, *lines = str(error).splitlines()
        assert first == "The config has errors:"
        return [line.removeprefix("  ") for line in lines]
    return []


@pytest.mark.parametrize("names", [("config",), NAMES])
def test_shipped_configs_are_valid(names: tuple[str, ...]) -> None:
    config: Config = {}
    for name in names:
        config = merged(config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    jsonschema.validate(config, yaml.safe_load(SCHEMA.read_text()))
    check_config(config, SCHEMA, [ROOT])


def test_every_key_is_described() -> None:
    def undescribed(schema: Config, place: str) -> list[str]:
        inner = [*schema.get("properties", {}).items()]
        if "items" in schema:
            inner.append(("[]", schema["items"]))
        missing = [place] if not schema.get("description") else []
        return missing + [
            name for key, part in inner for name in undescribed(part, f"{place}.{key}")
        ]

    assert undescribed(yaml.safe_load(SCHEMA.read_text()), "config") == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("sample.size", 1),
        ("sample.size", "all"),
        ("sample.seed", 2**32 - 1),
        ("corpus.format", "arxiv"),
        ("corpus.format", "wos"),
        ("corpus.categories", "all"),
        ("corpus.max_bad_records", 0),
        ("corpus.max_bad_records", ...),
        ("models[0].name", "Qwen/Qwen3-Embedding-0.6B"),
        ("models[0].revision", COMMIT),
        ("models[0].revision", None),
        ("models[0].pooling", ...),
        ("models[0].pooling", "max"),
        ("models[0].pooling", "cls+mean_sqrt_len+last"),
        ("models[0].max_length", "auto"),
        ("models[0].architecture", "stock"),
        ("models[0].normalize", "auto"),
        ("models[0].dimensions", None),
        ("models[0].label", "A-1_b.c"),
    ],
)
def test_allowed_value_passes(place: str, value: Any, config: Config, tmp_path: Path) -> None:
    config["models"][0]["revision"] = COMMIT
    assert errors(changed(config, place, value), tmp_path) == []


ALLOWED = {
    "sample.size": "A whole number of papers from 1 upward, or all.",
    "sample.seed": "A whole number from 0 to 4294967295",
    "shards.size": "A whole number of papers from 1 upward",
    "corpus.name": "letters, digits, and . _ - after the first character",
    "corpus.format": "arxiv (the metadata snapshot), wos (a folder",
    "corpus.categories": "A list of one or more category prefixes, or all.",
    "corpus.categories[0]": 'A category prefix such as "cs.", without spaces.',
    "corpus.max_bad_records": "Share of unreadable records, 0 to 1",
    "snapshot": "Path of the arXiv metadata snapshot",
    "models": "A list of one or more models",
    "models[0].label": "letters, digits, and . _ - after the first character",
    "models[0].name": "A Hugging Face id such as Qwen/Qwen3-Embedding-0.6B, or the path",
    "models[0].revision": "full commit id of the checkpoint, 40 hexadecimal digits",
    "models[0].pooling": "mean, last, cls, or auto",
    "models[0].max_length": "A whole number of tokens from 8 upward",
    "models[0].normalize": "true, false, or auto",
    "models[0].dtype": "float32, bfloat16, float16, or auto",
    "models[0].prompt": "Text put before every paper's text",
    "models[0].dimensions": "A whole number of leading components to keep",
    "models[0].architecture": "declared (the default), or stock",
}
WRONG: dict[str, list[Any]] = {
    "sample.size": [-1, 0, 1.5, "some", "ALL", True, None, [100]],
    "sample.seed": [-1, 2**32, "x", None],
    "shards.size": [0, -5_000, 1.5, "all"],
    "corpus.name": ["", "a/b", "../a", ".hidden", "a b", None],
    "corpus.format": ["csv", "Arxiv", None, ["wos"]],
    "corpus.categories": [[], "cs.", None, ["cs.", "cs."]],
    "corpus.categories[0]": ["", "cs. physics.", 1],
    "corpus.max_bad_records": [-0.1, 1.1, "few", None],
    "snapshot": ["", None, ["a.json"]],
    "models": [[], {}, None, "minilm"],
    "models[0].label": ["", "a/b", "..", ".", "-x", "a b", "a\\b", "é", 7, None],
    "models[0].name": ["", None, 7],
    "models[0].revision": ["main", "v1.0", COMMIT[:7], COMMIT.upper(), 1],
    "models[0].pooling": ["min", "Mean", "mean+", "mean+auto", None, True],
    "models[0].max_length": [7, -1, "long", None],
    "models[0].normalize": ["yes please", 1, 0, None],
    "models[0].dtype": ["float64", "fp16", None],
    "models[0].prompt": [None, 7],
    "models[0].dimensions": [0, -1, "all"],
    "models[0].architecture": ["own", "auto", None, True],
}


@pytest.mark.parametrize(
    ("place", "value"), [(place, value) for place, values in WRONG.items() for value in values]
)
def test_wrong_value_is_reported_with_what_is_allowed(
    place: str, value: Any, config: Config, tmp_path: Path
) -> None:
    (error,) = errors(changed(config, place, value), tmp_path)
    assert error.startswith(f"{place}: {value!r} is not allowed. ")
    assert ALLOWED[place] in error


@pytest.mark.parametrize("place", ["sample.size", "shards.size", "models[0].max_length"])
def test_integer_with_a_decimal_point_is_refused(
    place: str, config: Config, tmp_path: Path
) -> None:
    assert errors(changed(config, place, 100.0), tmp_path) != []


@pytest.mark.parametrize(("key", "value"), [("label", "minilm"), ("revision", COMMIT)])
def test_newline_after_a_name_is_refused_or_removed(
    key: str, value: str, config: Config, tmp_path: Path
) -> None:
    given = changed(config, f"models[0].{key}", f"{value}\n")
    assert errors(given, tmp_path) or given["models"][0][key] == value


@pytest.mark.parametrize("value", [None, "arxiv", 30_000, []])
@pytest.mark.parametrize(
    ("place", "keys"),
    [
        ("corpus", "name, format, categories, columns, max_bad_records"),
        ("sample", "size, seed, order"),
        ("shards", "size"),
        ("models[0]", "label, name, revision"),
    ],
)
def test_value_in_place_of_a_mapping_is_reported_with_the_keys(
    place: str, keys: str, value: Any, config: Config, tmp_path: Path
) -> None:
    (error,) = errors(changed(config, place, value), tmp_path)
    assert error.startswith(f"{place}: {value!r} is not allowed. ")
    assert f" Its keys: {keys}" in error


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ("", "snapshot, corpus, sample, shards, vector_store, evaluation, models"),
        ("corpus", "name, format, categories, columns, max_bad_records"),
        ("sample", "size, seed, order"),
        ("shards", "size"),
        (
            "models[0]",
            "label, name, revision, pooling, max_length, normalize, dtype, prompt, dimensions, architecture",
        ),
    ],
)
def test_unknown_key_is_reported_with_the_known_ones(
    place: str, known: str, config: Config, tmp_path: Path
) -> None:
    wrong = changed(config, f"{place}.sice", 1)
    start = f"{place}: " if place else ""
    assert errors(wrong, tmp_path) == [f"{start}unknown key 'sice'. Allowed here: {known}."]


def test_every_unknown_key_is_reported(config: Config, tmp_path: Path) -> None:
    wrong = changed(changed(config, "shards.b", 1), "shards.a", 1)
    assert [error.split(".")[0] for error in errors(wrong, tmp_path)] == [
        "shards: unknown key 'a'",
        "shards: unknown key 'b'",
    ]


def test_unknown_keys_of_several_types_are_reported(config: Config, tmp_path: Path) -> None:
    mixed: dict[Any, Any] = {**config, "a": 1, 7: 1}
    assert len(errors(mixed, tmp_path)) == 2


@pytest.mark.parametrize(
    "place",
    [
        *("snapshot", "corpus", "sample", "shards", "models"),
        *("corpus.name", "corpus.categories", "sample.size", "sample.seed", "shards.size"),
        *("models[0].label", "models[0].name"),
    ],
)
def test_missing_key_is_reported(place: str, config: Config, tmp_path: Path) -> None:
    section, _, key = place.rpartition(".")
    (error,) = errors(changed(config, place, ...), tmp_path)
    start = f"{section}: " if section else ""
    assert error.startswith(f"{start}{key!r} is a required property")


def test_several_errors_are_reported_together(config: Config, tmp_path: Path) -> None:
    wrong = changed(config, "sample.size", -1)
    wrong = changed(wrong, "corpus.categories", [])
    wrong = changed(wrong, "models[0].pooling", "min")
    wrong = changed(wrong, "modles", [])
    assert [error.split(": ")[0] for error in errors(wrong, tmp_path)] == [
        "unknown key 'modles'. Allowed here",
        "corpus.categories",
        "models[0].pooling",
        "sample.size",
    ]


COLUMNS: Config = {"id": "no", "text": ["title", "abstract"], "category 1": "label"}


@pytest.fixture
def table(config: Config) -> Config:
    """A config whose corpus is a table."""
    corpus = {"name": "table", "format": "table", "columns": copy.deepcopy(COLUMNS)}
    return {**config, "corpus": corpus}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("corpus.categories", ["Computer Science.", "é"]),
        ("corpus.categories", "all"),
        ("corpus.columns.text", "title"),
        ("corpus.columns.category 0", "field"),
        ("corpus.columns.id", "it's {no}"),
    ],
)
def test_allowed_value_for_a_table_passes(
    place: str, value: Any, table: Config, tmp_path: Path
) -> None:
    assert errors(table, tmp_path) == []
    assert errors(changed(table, place, value), tmp_path) == []


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("corpus.columns.id", None, "Name of the column with the papers' ids."),
        ("corpus.columns.id", 0, "Name of the column with the papers' ids."),
        ("corpus.columns.text", [], "Name of the column with the texts, or a list of names"),
        ("corpus.columns.text[0]", "", "Name of a column."),
        ("corpus.columns.category 0", "", "Name of the column with the coarser label."),
        ("corpus.columns.category 1", ["a"], "Name of the column with the finer label."),
        (
            "corpus.columns",
            "label",
            "The names of the table's columns. Required for corpus.format table, refused for the others. "
            "Its keys: id, text, category 0",
        ),
        ("corpus.categories[0]", "", "A category prefix, not empty."),
    ],
)
def test_wrong_value_for_a_table_is_reported(
    place: str, value: Any, expected: str, table: Config, tmp_path: Path
) -> None:
    table["corpus"]["columns"]["category 0"] = "field"
    table["corpus"]["categories"] = ["cs."]
    (error,) = errors(changed(table, place, value), tmp_path)
    path = re.sub(r"\.(category \d)", r"['\1']", place)
    assert error.startswith(f"{path}: {value!r} is not allowed. {expected}")


@pytest.mark.parametrize("key", COLUMNS)
def test_missing_column_is_reported(key: str, table: Config, tmp_path: Path) -> None:
    (error,) = errors(changed(table, f"corpus.columns.{key}", ...), tmp_path)
    assert error.startswith(f"corpus.columns: {key!r} is a required property")


def test_table_without_columns_is_reported(table: Config, tmp_path: Path) -> None:
    (error,) = errors(changed(table, "corpus.columns", ...), tmp_path)
    assert error == (
        "corpus: 'columns' is a required property. Name the columns of the table, see corpus.columns in "
        "config/README.md."
    )


@pytest.mark.parametrize("kind", ["arxiv", "wos", ...])
def test_columns_are_refused_for_other_formats(kind: Any, table: Config, tmp_path: Path) -> None:
    other = changed(changed(table, "corpus.format", kind), "corpus.categories", "all")
    (error,) = errors(other, tmp_path)
    message = f"corpus.columns: {COLUMNS!r} is not allowed. Only corpus.format table has columns."
    assert error == f"{message} Remove the key, or set corpus.format to table."


def test_only_arxiv_needs_categories(table: Config, tmp_path: Path) -> None:
    for kind, missing in (("arxiv", True), ("wos", False)):
        corpus = {"name": "a", "format": kind}
        assert bool(errors({**table, "corpus": corpus}, tmp_path)) == missing


def with_models(config: Config, *models: Config) -> Config:
    """Return ``config`` with other ``models``."""
    return {**config, "models": list(models)}


def test_repeated_label_is_reported(config: Config, tmp_path: Path) -> None:
    model = config["models"][0]
    two = with_models(config, model, {**model, "label": "other"}, {**model, "pooling": "cls"})
    message = f"2 models have the label {model['label']!r}. Give each its own."
    assert errors(two, tmp_path) == [f"models[{number}].label: {message}" for number in (0, 2)]


@pytest.mark.parametrize("label", ["papers.parquet", "comparison"])
def test_label_of_another_result_is_reported(label: str, config: Config, tmp_path: Path) -> None:
    model = {**config["models"][0], "label": label}
    message = f"models[0].label: {label!r} is the name of another result. Choose another label."
    assert errors(with_models(config, model), tmp_path) == [message]


def test_hub_model_without_revision_is_reported(config: Config, tmp_path: Path) -> None:
    model = {"label": "a", "name": "owner/model"}
    (error,) = errors(with_models(config, model), tmp_path)
    assert error == (
        "models[0].revision: 'owner/model' needs a revision: there is no such folder in "
        f"{tmp_path}, so it is a Hugging Face id. Set revision to the full commit id of the "
        "checkpoint, 40 hexadecimal digits."
    )


@pytest.mark.parametrize(
    "name", ["minilm", "/no/such/directory", "a/b/c", "https://hub/a/b", "a/b c"]
)
def test_model_that_is_nowhere_is_reported(name: str, config: Config, tmp_path: Path) -> None:
    model = {"label": "a", "name": name, "revision": COMMIT}
    (error,) = errors(with_models(config, model), tmp_path)
    assert error == (
        f"models[0].name: {name!r} is not a Hugging Face id (owner/name), and there is no such "
        f"folder in {tmp_path}. Set name to one of them."
    )


def test_file_in_place_of_a_model_folder_is_reported(config: Config, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    model = {"label": "a", "name": "model.safetensors"}
    (error,) = errors(with_models(config, model), tmp_path)
    assert error.startswith("models[0].name: 'model.safetensors'")


def test_models_in_any_folder_are_found(config: Config, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/models/mine").mkdir(parents=True)
    model = {"label": "a", "name": "models/mine"}
    check_config(with_models(config, model), SCHEMA, [tmp_path, tmp_path / "elsewhere"])
    absolute = {"label": "a", "name": str(tmp_path / "elsewhere/models/mine")}
    check_config(with_models(config, absolute), SCHEMA, [tmp_path])


@pytest.mark.parametrize(
    ("place", "text", "value"),
    [
        ("sample.size", "100", 100),
        ("sample.size", "all", "all"),
        ("corpus.max_bad_records", "0.5", 0.5),
        ("models[0].normalize", "false", False),
        ("models[0].dimensions", "null", None),
        ("corpus.categories", '["math."]', ["math."]),
        ("models[0].prompt", "7", "7"),
        ("models[0].label", "7", "7"),
    ],
)
def test_strings_of_the_command_line_get_the_type_of_their_key(
    place: str, text: str, value: Any, config: Config, tmp_path: Path
) -> None:
    given = changed(config, place, text)
    assert errors(given, tmp_path) == []
    assert given == changed(config, place, value)


def test_string_like_an_invalid_date_is_reported(config: Config, tmp_path: Path) -> None:
    assert errors(changed(config, "models[0].revision", "2024-13-01"), tmp_path) != []


def test_folder_that_is_searched_twice_is_named_once(config: Config, tmp_path: Path) -> None:
    """The working folder of most runs is the clone itself."""
    other = with_models(config, {"label": "a", "name": "owner/model"})
    with pytest.raises(InputError, match=f"no such folder in {tmp_path}, so it is"):
        check_config(other, SCHEMA, [tmp_path, tmp_path / "model/.."])
