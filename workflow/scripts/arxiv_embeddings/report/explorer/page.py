"""The interactive page of a map: one self-contained HTML file to pan, zoom, search, filter and select."""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..palette import DARK_OTHER, FADED, FOUND, OTHER, hierarchy_colours, scale_colours

TEMPLATES = Path(__file__).parent
# The parts of the script, in the order in which they need each other.
SCRIPTS = ("points.js", "labels.js", "page.js")
# In characters: where to cut a text if the end of its title is unknown.
TITLE_LENGTH = 160
# In characters: the beginning of an abstract, as long as the page stays below its limit of bytes.
ABSTRACT_LENGTHS = (320, 240, 180, 140, 110, 80, 60, 40)
# Pages of at most SMALL papers stay below the first limit, larger ones below the second. The rest of both is for
# what the estimate misses.
SMALL = 30_000
SMALL_BYTES, LARGE_BYTES = 3_850_000, 19_500_000
# Papers whose abstracts are compressed to estimate the size of all.
TRIED = 2_000
# Coordinates are unsigned integers of 16 bits.
STEPS = 65_535
# Cells per side of the grid in which the densest place of a category is found.
CELLS = 64
NO_CLUSTER = "no cluster"


@dataclass(frozen=True)
class Points:
    """The data of the page, one entry per paper.

    Attributes:
        places: float (papers, 2), on the map.
        ids: (papers,).
        titles: (papers,).
        levels: the name of each level and its category of each paper, the coarsest first.
        abstracts: (papers,), or None.
        listed: all categories that each paper lists, separated by spaces, or None.
        years: int (papers,), 0 if unknown, or None.
        clusters: the name of each clustering and the cluster of each paper, int (papers,), -1 for none.
        nearest: int (papers, k): the papers nearest to each, the nearest first, or None. At most 65,536 papers.
    """

    places: np.ndarray
    ids: list[str]
    titles: list[str]
    levels: dict[str, list[str]]
    abstracts: list[str] | None = None
    listed: list[str] | None = None
    years: np.ndarray | None = None
    clusters: dict[str, np.ndarray] = field(default_factory=dict)
    nearest: np.ndarray | None = None


def title_of(topic: str) -> str:
    """Return the title at the start of a topic, with single spaces.

    A topic is title, space and abstract, and an abstract in the arXiv snapshot begins with two spaces. So the
    first three spaces in a row end the title. A topic without them is cut at ``TITLE_LENGTH`` characters.
    """
    head, separator, _ = topic.partition("   ")
    title = " ".join(head.split())
    return title if separator else cut(title, TITLE_LENGTH)


def cut(text: str, length: int) -> str:
    """Return ``text`` with single spaces, cut between words after at most ``length`` characters and marked so."""
    # No more than the beginning is looked at.
    text = " ".join(text[: 2 * length + 2].split())
    return text if len(text) <= length else f"{text[:length].rsplit(' ', 1)[0]} …"


def render_page(points: Points, heading: str, subheading: str, link: str) -> str:
    """Return the page.

    Args:
        points: the papers of the map.
        heading: such as the model's label.
        subheading: how the map was made.
        link: web address of a paper without its id, which is appended; no links if empty.
    """
    data = _data(points, heading, link)
    if points.abstracts is not None:
        limit = SMALL_BYTES if len(points.ids) <= SMALL else LARGE_BYTES
        left = limit - sum(len((TEMPLATES / name).read_bytes()) for name in SCRIPTS)
        data["abstracts"] = _abstracts(points.abstracts, left - len(json.dumps(data)))
    return (
        _environment()
        .get_template("page.html")
        .render(
            heading=heading,
            subheading=subheading,
            papers=len(points.ids),
            levels=list(points.levels),
            colourings=[colouring["name"] for colouring in data["colourings"]],
            style=_style(),
            script="\n".join((TEMPLATES / name).read_text() for name in SCRIPTS),
            data=script_json(data),
        )
    )


def render_omitted(heading: str, reason: str) -> str:
    """Return the page of a model without a map, which says why there is none."""
    return (
        _environment()
        .get_template("omitted.html")
        .render(heading=heading, reason=reason, style=_style())
    )


def script_json(content: Any) -> str:
    r"""Return ``content`` as JSON that is safe in a ``<script>`` element, without ``<``, ``>`` and ``&``.

    They are escaped as ``\u003c`` and so on, so no text can end the element or begin a comment in it.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def packed_numbers(numbers: np.ndarray, dtype: str) -> str:
    """Return ``numbers`` as ``dtype``, compressed (zlib) and in base64."""
    return _packed(np.ascontiguousarray(numbers, dtype=dtype).tobytes())


def packed_texts(texts: Sequence[str]) -> str:
    """Return ``texts``, one a line, as UTF-8, compressed (zlib) and in base64. White space becomes single spaces."""
    return _packed("\n".join(" ".join(text.split()) for text in texts).encode())


def grid_places(places: np.ndarray) -> np.ndarray:
    """Return ``places`` (papers, 2) as integers 0 to ``STEPS`` with one scale for both axes, in the middle."""
    low, high = places.min(axis=0).astype(float), places.max(axis=0).astype(float)
    scale = STEPS / (max((high - low).max(), 0) or 1)
    middle = (places - (low + high) / 2) * scale + STEPS / 2
    steps: np.ndarray = np.clip(np.rint(middle), 0, STEPS).astype(np.int64)
    return steps


def densest_places(places: np.ndarray, codes: np.ndarray, kinds: int) -> np.ndarray:
    """Return where each category has most of its papers: int (kinds, 2), of ``grid_places``.

    This is the median of its papers in the 3 by 3 cells with most of them. Every category has a paper.
    """
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=kinds))
    cells = places * CELLS // (STEPS + 1)
    found = np.empty((kinds, 2), dtype=np.int64)
    for kind, rows in enumerate(np.split(order, ends[:-1])):
        counts = np.zeros((CELLS + 2, CELLS + 2), dtype=np.int64)
        np.add.at(counts, tuple(cells[rows].T + 1), 1)
        sums = sum(counts[i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3))
        densest = np.array(np.unravel_index(np.argmax(sums), (CELLS, CELLS)))
        near = np.abs(cells[rows] - densest).max(axis=1) <= 1
        found[kind] = np.median(places[rows][near], axis=0)
    return found


def _data(points: Points, heading: str, link: str) -> dict[str, Any]:
    places = grid_places(points.places)
    paths = list(zip(*points.levels.values(), strict=True))
    # The finest categories, each with its ancestors.
    leaves = sorted(set(paths))
    code_of = {path: code for code, path in enumerate(leaves)}
    codes = np.array([code_of[path] for path in paths])
    sizes = np.bincount(codes, minlength=len(leaves)).tolist()
    light = hierarchy_colours(leaves, sizes)
    dark = hierarchy_colours(leaves, sizes, dark=True)
    levels = []
    for depth, name in enumerate(points.levels):
        own = sorted({path[: depth + 1] for path in leaves})
        number_of = {path: number for number, path in enumerate(own)}
        of_leaf = [number_of[path[: depth + 1]] for path in leaves]
        levels.append(
            {
                "name": name,
                "names": [path[-1] for path in own],
                "of_leaf": of_leaf,
                "light": [light[path] for path in own],
                "dark": [dark[path] for path in own],
                "places": densest_places(places, np.array(of_leaf)[codes], len(own)).tolist(),
            }
        )
    return {
        "name": heading,
        "papers": len(points.ids),
        "places": packed_numbers(places, "<u2"),
        "leaves": packed_numbers(codes, "<u4"),
        "levels": levels,
        "colourings": _colourings(points),
        "ids": packed_texts(points.ids),
        "titles": packed_texts(points.titles),
        "abstracts": None,
        "listed": points.listed and packed_texts(points.listed),
        "years": None if points.years is None else packed_numbers(points.years, "<u2"),
        "nearest": None if points.nearest is None else packed_numbers(points.nearest, "<u2"),
        "neighbours": 0 if points.nearest is None else points.nearest.shape[1],
        "nearest_up_to": SMALL,
        "link": link,
        "found": list(FOUND),
        "faded": list(FADED),
    }


def _colourings(points: Points) -> list[dict[str, Any]]:
    """Colours by year and by cluster: a code for each paper, and the name and the colours of each code."""
    colourings = []
    if points.years is not None and points.years.any():
        years, codes = np.unique(points.years, return_inverse=True)
        colourings.append(
            {
                "name": "year",
                "names": [str(year) if year else "unknown" for year in years.tolist()],
                "codes": packed_numbers(codes, "<u4"),
                "light": _years(years, dark=False),
                "dark": _years(years, dark=True),
            }
        )
    for name, clusters in points.clusters.items():
        found, codes, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
        names = [str(cluster) if cluster >= 0 else NO_CLUSTER for cluster in found.tolist()]
        both = {}
        for theme in ("light", "dark"):
            paths = [(name,) for name in names]
            shades = hierarchy_colours(paths, sizes.tolist(), dark=theme == "dark")
            other = DARK_OTHER if theme == "dark" else OTHER
            both[theme] = [other if name == NO_CLUSTER else shades[name,] for name in names]
        packed = packed_numbers(codes, "<u4")
        colourings.append({"name": f"clusters: {name}", "names": names, "codes": packed, **both})
    return colourings


def _years(years: np.ndarray, *, dark: bool) -> list[str]:
    """The colour of each year on a scale from the first to the last; grey for the unknown."""
    known = years[years > 0]
    scale = scale_colours(int(known.max() - known.min()) + 1, dark=dark)
    other = DARK_OTHER if dark else OTHER
    return [scale[year - known.min()] if year else other for year in years.tolist()]


def _abstracts(abstracts: Sequence[str], left: int) -> str | None:
    """The beginnings of the abstracts, as long as they take at most ``left`` bytes; None if no length does."""
    tried = abstracts[:TRIED]
    for length in ABSTRACT_LENGTHS:
        size = len(packed_texts([cut(text, length) for text in tried]))
        if size * len(abstracts) / max(len(tried), 1) <= left:
            return packed_texts([cut(text, length) for text in abstracts])
    return None


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _style() -> str:
    return (TEMPLATES / "page.css").read_text()


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
