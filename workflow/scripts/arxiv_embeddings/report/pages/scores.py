"""The scores of the models and their differences, as HTML tables."""

from typing import Any

from ...evaluation.scores import KEY
from ..figures.scores import metric_name
from .html import HtmlTable, together

Row = dict[str, Any]


def scores_table(scores: list[Row]) -> HtmlTable:
    """Return one row per score and one column per model.

    Args:
        scores: rows of the table of scores of all models.
    """
    models = list(dict.fromkeys(score["model"] for score in scores))
    rows: dict[tuple[str, ...], dict[str, Row]] = {}
    for score in scores:
        rows.setdefault(tuple(score[name] for name in KEY), {})[score["model"]] = score
    return HtmlTable(
        heading="Scores",
        text="The 95 % bootstrap interval is in brackets, where there is one.",
        columns=["score", "level", "method", *models, "papers", "notes"],
        rows=[
            [
                metric_name(metric),
                level,
                _method(family, method),
                *(_value(own.get(model)) for model in models),
                together(f"{score['papers']:,}" for score in own.values()),
                together(score["note"] for score in own.values()),
            ]
            for (family, method, metric, level), own in rows.items()
        ],
    )


def differences_table(differences: list[Row]) -> HtmlTable:
    """Return one row per score and pair of models.

    Args:
        differences: rows of the table of differences.
    """
    return HtmlTable(
        heading="Differences between models",
        text=(
            "The first model's score minus the second's, on the same resamples of the same papers. A difference "
            "is real if its 95 % interval excludes 0."
        ),
        columns=["score", "level", "method", "models", "difference", "real"],
        rows=[
            [
                metric_name(row["metric"]),
                row["level"],
                _method(row["family"], row["method"]),
                f"{row['model a']} − {row['model b']}",
                _interval(row["difference"], row["low"], row["high"], sign="+"),
                {True: "yes", False: "no", None: "unknown"}[row["real"]],
            ]
            for row in differences
        ],
    )


def _method(family: str, method: str) -> str:
    return ", ".join(filter(None, (family, method)))


def _value(score: Row | None) -> str:
    return "" if score is None else _interval(score["value"], score["low"], score["high"])


def _interval(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    if value is None:
        return "omitted"
    number = f"{value:{sign}.4f}"
    return (
        number if low is None or high is None else f"{number} [{low:{sign}.4f}, {high:{sign}.4f}]"
    )
