"""The colours of the interactive page: hue by the coarsest level, shade by the finer ones."""

import colorsys

import pytest
from arxiv_embeddings.report.palette import (
    FADED,
    FOUND,
    contrast,
    hierarchy_colours,
    scale_colours,
)

PAPER = ("#ffffff", "#17171a")
PATHS = [(f"a{i}", f"a{i}.{j}") for i in range(20) for j in range(5)]


def hue(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 360 * colorsys.rgb_to_hls(red, green, blue)[0]


def apart(first: str, second: str) -> float:
    turn = abs(hue(first) - hue(second)) % 360
    return min(turn, 360 - turn)


@pytest.mark.parametrize("dark", [False, True])
def test_every_category_has_its_own_colour_seen_on_the_page(dark: bool) -> None:
    colours = hierarchy_colours(PATHS, list(range(100, 0, -1)), dark=dark)
    assert set(colours) == {*PATHS, *(path[:1] for path in PATHS)}
    for depth in (1, 2):
        own = [colour for path, colour in colours.items() if len(path) == depth]
        assert len(set(own)) == len(own)
    assert all(contrast(colour, PAPER[dark]) > 1.8 for colour in colours.values())


def test_categories_of_one_parent_have_similar_hues_and_large_parents_distant_ones() -> None:
    paths = [(name, f"{name}.{j}") for name in "abcde" for j in range(4)]
    colours = hierarchy_colours(paths, [50] * 8 + [1] * 12)
    assert all(apart(colours[path], colours[path[:1]]) < 50 for path in paths)
    assert apart(colours["a",], colours["b",]) > 80


def test_deeper_levels_differ_in_lightness_only() -> None:
    paths = [("a", "a.b", f"a.b.{j}") for j in range(4)] + [("c", "c.d", "c.d.e")]
    colours = hierarchy_colours(paths, [1] * 5)
    deep = [colours[path] for path in paths[:4]]
    assert len(set(deep)) == 4
    assert max(apart(colour, colours["a", "a.b"]) for colour in deep) < 25


def test_a_single_coarsest_category_leaves_the_circle_to_the_next_level() -> None:
    colours = hierarchy_colours([("cs", f"cs.{j}") for j in range(6)], [1] * 6)
    hues = [hue(colour) for path, colour in colours.items() if len(path) == 2]
    assert max(hues) - min(hues) > 120


def test_found_papers_stand_out() -> None:
    for found, faded, paper in zip(FOUND, FADED, PAPER, strict=True):
        assert contrast(found, faded) >= 4.5
        assert contrast(found, paper) >= 4.5


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_a_scale_grows_lighter() -> None:
    lightness = [contrast(colour, "#000000") for colour in scale_colours(20)]
    assert lightness == sorted(lightness)
    assert len(scale_colours(1)) == 1
