"""The HTML tables of the report: provenance, scores and differences."""

from typing import Any

import pytest
from arxiv_embeddings.report.pages.html import HtmlTable, render_tables
from arxiv_embeddings.report.pages.provenance import provenance_table
from arxiv_embeddings.report.pages.scores import differences_table, scores_table

MARKUP = "</script><img src=x onerror=alert(1)>"


def manifest(corpus: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a model's manifest that the page reads."""
    return {
        "snapshot": {"name": "snapshot.json", "bytes": 1, "sha256": "0"},
        "records": {"read": 2, "kept": 1},
        "config": {"corpus": corpus},
        "sample": {"size": 1, "drawn_from": 1, "seed": 42},
        "checkpoint": {"name": "model", "revision": None, "sha256": "0"},
        "encoder": {},
        "embeddings": {"shape": [1, 2], "dtype": "float32", "vectors_sha256": "0"},
        "tokens": 3,
        "shards": [],
        "versions": {},
        "commit": None,
    }


@pytest.mark.parametrize(
    ("corpus", "shown"),
    [
        ({"categories": ["cs.", "physics."]}, "cs., physics."),
        ({"categories": "all"}, "all"),
        ({"format": "wos"}, "all"),
    ],
)
def test_provenance_states_the_selected_categories(corpus: dict[str, Any], shown: str) -> None:
    table = provenance_table({"minilm": manifest(corpus)}, {"minilm": {}})
    assert ["categories", shown] in table.rows


def test_markup_in_tables_is_shown_as_text() -> None:
    page = render_tables("Heading", [HtmlTable("<i>", MARKUP, ["a"], [[MARKUP]])])
    assert "<img" not in page
    assert "&lt;img" in page


def test_scores_of_models_are_in_one_row() -> None:
    key = {"family": "space", "method": "k-NN", "metric": "accuracy_at_1", "level": "category 0"}
    one = {"model": "one", **key, "value": 0.5, "low": 0.4, "high": 0.6, "papers": 9, "note": ""}
    two = {**one, "model": "two", "value": None, "low": None, "high": None, "note": "too few"}
    table = scores_table([one, two])
    assert table.columns[3:5] == ["one", "two"]
    assert table.rows == [
        [
            *("accuracy at 1", "category 0", "space, k-NN"),
            *("0.5000 [0.4000, 0.6000]", "omitted", "9", "too few"),
        ]
    ]
    difference = {"model a": "one", "model b": "two", **key, "difference": -0.1}
    rows = differences_table([{**difference, "low": -0.2, "high": -0.05, "real": True}]).rows
    assert rows[0][3:] == ["one − two", "-0.1000 [-0.2000, -0.0500]", "yes"]
