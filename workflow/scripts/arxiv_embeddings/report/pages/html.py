"""HTML pages of tables; they need no network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@dataclass(frozen=True)
class Cell:
    """A cell with more than its text.

    Attributes:
        text: what it says.
        small: a second line in small print.
        mark: "best", "second" or "".
        note: whether it is a note, which may be long and is shown in small print.
    """

    text: str
    small: str = ""
    mark: str = ""
    note: bool = False


@dataclass(frozen=True)
class HtmlTable:
    """A table with its heading and an explanation; the first cell of each row is the heading of the row."""

    heading: str
    text: str
    columns: list[str]
    rows: list[list[str | Cell]]


def render_tables(heading: str, tables: Sequence[HtmlTable]) -> str:
    """Return a page of ``tables``; markup in cells and headings is shown as text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("tables.html").render(heading=heading, tables=tables)


def together(values: Iterable[str]) -> str:
    """Return the distinct values that are not empty, joined for one cell."""
    return "; ".join(dict.fromkeys(filter(None, values)))
