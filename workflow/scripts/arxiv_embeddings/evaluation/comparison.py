"""The scores of all cells, maps and models in one table, and which differences are real."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import write_json, written_beside
from .bootstrap import LEVEL, interval, p_value
from .scores import KEY, Score, higher_is_better

PLACE = ("model", "reduction", "clustering")
GRID_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in (*PLACE, *KEY)),
        *((name, pa.float64()) for name in ("value", "low", "high", "chance")),
        ("papers", pa.int64()),
        ("note", pa.string()),
    ]
)
DIFFERENCE = (
    *((name, pa.float64()) for name in ("difference", "low", "high", "p")),
    ("real", pa.bool_()),
    ("better", pa.string()),
)
DIFFERENCES_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model a", "model b", "reduction", "clustering", *KEY)),
        *DIFFERENCE,
    ]
)
CELL_DIFFERENCES_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "reduction a", "clustering a")),
        *((name, pa.string()) for name in ("reduction b", "clustering b", *KEY)),
        *DIFFERENCE,
    ]
)

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Placed:
    """A score and where it belongs: reduction and clustering are "" where it has none."""

    model: str
    reduction: str
    clustering: str
    score: Score


def grid_table(scores: Iterable[Placed]) -> pa.Table:
    """Return all scores, one per row, without replicates, with the columns of ``GRID_SCHEMA``."""
    rows = [
        {
            **{name: getattr(placed, name) for name in PLACE},
            **vars(placed.score),
            "low": placed.score.interval[0],
            "high": placed.score.interval[1],
        }
        for placed in scores
    ]
    return pa.Table.from_pylist(rows, schema=GRID_SCHEMA)


def model_differences(scores: Sequence[Placed]) -> pa.Table:
    """Return the difference, a minus b, of every score of every two models, with ``DIFFERENCES_SCHEMA``.

    Replicate r of both scores was computed on the same papers, so the differences of the replicates tell how the
    difference varies. A difference is real if its p-value is below 5 % after Holm's correction (1979) for all
    differences of the same two models.

    Raises:
        InputError: two models were scored on different numbers of papers.
    """
    by_model: dict[str, dict[tuple[str, ...], Placed]] = {}
    for placed in scores:
        own = by_model.setdefault(placed.model, {})
        own[placed.reduction, placed.clustering, *placed.score.key] = placed
    rows: list[Row] = []
    models = list(by_model)
    for number, a in enumerate(models):
        for b in models[number + 1 :]:
            found = []
            for key, of_a in by_model[a].items():
                of_b = by_model[b].get(key)
                if of_b and (told := _difference(of_a, of_b)):
                    names = dict(zip(("reduction", "clustering", *KEY), key, strict=True))
                    found.append({"model a": a, "model b": b, **names, **told})
            rows += _judged(found)
    return pa.Table.from_pylist(rows, schema=DIFFERENCES_SCHEMA)


def cell_differences(scores: Sequence[Placed], metric: str, level: str) -> pa.Table:
    """Return how much better the best cell of every model is than its others, with ``CELL_DIFFERENCES_SCHEMA``.

    Args:
        scores: of all models.
        metric: of the flat clusterings, by which cells are compared.
        level: at which they are compared.

    Holm's correction is for all differences of the same model.
    """
    rows: list[Row] = []
    by_model: dict[str, list[Placed]] = {}
    for placed in scores:
        score = placed.score
        if (score.family, score.metric, score.level) == ("flat clustering", metric, level) and (
            score.value is not None
        ):
            by_model.setdefault(placed.model, []).append(placed)
    for model, cells in by_model.items():
        best = max(cells, key=lambda placed: placed.score.value or 0.0)
        found = []
        for other in cells:
            if other is not best and (told := _difference(best, other)):
                names = dict(zip(KEY, best.score.key, strict=True))
                sides = {
                    f"{name} {side}": getattr(placed, name)
                    for side, placed in (("a", best), ("b", other))
                    for name in ("reduction", "clustering")
                }
                found.append({"model": model, **sides, **names, **told})
        rows += _judged(found)
    return pa.Table.from_pylist(rows, schema=CELL_DIFFERENCES_SCHEMA)


def _difference(placed_a: Placed, placed_b: Placed) -> Row | None:
    """Return the difference of two scores; None where one was omitted."""
    a, b = placed_a.score, placed_b.score
    if a.value is None or b.value is None:
        return None
    if a.papers != b.papers:
        raise InputError(
            f"{' '.join(filter(None, a.key))} was computed on {a.papers:,} papers for {placed_a.model}, but on "
            f"{b.papers:,} papers for {placed_b.model}. Delete the evaluation folders of both models and run again."
        )
    difference = a.value - b.value
    if not a.replicates or len(a.replicates) != len(b.replicates):
        return {"difference": difference}
    replicates = np.subtract(a.replicates, b.replicates)
    low, high = interval(difference, replicates)
    direction = higher_is_better(a.metric)
    better = "" if direction is None or not difference else "ab"[(difference > 0) != direction]
    return {
        "difference": difference,
        "low": low,
        "high": high,
        "p": p_value(difference, replicates),
        "better": better,
    }


def _judged(rows: list[Row]) -> list[Row]:
    """Return the rows with ``p`` corrected for their number (Holm, 1979), and ``real``."""
    known = sorted((row for row in rows if "p" in row), key=lambda row: float(row["p"]))
    largest = 0.0
    for number, row in enumerate(known):
        largest = max(largest, min(1.0, row["p"] * (len(known) - number)))
        row["p"] = largest
        row["real"] = largest < 1 - LEVEL
    return rows


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
