"""The interactive page of a map as a person uses it: opened from a file, without a network."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect
from support.data.make_evaluation import make_evaluation, make_papers

Script = Callable[..., subprocess.CompletedProcess[str]]

PAPERS = 400
EVIL = "</script><img src=x onerror=alert(1)> & <b>bold</b>"
PLACE = "(row) => [map._fullLayout.xaxis._offset + map._fullLayout.xaxis.d2p(x[row]), map._fullLayout.yaxis._offset + map._fullLayout.yaxis.d2p(y[row])]"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 papers of 12 categories; the first is far from the others and has markup in its title."""
    folder = tmp_path_factory.mktemp("model")
    make_papers(folder / "papers.parquet", PAPERS, categories=12)
    make_evaluation(folder)
    table = pq.read_table(folder / "papers.parquet").to_pylist()
    table[0].update({"id": "hep-th/9901001", "topic": f"{EVIL}   We show it."})
    pq.write_table(pa.Table.from_pylist(table), folder / "papers.parquet")
    places = pq.read_table(folder / "evaluation/map.parquet").to_pandas()
    places.loc[0, ["x", "y"]] = [places["x"].max() + 5, places["y"].max() + 5]
    pq.write_table(pa.Table.from_pandas(places), folder / "evaluation/map.parquet")
    return folder


@pytest.fixture(scope="module")
def file(papers: Path, script: Script) -> Path:
    """The page of these papers."""
    done = make_page(script, papers, papers / "explorer.html", "https://arxiv.org/abs/")
    assert done.returncode == 0, done.stdout
    return papers / "explorer.html"


def make_page(
    script: Script, papers: Path, target: Path, link: str
) -> subprocess.CompletedProcess[str]:
    return script(
        "make_explorer.py",
        *("--label", "some-model", "--papers", papers / "papers.parquet", "--link", link),
        *("--map", papers / "evaluation/map.parquet", "--page", target),
        *("--map-report", papers / "evaluation/map.json"),
    )


def open_page(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    expect(page.locator("#map")).to_have_attribute("data-shown", str(PAPERS))
    # Plotly shows this element if it cannot draw.
    expect(page.locator(".no-webgl")).to_have_count(0)


def move_to(page: Page, row: int) -> tuple[float, float]:
    """Move the mouse to a paper and return its position."""
    box = page.locator("#map").bounding_box()
    assert box
    left, top = page.evaluate(PLACE, row)
    place = box["x"] + left, box["y"] + top
    page.mouse.move(place[0] - 30, place[1] + 30)
    page.mouse.move(*place, steps=5)
    return place


def drawn(page: Page) -> list[int]:
    """The number of points in each trace: hidden papers, the rest, the groups, the paper with the ring."""
    counts: list[int] = page.evaluate("map.data.map((trace) => trace.x.length)")
    return counts


def test_every_paper_and_the_method_of_the_map_are_shown(page: Page, file: Path) -> None:
    open_page(page, file)
    assert sum(drawn(page)) == PAPERS
    assert drawn(page)[0] == 0
    expect(page.get_by_role("heading", name="some-model")).to_be_visible()
    expect(page.get_by_text("PCA (in place of PHATE) map of 400 papers")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("400 of 400 papers shown")


def test_a_title_with_markup_is_shown_as_text(page: Page, file: Path) -> None:
    open_page(page, file)
    move_to(page, 0)
    expect(page.locator("#card-title")).to_have_text(EVIL)
    expect(page.locator("#card-about")).to_contain_text("hep-th/9901001 · arch0 · arch0.C")
    page.get_by_role("searchbox").fill("onerror")
    expect(page.locator("#results li")).to_have_count(1)
    expect(page.locator("#results li")).to_contain_text(EVIL)
    assert page.locator("img, b").count() == 0


def test_a_click_opens_the_paper(page: Page, file: Path) -> None:
    open_page(page, file)
    place = move_to(page, 0)
    expect(page.locator("#map")).to_have_attribute("data-hovered", "hep-th/9901001")
    with page.context.expect_page() as opened:
        page.mouse.click(*place)
    opened.value.wait_for_load_state()
    assert opened.value.url == "https://arxiv.org/abs/hep-th/9901001"


def test_search_works_with_the_keyboard(page: Page, file: Path) -> None:
    open_page(page, file)
    page.keyboard.press("/")
    page.keyboard.type("PAPER 17 ON ")
    expect(page.get_by_role("status")).to_have_text("1 of 400 papers shown")
    result = page.locator("#results a")
    expect(result).to_contain_text("Paper 17 on arch")
    expect(result).to_have_attribute("href", "https://arxiv.org/abs/2000.00017")
    page.keyboard.press("Tab")
    expect(result).to_be_focused()
    expect(page.locator("#card-title")).to_contain_text("Paper 17 on arch")
    # The ring around it.
    assert drawn(page)[-1] == 1
    page.get_by_role("searchbox").fill("no such paper")
    expect(page.get_by_role("status")).to_have_text("0 of 400 papers shown")
    page.get_by_role("searchbox").fill("")
    expect(page.get_by_role("status")).to_have_text("400 of 400 papers shown")


def test_categories_are_filtered_at_both_levels(page: Page, papers: Path, file: Path) -> None:
    table = pq.read_table(papers / "papers.parquet").to_pandas()
    whole = int((table["category 0"] == "arch1").sum())
    part = int((table["category 1"] == "arch0.C02").sum())
    assert 0 < whole < PAPERS
    assert 0 < part < PAPERS
    open_page(page, file)
    page.get_by_role("checkbox", name="arch0", exact=True).uncheck()
    expect(page.get_by_role("status")).to_have_text(f"{whole} of 400 papers shown")
    assert drawn(page)[0] == PAPERS - whole
    page.get_by_role("checkbox", name="arch0.C02").check()
    expect(page.get_by_role("status")).to_have_text(f"{whole + part} of 400 papers shown")
    page.get_by_role("button", name="Show only arch0.C02").click()
    expect(page.get_by_role("status")).to_have_text(f"{part} of 400 papers shown")
    assert page.get_by_role("checkbox", name="arch0", exact=True).evaluate(
        "(box) => box.indeterminate"
    )
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("status")).to_have_text("400 of 400 papers shown")


def test_papers_can_be_coloured_by_each_level(page: Page, file: Path) -> None:
    open_page(page, file)
    used = "map.data.filter((trace) => trace.x.length).length"
    # Nine categories and the rest.
    assert page.evaluate(used) == 10
    page.get_by_role("radio", name="category 0").check()
    assert page.evaluate(used) == 2


def test_the_wheel_zooms_and_filtering_keeps_the_view(page: Page, file: Path) -> None:
    open_page(page, file)
    whole = page.evaluate("map._fullLayout.xaxis.range.slice()")
    move_to(page, 5)
    page.mouse.wheel(0, -400)
    page.wait_for_function(
        "(width) => map._fullLayout.xaxis.range[1] - map._fullLayout.xaxis.range[0] < width",
        arg=whole[1] - whole[0],
    )
    # Plotly redraws some time after the last turn of the wheel.
    page.wait_for_timeout(300)
    near = page.evaluate("map._fullLayout.xaxis.range.slice()")
    page.get_by_role("checkbox", name="arch1", exact=True).uncheck()
    assert page.evaluate("map._fullLayout.xaxis.range.slice()") == pytest.approx(near)
    page.mouse.dblclick(700, 400)
    page.wait_for_function(
        "(left) => Math.abs(map._fullLayout.xaxis.range[0] - left) < 1e-6", arg=whole[0]
    )


def test_without_links_a_click_opens_nothing(
    page: Page, papers: Path, script: Script, tmp_path: Path
) -> None:
    done = make_page(script, papers, tmp_path / "explorer.html", link="")
    assert done.returncode == 0, done.stdout
    open_page(page, tmp_path / "explorer.html")
    page.mouse.click(*move_to(page, 0))
    page.get_by_role("searchbox").fill("paper 17 on ")
    expect(page.locator("#results li")).to_have_count(1)
    assert page.locator("#results a").count() == 0
    assert len(page.context.pages) == 1
