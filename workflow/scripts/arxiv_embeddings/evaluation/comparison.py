"""The scores of all models in one table, and which differences between models are real."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import write_json, written_beside
from .bootstrap import interval
from .scores import KEY, SCHEMA, Score, joined

SCORES_SCHEMA = pa.schema([("model", pa.string()), *(f for f in SCHEMA if f.name != "replicates")])
DIFFERENCES_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model a", "model b", *KEY)),
        *((name, pa.float64()) for name in ("difference", "low", "high")),
        ("real", pa.bool_()),
        ("note", pa.string()),
    ]
)


def all_scores(models: Mapping[str, Sequence[Score]]) -> pa.Table:
    """Return the scores of every model, without replicates, with the columns of ``SCORES_SCHEMA``."""
    rows = [
        {"model": model, **vars(score), "low": score.interval[0], "high": score.interval[1]}
        for model, scores in models.items()
        for score in scores
    ]
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)


def differences(models: Mapping[str, Sequence[Score]]) -> pa.Table:
    """Return the difference, a minus b, of every score of every two models, with ``DIFFERENCES_SCHEMA``.

    Replicate r of both scores was computed on the same papers, so the differences of the replicates are the
    bootstrap distribution of the difference (paired bootstrap). A difference is real if its interval excludes
    0. The intervals are not corrected for multiple comparisons: of twenty differences that are pure chance,
    one is called real on average.

    Raises:
        InputError: two models were scored on different numbers of papers.
    """
    rows = []
    for (a, scores_a), (b, scores_b) in itertools.combinations(models.items(), 2):
        of_a, of_b = ({score.key: score for score in scores} for scores in (scores_a, scores_b))
        for key in of_a | of_b:
            names = {"model a": a, "model b": b, **dict(zip(KEY, key, strict=True))}
            rows.append({**names, **_difference(a, of_a.get(key), b, of_b.get(key))})
    return pa.Table.from_pylist(rows, schema=DIFFERENCES_SCHEMA)


def _difference(
    model_a: str, a: Score | None, model_b: str, b: Score | None
) -> dict[str, float | bool | str]:
    """Return the columns that compare one score of two models; None stands for a score that a model lacks."""
    if a is None or a.value is None or b is None or b.value is None:
        notes = (
            f"{model}: {score.note if score else 'does not have this score'}"
            for model, score in ((model_a, a), (model_b, b))
            if score is None or score.value is None
        )
        return {"note": joined(*notes)}
    if a.papers != b.papers:
        raise InputError(
            f"{' '.join(filter(None, a.key))} was computed on {a.papers:,} papers for {model_a}, but on "
            f"{b.papers:,} papers for {model_b}. Delete the evaluation folders of both models and run again."
        )
    difference = a.value - b.value
    if not len(a.replicates) or not len(b.replicates):
        return {"difference": difference, "note": "no interval: one of the scores has none"}
    low, high = interval(np.subtract(a.replicates, b.replicates))
    real = low > 0 or high < 0
    return {"difference": difference, "low": low, "high": high, "real": real, "note": ""}


def write_table(path: Path, table: pa.Table) -> None:
    """Write ``table`` in the format of the suffix of ``path``: ``.parquet``, ``.csv`` or ``.json`` (a list of rows)."""
    if path.suffix == ".json":
        write_json(path, table.to_pylist())
        return
    with written_beside(path) as partial:
        if path.suffix == ".csv":
            pa.csv.write_csv(table, partial)
        else:
            pq.write_table(table, partial)
