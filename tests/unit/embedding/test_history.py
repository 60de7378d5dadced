"""Changes since the last result are reported as numbers of papers."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.embedding.history import record_changes

PAPERS = {"a": ("A", "cs.CL"), "b": ("B", "cs.CL"), "c": ("C", "cs.AI")}


def write(path: Path, papers: dict[str, tuple[str, str]]) -> Path:
    """Write merged papers: id to text and label."""
    # Snakemake does the same before a job.
    path.unlink(missing_ok=True)
    columns = {
        "id": list(papers),
        "topic": [text for text, _ in papers.values()],
        "category 0": ["cs"] * len(papers),
        "category 1": [label for _, label in papers.values()],
    }
    pq.write_table(pa.table(columns), path)
    return path


def numbers(new: int, gone: int, text: int, label: int) -> dict[str, int]:
    return {"new": new, "gone": gone, "other_text": text, "other_label": label}


@pytest.mark.parametrize(
    ("later", "changes"),
    [
        ({**PAPERS, "d": ("D", "cs.CL"), "e": ("E", "x")}, numbers(2, 0, 0, 0)),
        ({"a": PAPERS["a"]}, numbers(0, 2, 0, 0)),
        ({**PAPERS, "a": ("A2", "cs.CL")}, numbers(0, 0, 1, 0)),
        ({**PAPERS, "a": ("A", "cs.LG"), "b": ("B", "x")}, numbers(0, 0, 0, 2)),
        ({"x": ("A", "cs.CL"), "b": ("B2", "cs.AI")}, numbers(1, 2, 1, 1)),
    ],
)
def test_changes_between_two_results(
    tmp_path: Path, later: dict[str, tuple[str, str]], changes: dict[str, int]
) -> None:
    history = tmp_path / "history"
    assert record_changes(history, write(tmp_path / "papers", PAPERS)) is None
    assert record_changes(history, write(tmp_path / "papers", later)) == changes


def test_every_level_of_the_hierarchy_counts(tmp_path: Path) -> None:
    def merged(labels: list[str]) -> Path:
        columns = {"id": ["a", "b"], "topic": ["A", "B"], "category 0": ["x", "x"]}
        columns |= {"category 1": ["y", "y"], "category 2": labels}
        path = tmp_path / "papers"
        path.unlink(missing_ok=True)
        pq.write_table(pa.table(columns), path)
        return path

    assert record_changes(tmp_path / "history", merged(["1", "2"])) is None
    assert record_changes(tmp_path / "history", merged(["1", "3"])) == numbers(0, 0, 0, 1)


def test_a_repeated_merge_reports_the_same_and_the_order_does_not_matter(tmp_path: Path) -> None:
    history = tmp_path / "history"
    record_changes(history, write(tmp_path / "papers", PAPERS))
    assert record_changes(history, write(tmp_path / "papers", PAPERS)) is None
    later = {**PAPERS, "d": ("D", "x")}
    assert record_changes(history, write(tmp_path / "papers", later)) == numbers(1, 0, 0, 0)
    turned = dict(reversed(later.items()))
    assert record_changes(history, write(tmp_path / "papers", turned)) == numbers(1, 0, 0, 0)
    assert record_changes(history, write(tmp_path / "papers", PAPERS)) == numbers(0, 1, 0, 0)


def test_the_papers_are_stored_once(tmp_path: Path) -> None:
    papers = write(tmp_path / "papers", PAPERS)
    record_changes(tmp_path / "history", papers)
    assert (tmp_path / "history/latest.parquet").samefile(papers)


def test_the_papers_are_copied_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("links are not supported")

    monkeypatch.setattr("os.link", refuse)
    record_changes(tmp_path / "history", write(tmp_path / "papers", PAPERS))
    later = write(tmp_path / "papers", {"a": PAPERS["a"]})
    assert record_changes(tmp_path / "history", later) == numbers(0, 2, 0, 0)
