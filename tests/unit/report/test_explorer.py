"""The content of the interactive page of a map; tests/browser opens it."""

import base64
import json
import re
import zlib
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.report.explorer import page as page_module
from arxiv_embeddings.report.explorer.page import (
    Points,
    cut,
    densest_places,
    grid_places,
    render_omitted,
    render_page,
    script_json,
    title_of,
)

EVIL = "</script><img src=x onerror=alert(1)><!-- & \u2028"


def page_data(page: str) -> dict[str, Any]:
    match = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert match
    content: dict[str, Any] = json.loads(match[1])
    return content


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def two_points() -> Points:
    return Points(
        places=np.array([[0.5, 2.0], [-1.5, 3.0]], dtype=np.float32),
        ids=["hep-th/9901001", "2401.00001"],
        titles=[EVIL, "Plain"],
        levels={"category 0": ["hep-th", "cs"], "category 1": ["hep-th", "cs.CL"]},
        abstracts=["We show\n it.", ""],
        listed=["hep-th", "cs.CL cs.LG"],
        years=np.array([1999, 0]),
        clusters={"umap, own": np.array([-1, 4])},
        nearest=np.array([[1], [0]]),
    )


def test_script_json_cannot_end_its_element() -> None:
    text = script_json({"title": EVIL})
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {"title": EVIL}


def test_the_page_contains_the_points() -> None:
    page = render_page(two_points(), "<b>model</b>", "map", "https://arxiv.org/abs/")
    data = page_data(page)
    places = np.frombuffer(unpacked(data["places"]), "<u2").reshape(-1, 2)
    assert places.tolist() == [[65535, 16384], [0, 49151]]
    leaves = np.frombuffer(unpacked(data["leaves"]), "<u4")
    names = [
        [level["names"][level["of_leaf"][leaf]] for level in data["levels"]] for leaf in leaves
    ]
    assert names == [["hep-th"] * 2, ["cs", "cs.CL"]]
    # White space is single, so that each text has one line.
    assert unpacked(data["titles"]).decode().split("\n") == [" ".join(EVIL.split()), "Plain"]
    assert unpacked(data["abstracts"]).decode().split("\n") == ["We show it.", ""]
    assert unpacked(data["listed"]).decode().split("\n") == ["hep-th", "cs.CL cs.LG"]
    assert np.frombuffer(unpacked(data["nearest"]), "<u2").tolist() == [1, 0]
    year, clusters = data["colourings"]
    assert (year["name"], year["names"]) == ("year", ["unknown", "1999"])
    assert (clusters["name"], clusters["names"]) == ("clusters: umap, own", ["no cluster", "4"])
    assert "&lt;b&gt;model&lt;/b&gt;" in page
    assert "<img" not in page
    # Nothing is loaded from the network, and no text is run as a script.
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src" in page
    assert "unsafe-eval" not in page


def test_a_page_of_few_columns_says_what_is_missing() -> None:
    points = Points(np.zeros((1, 2)), ["a"], ["A"], {"category 0": ["x"]})
    data = page_data(render_page(points, "model", "map", ""))
    assert [data[name] for name in ("abstracts", "listed", "years", "nearest")] == [None] * 4
    assert data["colourings"] == []


def test_levels_may_be_deep_and_names_may_repeat_below_other_parents() -> None:
    levels = {
        "category 0": ["a", "b", "b"],
        "category 1": ["x", "x", "y"],
        "category 2": ["1", "1", "1"],
    }
    points = Points(np.eye(3, 2), list("pqr"), list("PQR"), levels)
    deep = page_data(render_page(points, "model", "map", ""))["levels"]
    assert [level["names"] for level in deep] == [["a", "b"], ["x", "x", "y"], ["1", "1", "1"]]
    assert all(len(set(level["light"])) == len(level["names"]) for level in deep)


@pytest.mark.parametrize(("limit", "longest"), [(300_000, 321), (90_000, 181), (10_000, None)])
def test_abstracts_are_cut_so_that_the_page_stays_small(
    limit: int, longest: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "SMALL_BYTES", limit)
    rng = np.random.default_rng(0)
    points = Points(
        places=rng.random((300, 2)),
        ids=[str(row) for row in range(300)],
        titles=["A title"] * 300,
        levels={"category 0": ["x"] * 300},
        abstracts=[" ".join(rng.bytes(4).hex() for _ in range(60)) for _ in range(300)],
    )
    page = render_page(points, "model", "map", "")
    abstracts = page_data(page)["abstracts"]
    if longest is None:
        assert abstracts is None
    else:
        assert len(page.encode()) <= 1.15 * limit
        assert max(map(len, unpacked(abstracts).decode().split("\n"))) <= longest


def test_places_keep_their_proportions() -> None:
    places = grid_places(np.array([[0, 0], [10, 0], [10, 5]], dtype=np.float32))
    assert places.tolist() == [[0, 16384], [65535, 16384], [65535, 49151]]
    assert grid_places(np.ones((2, 2))).tolist() == [[32768, 32768]] * 2


def test_a_name_is_where_most_of_its_papers_are() -> None:
    rng = np.random.default_rng(0)
    near = rng.normal([50_000, 10_000], 300, (60, 2))
    far = rng.normal([5_000, 60_000], 300, (40, 2))
    places = np.concatenate([near, far, [[30_000, 30_000]]]).astype(int)
    codes = np.array([1] * 100 + [0])
    found = densest_places(places, codes, 2)
    assert found[0].tolist() == [30_000, 30_000]
    assert np.abs(found[1] - [50_000, 10_000]).max() < 300


def test_an_omitted_map_is_explained() -> None:
    page = render_omitted("model", "no <umap>")
    assert "no &lt;umap&gt;" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("topic", "title"),
    [
        ("A title\n  in two lines   We show that", "A title in two lines"),
        ("No abstract mark here", "No abstract mark here"),
        ("word " * 100, "word " * 32 + "…"),
    ],
)
def test_titles_end_where_the_abstract_begins(topic: str, title: str) -> None:
    assert title_of(topic) == title


def test_texts_are_cut_between_words() -> None:
    assert cut("one  two\nthree", 13) == "one two three"
    assert cut("one two three", 9) == "one two …"
