"""The HTML table of provenance, and of the methods."""

from typing import Any

import pytest
from arxiv_embeddings.report.pages.html import Cell, HtmlTable, render_tables
from arxiv_embeddings.report.pages.provenance import methods_table, provenance_table

MARKUP = "</script><img src=x onerror=alert(1)>"


def manifest(**changes: Any) -> dict[str, Any]:
    """Return the part of a model's manifest that the page reads; ``changes`` replace its values."""
    return {
        "snapshot": {"name": "snapshot.json", "bytes": 1, "sha256": "0"},
        "records": {"read": 2, "kept": 1},
        "request": {"corpus": {"categories": []}},
        "sample": {"size": 1, "drawn_from": 1, "seed": 42, "order": "pandas"},
        "checkpoint": {"name": "model", "revision": None, "sha256": "0"},
        "encoder": {},
        "embeddings": {"shape": [1, 2], "dtype": "float32", "vectors_sha256": "0"},
        "tokens": 3,
        "pieces": [],
        "changes": None,
        "versions": {},
        "commit": None,
        **changes,
    }


@pytest.mark.parametrize(
    ("categories", "shown"), [(["cs.", "physics."], "cs., physics."), ([], "all")]
)
def test_provenance_states_the_selected_categories(categories: list[str], shown: str) -> None:
    request = {"corpus": {"categories": categories}}
    table = provenance_table({"minilm": manifest(request=request)})
    assert ["categories", shown] in table.rows


def test_provenance_states_devices_and_versions_of_the_pieces_once() -> None:
    pieces = [
        {"device": {"name": name}, "versions": {"torch": "2.9"}}
        for name in ("A100", "H100", "A100")
    ]
    rows = provenance_table({"minilm": manifest(pieces=pieces)}).rows
    assert ["pieces of vectors", "3"] in rows
    assert ["versions, embedding", "torch 2.9"] in rows
    [devices] = [str(row[1]) for row in rows if row[0] == "devices"]
    assert "A100" in devices and "H100" in devices


@pytest.mark.parametrize(
    ("order", "shown"), [("pandas", "as pandas draws it"), ("hash", "by a hash of seed and id")]
)
def test_provenance_states_the_order_of_the_sample(order: str, shown: str) -> None:
    sample = {"size": 1, "drawn_from": 1, "seed": 42, "order": order}
    table = provenance_table({"minilm": manifest(sample=sample)})
    assert ["order of the sample", shown] in table.rows


def test_provenance_states_what_changed_since_the_last_result() -> None:
    def changes(**counts: int) -> list[list[str | Cell]]:
        made = {"new": 0, "gone": 0, "other_text": 0, "other_label": 0, **counts}
        rows = provenance_table({"minilm": manifest(changes=made)}).rows
        return [row for row in rows if str(row[0]).startswith("papers changed")]

    name = "papers changed since the last result"
    assert changes(new=1_200, other_text=3) == [[name, "1,200 new, 3 with another text"]]
    assert changes(gone=1, other_label=2) == [[name, "1 gone, 2 with another label"]]
    assert changes() == [[name, "none"]]
    first = provenance_table({"minilm": manifest()})
    assert not [row for row in first.rows if row[0] == name]


def test_markup_in_tables_is_shown_as_text() -> None:
    page = render_tables("Heading", [HtmlTable("<i>", MARKUP, ["a"], [[MARKUP]])])
    assert "<img" not in page
    assert "&lt;img" in page


def test_the_methods_are_told_with_settings_and_what_they_told() -> None:
    report = {
        "method": "pca",
        "papers": 9,
        "dimensions": 5,
        "seed": 42,
        "settings": {"whiten": False},
        "explained_variance": 0.61,
        "seconds": 1.25,
        "peak_bytes": 2_100_000_000,
        "versions": {"numpy": "2.4"},
    }
    omitted = {"method": "phate", "papers": 9, "omitted": "phate is not installed"}
    first, second = methods_table([report, omitted]).rows
    shown = [cell if isinstance(cell, str) else cell.text for cell in first]
    assert shown == [
        *(
            "PCA",
            "5",
            "42",
            "whiten false",
            "explained_variance 0.61",
            "1.2",
            "2.1 GB",
            "numpy 2.4",
        ),
    ]
    assert second[0] == "PHATE" and "omitted: phate is not installed" in second
