"""The tidy table of scores: one row a score, with its interval and, for comparisons, its replicates."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import written_beside
from .bootstrap import centred, interval

KEY = ("family", "method", "metric", "level")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in KEY),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("papers", pa.int64()),
        ("note", pa.string()),
        ("replicates", pa.list_(pa.float64())),
    ]
)


@dataclasses.dataclass(frozen=True)
class Score:
    """One number about one model.

    Attributes:
        family: "flat clustering", "tree", "space", "map" or "MTEB".
        method: what was judged or how, such as "MiniBatchKMeans".
        metric: in snake_case, such as "v_measure".
        level: "category 0", "category 1", or "" where the score has none.
        value: finite; None where it was omitted, and ``note`` says why.
        papers: how many papers it was computed on.
        note: what a reader should know: a subsample, a reason.
        replicates: the finite bootstrap replicates, centred on the value; none where there is no interval.
    """

    family: str
    method: str
    metric: str
    level: str
    value: float | None
    papers: int
    note: str = ""
    replicates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.value is None and (not self.note or len(self.replicates)):
            raise ValueError(f"{self.key}: an omitted score needs a note and has no replicates")
        if not all(map(math.isfinite, [self.value or 0.0, *self.replicates])):
            raise ValueError(f"{self.key}: a score must be finite, or None with a note")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells the score apart from the others of its model."""
        return self.family, self.method, self.metric, self.level

    @property
    def interval(self) -> tuple[float, float] | tuple[None, None]:
        """Low and high end of the bootstrap interval, if there is one."""
        return interval(np.asarray(self.replicates)) if len(self.replicates) else (None, None)


def measured(
    family: str,
    method: str,
    metric: str,
    level: str,
    value: float,
    papers: int,
    note: str = "",
    replicates: np.ndarray | None = None,
) -> Score:
    """Return the score with its replicates centred on the value.

    A value that is NaN is omitted, and with NaN among the replicates there is no interval; a note says so.
    The arguments are those of ``Score``; ``replicates`` is float64 (r,), None where none were made.
    """
    key = (family, method, metric, level)
    if not math.isfinite(value):
        return Score(*key, None, papers, joined("omitted: undefined for these papers", note))
    if replicates is None:
        return Score(*key, float(value), papers, note)
    if undefined := int((~np.isfinite(replicates)).sum()):
        reason = f"no interval: undefined in {undefined} of {len(replicates)} resamples"
        return Score(*key, float(value), papers, joined(note, reason))
    return Score(*key, float(value), papers, note, tuple(centred(replicates, value).tolist()))


def joined(*notes: str) -> str:
    """Return the notes that are not empty as one."""
    return "; ".join(filter(None, notes))


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """Write ``scores`` as a Parquet file with the columns of ``SCHEMA``."""
    if len({score.key for score in scores}) < len(scores):
        raise ValueError("two scores have the same family, method, metric and level")
    rows = [
        {**vars(score), "low": score.interval[0], "high": score.interval[1]} for score in scores
    ]
    with written_beside(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), partial)


def read_scores(path: Path) -> list[Score]:
    """Return what ``write_scores`` wrote.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    try:
        table = pq.read_table(path)
    except (
        Exception
    ) as error:  # pyarrow raises several kinds for what a damaged file makes it stumble over
        raise InputError(f"{path} cannot be read: {error}") from error
    if not table.schema.equals(SCHEMA):
        raise InputError(
            f"{path} holds no scores: its columns are {', '.join(table.column_names)}."
        )
    rows = table.drop_columns(["low", "high"]).to_pylist()
    return [Score(**{**row, "replicates": tuple(row["replicates"])}) for row in rows]
