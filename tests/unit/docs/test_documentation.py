"""What the documentation says is there: pages, headings, commands, keys, and examples that the config check accepts."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from arxiv_embeddings.config.check import check_config

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "config/README.md", *sorted(ROOT.glob("docs/*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


def prose(page: Path) -> str:
    """The text of a page without blocks of code."""
    return FENCE.sub("", page.read_text())


def code(page: Path) -> str:
    """The blocks of code of a page, and the code within its lines."""
    text = page.read_text()
    blocks = [match[3] for match in FENCE.finditer(text)]
    return "\n".join(blocks + INLINE_CODE.findall(FENCE.sub("", text)))


def examples(page: Path) -> Iterator[dict[str, Any]]:
    """The YAML examples of a page."""
    for match in FENCE.finditer(page.read_text()):
        if match[2] == "yaml":
            yield yaml.safe_load(match[3])


def anchors(page: Path) -> set[str]:
    """The anchors that forges give to the headings of a page."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"[^\w\- ]", "", LINK.sub("", heading).strip().lower()).replace(" ", "-")
        number = 0
        while (anchor := f"{text}-{number}" if number else text) in found:
            number += 1
        found.add(anchor)
    return found


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https" and "." in parts.netloc, target
            continue
        linked = (page.parent / parts.path) if parts.path else page
        assert linked.exists(), target
        assert linked.resolve().is_relative_to(ROOT), target
        if parts.fragment:
            assert parts.fragment in anchors(linked), target


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / target).resolve() for target in LINK.findall(prose(ROOT / "README.md"))}
    assert {page for page in PAGES if page.name != "README.md"} <= linked


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^ *|`)make ([a-z][a-z-]*)", code(page), re.MULTILINE)
    assert set(named) <= targets


@each_page
def test_named_files_of_the_repository_exist(page: Path) -> None:
    folders = (ROOT, ROOT / "workflow/scripts", ROOT / "workflow/scripts/arxiv_embeddings")
    for name in re.findall(r"`([\w.-]+/[\w./-]*(?:\.py|\.smk|\.yaml|/))`", prose(page)):
        if not name.startswith(("results/", "logs/", "resources/", "benchmarks/", ".")):
            assert any((folder / name).exists() for folder in folders), name


@each_page
def test_config_keys_exist(page: Path) -> None:
    known = set(re.findall(r"^\| `([^`]+)`", (ROOT / "config/README.md").read_text(), re.MULTILINE))
    named = re.findall(
        r"`((?:corpus|sample|shards)\.[a-z_ .0-9]+|models\[\]\.[a-z_]+)`", prose(page)
    )
    assert set(named) <= known


@each_page
def test_examples_are_valid_configs(page: Path) -> None:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for example in examples(page):
        corpus = {**config["corpus"], **example.get("corpus", {})}
        check_config(
            {**config, **example, "corpus": corpus, "sample": config["sample"]}, SCHEMA, [ROOT]
        )


def test_there_are_examples_of_models_and_of_other_corpora() -> None:
    assert [len(example["models"]) for example in examples(ROOT / "docs/models.md")] == [2]
    corpora = [example["corpus"]["format"] for example in examples(ROOT / "docs/corpora.md")]
    assert corpora == ["wos", "table"]


def test_table_of_config_keys_is_up_to_date(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    shutil.copy(ROOT / "config/README.md", page)
    subprocess.run([sys.executable, ROOT / "docs/config_keys.py", SCHEMA, page], check=True)
    assert page.read_text() == (ROOT / "config/README.md").read_text(), "run: make docs"


def test_table_of_config_keys_follows_the_schema(tmp_path: Path) -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    schema["properties"]["sample"]["properties"]["new"] = {"description": "New.", "default": "a"}
    changed, page = tmp_path / "schema.yaml", tmp_path / "README.md"
    changed.write_text(yaml.safe_dump(schema, sort_keys=False))
    shutil.copy(ROOT / "config/README.md", page)
    subprocess.run([sys.executable, ROOT / "docs/config_keys.py", changed, page], check=True)
    before = (ROOT / "config/README.md").read_text().splitlines()
    assert [line for line in page.read_text().splitlines() if line not in before] == [
        '| `sample.new` | `"a"` | New. |'
    ]


def test_every_key_is_in_the_table() -> None:
    def keys(schema: dict[str, Any], prefix: str) -> Iterator[str]:
        for key, value in schema.get("properties", {}).items():
            inner = [
                *keys(value, f"{prefix}{key}."),
                *keys(value.get("items", {}), f"{prefix}{key}[]."),
            ]
            yield from inner or [prefix + key]

    page = (ROOT / "config/README.md").read_text()
    for key in keys(yaml.safe_load(SCHEMA.read_text()), ""):
        assert f"\n| `{key}` |" in page, key
