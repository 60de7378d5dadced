"""The content of the interactive page of a map; tests/browser opens it."""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.report.explorer.page import Points, render_page, script_json, title_of

EVIL = "</script><img src=x onerror=alert(1)><!-- & \u2028"


def page_data(page: str) -> dict[str, Any]:
    match = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert match
    content: dict[str, Any] = json.loads(match[1])
    return content


def test_script_json_cannot_end_its_element() -> None:
    text = script_json({"title": EVIL})
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {"title": EVIL}


def test_the_page_contains_the_points() -> None:
    points = Points(
        x=np.array([0.5, -1.25]),
        y=np.array([2.0, 3.0]),
        ids=["hep-th/9901001", "2401.00001"],
        titles=[EVIL, "Plain"],
        categories_0=["hep-th", "cs"],
        categories_1=["hep-th", "cs.CL"],
    )
    page = render_page(points, "<b>model</b>", "map", "https://arxiv.org/abs/")
    data = page_data(page)
    assert np.frombuffer(base64.b64decode(data["x"]), "<f4").tolist() == [0.5, -1.25]
    codes = np.frombuffer(base64.b64decode(data["category"]), "<u2")
    assert [data["categories"][code] for code in codes] == [["hep-th"] * 2, ["cs", "cs.CL"]]
    assert data["titles"] == [EVIL, "Plain"]
    assert "&lt;b&gt;model&lt;/b&gt;" in page
    assert "<img" not in page.split('<script id="data"')[1].split("</script>")[0]
    # Nothing is loaded from the network.
    assert "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src" in page


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
