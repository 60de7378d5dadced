"""The provenance of the results on the pages of the report."""

from typing import Any

import pytest
from arxiv_embeddings.report.pages.provenance import provenance_table


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
