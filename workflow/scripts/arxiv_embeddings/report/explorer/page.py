"""The interactive page of a map: one self-contained HTML file to pan, zoom, search and filter."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from ..palette import COLOURS, DARK_COLOURS

TEMPLATES = Path(__file__).parent
# In characters: where to cut a text if the end of its title is unknown.
TITLE_LENGTH = 160


@dataclass(frozen=True)
class Points:
    """The data of the page, one entry per paper.

    Attributes:
        x: float64 (papers,).
        y: float64 (papers,).
        ids: (papers,).
        titles: (papers,).
        categories_0: (papers,), such as ``cs``.
        categories_1: (papers,), such as ``cs.CL``.
    """

    x: np.ndarray
    y: np.ndarray
    ids: list[str]
    titles: list[str]
    categories_0: list[str]
    categories_1: list[str]


def title_of(topic: str) -> str:
    """Return the title at the start of a topic, with single spaces.

    A topic is title, space and abstract, and an abstract in the arXiv snapshot begins with two spaces. So the
    first three spaces in a row end the title. A topic without them is cut at ``TITLE_LENGTH`` characters.
    """
    head, separator, _ = topic.partition("   ")
    title = " ".join(head.split())
    if separator or len(title) <= TITLE_LENGTH:
        return title
    return f"{title[:TITLE_LENGTH].rsplit(' ', 1)[0]} …"


def render_page(points: Points, heading: str, subheading: str, link: str) -> str:
    """Return the page.

    Args:
        points: the papers of the map.
        heading: such as the model's label.
        subheading: how the map was made.
        link: web address of a paper without its id, which is appended; no links if empty.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html").render(
        heading=heading,
        subheading=subheading,
        papers=len(points.ids),
        style=(TEMPLATES / "page.css").read_text(),
        script=(TEMPLATES / "page.js").read_text(),
        plotly=get_plotlyjs(),
        data=script_json(_data(points, link)),
    )


def script_json(content: Any) -> str:
    r"""Return ``content`` as JSON that is safe in a ``<script>`` element, without ``<``, ``>`` and ``&``.

    They are escaped as ``\u003c`` and so on, so no text can end the element or begin a comment in it.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data(points: Points, link: str) -> dict[str, Any]:
    names_1, codes = np.unique(np.asarray(points.categories_1, dtype=str), return_inverse=True)
    parents = dict(zip(points.categories_1, points.categories_0, strict=True))
    return {
        "x": _base64(points.x, "<f4"),
        "y": _base64(points.y, "<f4"),
        "category": _base64(codes, "<u2"),
        "categories": [[parents[name], name] for name in names_1.tolist()],
        "ids": points.ids,
        "titles": points.titles,
        "link": link,
        "colours": list(COLOURS),
        "dark_colours": list(DARK_COLOURS),
    }


def _base64(numbers: np.ndarray, dtype: str) -> str:
    return base64.b64encode(numbers.astype(dtype).tobytes()).decode()
