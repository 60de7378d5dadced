"""Tables as an HTML page that needs no network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@dataclass(frozen=True)
class Table:
    """A table with its heading and what to know of it; the first cell of a row names the row."""

    heading: str
    text: str
    columns: list[str]
    rows: list[list[str]]


def render_tables(heading: str, tables: Sequence[Table]) -> str:
    """Return a page of ``tables``; whatever stands in them is shown as text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("table.html").render(heading=heading, tables=tables)


def together(values: Iterable[str]) -> str:
    """Return the values that are not empty in one cell, each once."""
    return "; ".join(dict.fromkeys(filter(None, values)))
