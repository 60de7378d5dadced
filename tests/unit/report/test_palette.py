"""Colour-blind readers can tell the colours apart, and categories get them by size."""

import itertools

import numpy as np
import pytest
from arxiv_embeddings.report.palette import COLOURS, DARK_COLOURS, OTHER, group_categories

# Machado, Oliveira and Fernandes (2009), severity 1.0; on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
WHITE = [0.9505, 1.0, 1.0888]


def seen(colour: str, vision: str) -> np.ndarray:
    """The CIELAB coordinates of an sRGB colour for a kind of vision."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISION[vision] @ linear, 0, 1) / np.array(WHITE)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab: np.ndarray = np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
    return lab


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("colours", [(*COLOURS, OTHER), DARK_COLOURS], ids=["light", "dark"])
def test_any_two_colours_are_distinguishable(colours: tuple[str, ...], vision: str) -> None:
    """Side by side a difference of 2 is just visible; points on a map need a multiple of it."""
    pairs = itertools.combinations(colours, 2)
    apart = {pair: np.linalg.norm(seen(pair[0], vision) - seen(pair[1], vision)) for pair in pairs}
    closest = min(apart, key=lambda pair: apart[pair])
    assert apart[closest] > 14, (closest, apart[closest])


def test_the_largest_are_named_and_the_rest_is_one_group() -> None:
    groups = group_categories(np.array(list("aaabbbbccd")), named=2)
    assert groups.names == ["b", "a", "other (2 categories)"]
    assert groups.members == [["b"], ["a"], ["c", "d"]]
    assert groups.codes.tolist() == [1, 1, 1, 0, 0, 0, 0, 2, 2, 2]
    assert groups.sizes.tolist() == [4, 3, 3]
    assert groups.colours == list(COLOURS[:3])


def test_a_rest_of_one_category_keeps_its_name() -> None:
    assert group_categories(["a", "a", "b"], named=1).names == ["a", "b"]


def test_categories_of_the_same_size_are_in_alphabetical_order() -> None:
    assert group_categories(["c", "a", "b"], named=3).names == ["a", "b", "c"]


def test_sixty_categories_fit_into_the_legend() -> None:
    groups = group_categories([f"c{number:02d}" for number in range(60) for _ in range(number + 1)])
    assert len(groups.names) == len(COLOURS) + 1
    assert groups.names[-1] == f"other ({60 - len(COLOURS)} categories)"
    assert len(set(groups.colours)) == len(groups.names)
    assert groups.colours[-1] == OTHER
    assert groups.sizes.sum() == 60 * 61 / 2
