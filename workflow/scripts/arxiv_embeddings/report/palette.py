"""Colours that colour-blind readers can tell apart, and how they are assigned to categories."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The qualitative scheme "muted" of Paul Tol, Colour Schemes, SRON/EPS/TN/09-002, issue 3.2 (2021).
COLOURS = (
    "#332288",
    "#88CCEE",
    "#117733",
    "#DDCC77",
    "#CC6677",
    "#44AA99",
    "#AA4499",
    "#999933",
    "#882255",
)
# Brighter variants of the same hues, for a dark page.
DARK_COLOURS = (
    "#7B6FE0",
    "#9ADBF5",
    "#2E9E55",
    "#F0E08A",
    "#E5808F",
    "#4FC3B0",
    "#D070C4",
    "#A8A83C",
    "#B83A78",
)
# The rest: Tol's pale grey, slightly darker.
OTHER = "#CCCCCC"
DARK_OTHER = "#66666E"
# In OKLCH: lightness of points on a white and on a dark page, and the hue of the largest category (degrees).
LIGHT_LIGHTNESS = (0.45, 0.75)
DARK_LIGHTNESS = (0.6, 0.9)
HUE_OF_LARGEST = 255.0
GOLDEN = (math.sqrt(5) - 1) / 2
# Papers that a search found, and all others meanwhile: on a white and on a dark page. Contrast at least 4.5.
FOUND = ("#a3003c", "#ffd54a")
FADED = ("#dddde2", "#3c3c44")


@dataclass(frozen=True)
class Groups:
    """The largest categories by name, and the rest as one group.

    Attributes:
        names: of the groups, the largest category first and the rest last.
        codes: int64 (papers,), the group of each paper as an index of ``names``.
        members: the categories of each group.
    """

    names: list[str]
    codes: np.ndarray
    members: list[list[str]]

    @property
    def sizes(self) -> np.ndarray:
        """The number of papers in each group, int64 (groups,)."""
        return np.bincount(self.codes, minlength=len(self.names))

    @property
    def colours(self) -> list[str]:
        """A colour for each group: ``COLOURS`` in order, then ``OTHER`` for the rest."""
        return [*COLOURS[: len(self.names)], OTHER][: len(self.names)]


def group_categories(categories: Sequence[str] | np.ndarray, named: int = len(COLOURS)) -> Groups:
    """Return the ``named`` largest of the papers' ``categories`` and the rest as one group.

    Categories of the same size are in alphabetical order. A rest of one category keeps its name.
    """
    found, codes, sizes = np.unique(
        np.asarray(categories, dtype=str), return_inverse=True, return_counts=True
    )
    order = np.argsort(-sizes, kind="stable")
    members = [[str(found[code])] for code in order[:named]]
    if rest := [str(found[code]) for code in order[named:]]:
        members.append(rest)
    names = [own[0] if len(own) == 1 else f"other ({len(own)} categories)" for own in members]
    group = np.empty(len(found), dtype=np.int64)
    group[order] = np.minimum(np.arange(len(found)), named)
    return Groups(names, group[codes], members)


def hierarchy_colours(
    paths: Sequence[tuple[str, ...]], sizes: Sequence[int], *, dark: bool = False
) -> dict[tuple[str, ...], str]:
    """Return a colour for each category of each level: hue by the coarsest level, shade by the finer ones.

    The categories of the coarsest level share the circle of hues in order of size. Those of the next level take
    places in their parent's part of the circle and of the range of lightness; from then on, lightness alone.

    Args:
        paths: the categories of the finest level that occur, each with its ancestors: ``("cs", "cs.CL")``.
        sizes: the number of papers of each.
        dark: for a dark background.

    Returns:
        ``#rrggbb`` for each prefix of ``paths``.
    """
    papers: Counter[tuple[str, ...]] = Counter()
    children: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for path, size in zip(paths, sizes, strict=True):
        for depth in range(len(path)):
            papers[path[: depth + 1]] += size
            children.setdefault(path[:depth], set()).add(path[: depth + 1])
    colours: dict[tuple[str, ...], str] = {}
    whole = DARK_LIGHTNESS if dark else LIGHT_LIGHTNESS
    waiting: list[tuple[tuple[str, ...], float, float, float, float]] = [((), 0.0, 360.0, *whole)]
    while waiting:
        parent, hue, sector, low, high = waiting.pop()
        own = sorted(children.get(parent, ()), key=lambda path: (-papers[path], path))
        # Neighbours in size are far apart on the circle and in lightness.
        shift = _stride(len(own))
        for place, path in enumerate(own):
            step = place * shift % len(own)
            if not parent:
                inner = (hue + sector * step / len(own), sector / len(own), low, high)
            else:
                part = (high - low) / len(own)
                turn = 0.7 * sector * (place * GOLDEN % 1 - 0.5) if len(parent) == 1 else 0.0
                inner = (hue + turn, sector, low + part * step, low + part * (step + 1))
            colours[path] = _oklch((inner[2] + inner[3]) / 2, 0.14, inner[0] + HUE_OF_LARGEST)
            waiting.append((path, *inner))
    return colours


def scale_colours(steps: int, *, dark: bool = False) -> list[str]:
    """Return ``steps`` colours of a scale from blue to yellow, for numbers such as years."""
    low, high = DARK_LIGHTNESS if dark else LIGHT_LIGHTNESS
    at = np.linspace(0, 1, steps) if steps > 1 else np.array([0.5])
    return [_oklch(low - 0.1 + (high + 0.1 - low) * t, 0.14, 285 - 190 * t) for t in at.tolist()]


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours ``#rrggbb``, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted(_luminance(colour) for colour in (first, second))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _stride(number: int) -> int:
    """Return a step near the golden section of ``number`` that reaches all of 0 to ``number - 1``."""
    wanted = round(number * (1 - GOLDEN))
    near = sorted(range(1, max(number, 2)), key=lambda step: abs(step - wanted))
    return next(step for step in near if math.gcd(step, number) == 1)


def _oklch(lightness: float, chroma: float, hue: float) -> str:
    """Return a colour of OKLCH as ``#rrggbb``, with as much of ``chroma`` as sRGB has.

    Matrices: Björn Ottosson, A perceptual color space for image processing (2020).
    """
    angle = math.radians(hue)
    while True:
        a, b = chroma * math.cos(angle), chroma * math.sin(angle)
        long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        linear = (
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        )
        if (min(linear) >= 0 and max(linear) <= 1) or chroma < 1e-3:
            break
        chroma *= 0.95
    clipped = [min(max(part, 0.0), 1.0) for part in linear]
    encoded = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in clipped]
    return "#" + "".join(f"{round(255 * c):02x}" for c in encoded)
