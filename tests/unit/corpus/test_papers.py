"""The columns of the hierarchy are found by name, in the order of their depth."""

import pytest
from arxiv_embeddings.corpus.papers import level_columns, merged_columns, repeated_columns


@pytest.mark.parametrize(
    ("names", "levels"),
    [
        (["id", "category 1", "topic", "category 0"], ["category 0", "category 1"]),
        (
            [f"category {depth}" for depth in reversed(range(12))],
            [f"category {d}" for d in range(12)],
        ),
        (["category 0"], ["category 0"]),
        # The levels begin at 0 and leave none out.
        (["category 0", "category 2"], ["category 0"]),
        (["id", "categories"], []),
    ],
)
def test_levels(names: list[str], levels: list[str]) -> None:
    assert level_columns(names) == levels


PLAIN = ["id", "topic", "categories", "category 0", "category 1"]


def test_metadata_and_categories_are_merged_where_there_are_metadata() -> None:
    assert merged_columns(PLAIN) == ["id", "topic", "category 0", "category 1"]
    names = [*PLAIN, "title", "doi", "other"]
    assert merged_columns(names) == [*merged_columns(PLAIN), "categories", "title", "doi"]


def test_values_of_labels_dates_and_licenses_repeat() -> None:
    assert repeated_columns(PLAIN) == PLAIN[2:]
    assert repeated_columns([*PLAIN, "title", "license"]) == [*PLAIN[2:], "license"]
