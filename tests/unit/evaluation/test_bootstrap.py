"""Draws depend on the number of papers alone, and intervals have the stated coverage."""

import numpy as np
import pytest
from arxiv_embeddings.evaluation import bootstrap as bootstrap_module
from arxiv_embeddings.evaluation.bootstrap import (
    REPLICATES,
    bootstrap,
    interval,
    p_value,
    resample,
    spread,
    subsample,
    subsample_note,
    subsamples,
    subsamples_note,
)


def test_subsample_is_seeded_sorted_and_nested() -> None:
    large, small = subsample(1_000, 300), subsample(1_000, 40)
    assert len(set(large)) == 300 and (np.diff(large) > 0).all()
    assert set(small) < set(large)
    assert (small == subsample(1_000, 40)).all()
    assert (subsample(5, 10) == np.arange(5)).all()


def test_a_replicate_draws_as_many_papers_and_always_the_same() -> None:
    counts = resample(500, 3)
    assert counts.shape == (500,) and counts.sum() == 500 and counts.max() > 1
    assert (counts == resample(500, 3)).all()
    assert (counts != resample(500, 4)).any()


def test_spread_of_the_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).exponential(size=400)
    replicates = bootstrap(400, lambda counts: float(counts @ values / 400))
    assert replicates.shape == (REPLICATES,)
    assert replicates.std() == pytest.approx(values.std() / np.sqrt(400), rel=0.15)
    low, high = interval(float(values.mean()), replicates)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(400), rel=0.2)


def test_several_scores_are_computed_at_once() -> None:
    replicates = bootstrap(10, lambda counts: [float(counts[0]), float(counts[1])])
    assert replicates.shape == (REPLICATES, 2)
    assert (replicates[:, 1] == bootstrap(10, lambda counts: float(counts[1]))).all()


def test_interval_and_p_value_are_those_of_students_distribution() -> None:
    replicates = np.random.default_rng(0).normal(size=25)
    deviation = replicates.std(ddof=1)
    # The quantile of Student's distribution with 24 degrees of freedom.
    assert interval(3.0, replicates) == pytest.approx(
        (3 - 2.0639 * deviation, 3 + 2.0639 * deviation), abs=1e-3
    )
    assert p_value(2.0639 * deviation, replicates) == pytest.approx(0.05, abs=1e-4)
    assert p_value(-2.0639 * deviation, replicates) == pytest.approx(0.05, abs=1e-4)
    assert p_value(0.0, replicates) == 1
    assert p_value(0.5, np.ones(25)) == 0 and p_value(0.0, np.ones(25)) == 1


@pytest.mark.parametrize(("papers", "size"), [(40, 20), (101, 50), (30_000, 5_000)])
def test_subsamples_are_seeded_halves_without_repeats_and_differ(papers: int, size: int) -> None:
    drawn = subsamples(papers)
    assert len(drawn) == 25
    assert all(
        len(set(rows)) == size and (np.diff(rows) > 0).all() and rows.max() < papers
        for rows in drawn
    )
    assert len({tuple(rows) for rows in drawn}) == 25
    assert all((one == other).all() for one, other in zip(drawn, subsamples(papers), strict=True))


def test_few_papers_have_no_subsamples_and_a_note() -> None:
    assert subsamples(39) == [] and subsamples_note(39) == "no interval: fewer than 40 papers"
    assert subsamples_note(40) == ""


def test_the_mean_on_subsamples_is_spread_as_that_of_all_papers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).exponential(size=4_000)
    wanted = values.std() / np.sqrt(4_000)
    for most in (5_000, 400):
        monkeypatch.setattr(bootstrap_module, "MOST", most)
        found = spread(4_000) * np.array([values[rows].mean() for rows in subsamples(4_000)])
        assert found.std() == pytest.approx(wanted, rel=0.4)


@pytest.mark.parametrize(
    ("size", "papers", "note"),
    [(999, 1_000, "a random sample of 999 of 1,000 papers"), (1_000, 1_000, "")],
)
def test_a_note_states_a_subsample(size: int, papers: int, note: str) -> None:
    assert subsample_note(size, papers) == note
