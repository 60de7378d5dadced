"""The tidy table of scores: one row per score, with its interval and the replicates that comparisons need."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import written_beside
from .bootstrap import interval, spread, subsamples_note
from .reading import read_parquet

KEY = ("family", "method", "metric", "level")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in KEY),
        *((name, pa.float64()) for name in ("value", "low", "high", "chance")),
        ("papers", pa.int64()),
        ("note", pa.string()),
        ("replicates", pa.list_(pa.float64())),
    ]
)

# Scores for which less is better, and numbers for which neither is.
LOWER_IS_BETTER = {"dasgupta_cost"}
WITHOUT_DIRECTION = {"clusters", "largest_cluster", "noise", "mean_cosine", "length_correlation"}


def higher_is_better(metric: str) -> bool | None:
    """Return whether higher values of a metric are better; None if neither is."""
    return None if metric in WITHOUT_DIRECTION else metric not in LOWER_IS_BETTER


@dataclasses.dataclass(frozen=True)
class Score:
    """One number about one model.

    Attributes:
        family: "flat clustering", "tree", "space", "map" or "MTEB".
        method: how it was scored, such as "k-NN"; "own" for clusters whose number the clustering chose itself; or "".
        metric: in snake_case, such as "v_measure".
        level: "category 0", "category 1" and so on, or "" where the score has none.
        value: finite; None if the score was omitted, and ``note`` gives the reason.
        papers: the number of papers that it was computed on.
        note: what a reader should know, such as a subsample or a reason.
        chance: the score of shuffled categories, where it is known.
        replicates: finite values around ``value`` that vary as it would with other papers; none where there is no
            interval. Replicate r of two scores is of the same papers.
    """

    family: str
    method: str
    metric: str
    level: str
    _: dataclasses.KW_ONLY
    value: float | None
    papers: int
    note: str = ""
    chance: float | None = None
    replicates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.value is None and (not self.note or len(self.replicates)):
            raise ValueError(f"{self.key}: an omitted score needs a note and has no replicates")
        if not all(map(math.isfinite, [self.value or 0.0, *self.replicates])):
            raise ValueError(f"{self.key}: a score must be finite, or None with a note")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What identifies the score among those of its model: the values of ``KEY``."""
        return self.family, self.method, self.metric, self.level

    @property
    def interval(self) -> tuple[float, float] | tuple[None, None]:
        """Lower and upper end of the 95 % interval, if there is one."""
        if self.value is None or not self.replicates:
            return None, None
        low, high = interval(self.value, np.asarray(self.replicates))
        # No score exceeds 1, except costs.
        return low, high if self.metric in LOWER_IS_BETTER else min(high, 1.0)


def measured(
    family: str,
    method: str,
    metric: str,
    level: str,
    *,
    value: float,
    papers: int,
    note: str,
    replicates: np.ndarray,
    chance: float | None = None,
) -> Score:
    """Return the score with its replicates centred on the value.

    A score whose value is NaN is omitted. A score with NaN among its replicates has no interval. A note gives
    the reason.

    Args:
        family: as in ``Score``.
        method: as in ``Score``.
        metric: as in ``Score``.
        level: as in ``Score``.
        value: NaN where the score is undefined for these papers.
        papers: as in ``Score``.
        note: as in ``Score``.
        replicates: float64 (r,), as ``bootstrap`` returns them, or ``spread`` times the values on ``subsamples``;
            only their distances from their mean are used. None where no interval can be had.
        chance: as in ``Score``; NaN where it is undefined.
    """
    key = (family, method, metric, level)
    if not math.isfinite(value):
        note = joined("omitted: undefined for these papers", note)
        return Score(*key, value=None, papers=papers, note=note)
    kept: tuple[float, ...] = ()
    if not len(replicates):
        pass
    elif undefined := int((~np.isfinite(replicates)).sum()):
        reason = f"no interval: undefined in {undefined} of {len(replicates)} resamples"
        note = joined(note, reason)
    else:
        kept = tuple((value + replicates - replicates.mean()).tolist())
    if chance is not None and not math.isfinite(chance):
        chance = None
    return Score(*key, value=float(value), papers=papers, note=note, chance=chance, replicates=kept)


def measured_again(
    family: str,
    method: str,
    metric: str,
    level: str,
    *,
    value: float,
    papers: int,
    note: str,
    on_subsamples: Sequence[float] | np.ndarray,
    drawn_from: int,
    chance: float | None = None,
) -> Score:
    """Return the score whose interval comes from its values on ``subsamples(drawn_from)``; see ``measured``."""
    return measured(
        *(family, method, metric, level),
        value=value,
        papers=papers,
        note=joined(note, subsamples_note(drawn_from)),
        replicates=spread(drawn_from) * np.asarray(on_subsamples, float),
        chance=chance,
    )


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
    """Return the scores that ``write_scores`` wrote.

    Raises:
        InputError: the file is missing or damaged, or has other columns.
    """
    table = read_parquet(path)
    if not table.schema.equals(SCHEMA):
        raise InputError(
            f"{path} is not a file of scores: its columns are {', '.join(table.column_names)}. "
            "Delete it and run again."
        )
    rows = table.drop_columns(["low", "high"]).to_pylist()
    return [Score(**{**row, "replicates": tuple(row["replicates"])}) for row in rows]
