"""The interactive page of a map as a person uses it: opened from a file, without a network."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.evaluation.neighbours import nearest_papers
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from support.data.make_evaluation import make_papers

Script = Callable[..., subprocess.CompletedProcess[str]]

PAPERS = 400
# Markup, and a formula for a spreadsheet.
EVIL = "=</script><img src=x onerror=alert(1)> & <b>bold</b>"
PLACE = """(row) => {
  const box = map.getBoundingClientRect(), [left, top] = placeOf(row);
  return [left + box.left, top + box.top];
}"""
VIEW = "[view.x, view.y, view.scale]"
# Colours of papers as they are drawn.
COLOUR = "(row) => Array.from(canvas.colours.subarray(4 * row, 4 * row + 3))"
WEIGHTS = [0.2126, 0.7152, 0.0722]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 papers of 12 categories; the first is far from the others and has markup in its title."""
    folder = tmp_path_factory.mktemp("model")
    make_papers(folder / "papers.parquet", PAPERS, categories=12)
    table = pq.read_table(folder / "papers.parquet").to_pylist()
    names = sorted({row["category 1"] for row in table})
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(names), 2)) * 5
    places = np.array([centres[names.index(row["category 1"])] for row in table])
    places += rng.normal(size=places.shape)
    places[0] = places.max(axis=0) + 3
    for number, row in enumerate(table):
        row["title"], abstract = row["topic"].split("   ")
        row["topic"] = f"{row['title']} {abstract}"
        row["categories"] = f"{row['category 1']} math.XX"
        row["submitted"] = f"{2000 + number % 20}-03-04"
    table[0].update({"id": "hep-th/9901001", "title": EVIL, "topic": f"{EVIL} We show it."})
    pq.write_table(pa.Table.from_pylist(table), folder / "papers.parquet")
    np.save(folder / "map.npy", places.astype(np.float32))
    vectors = np.hstack([places, np.ones((PAPERS, 1))]).astype("<f4")
    np.save(folder / "embeddings.npy", vectors)
    np.save(folder / "neighbours.npy", nearest_papers(vectors))
    clusters = pa.array(np.arange(PAPERS) % 4 - 1, pa.int32())
    pq.write_table(pa.table({"category 0": clusters}), folder / "clusters.parquet")
    (folder / "map.json").write_text(json.dumps({"method": "umap"}))
    return folder


@pytest.fixture(scope="module")
def file(papers: Path, script: Script) -> Path:
    """The page of these papers."""
    done = make_page(script, papers, papers / "explorer.html")
    assert done.returncode == 0, done.stdout
    return papers / "explorer.html"


def make_page(
    script: Script, papers: Path, target: Path, link: str = "https://arxiv.org/abs/"
) -> subprocess.CompletedProcess[str]:
    return script(
        "make_explorer.py",
        *("--label", "some-model", "--papers", papers / "papers.parquet", "--link", link),
        *("--neighbours", papers / "neighbours.npy", "--map", papers / "map.npy", "--page", target),
        *("--map-report", papers / "map.json"),
        *("--clusters", "umap-4", papers / "clusters.parquet"),
    )


def open_page(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    expect(page.locator("#map")).to_have_attribute("data-shown", str(PAPERS))
    expect(page.locator("#failed")).to_be_hidden()


def place_of(page: Page, row: int) -> tuple[float, float]:
    left, top = page.evaluate(PLACE, row)
    return left, top


def move_to(page: Page, row: int) -> tuple[float, float]:
    """Move the mouse to a paper and return its position."""
    place = place_of(page, row)
    page.mouse.move(place[0] - 40, place[1] + 40)
    page.mouse.move(*place, steps=3)
    return place


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def shown(number: int) -> str:
    return f"{number} of {PAPERS} papers shown"


def next_frame(page: Page) -> None:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def view_of(page: Page) -> list[float]:
    view: list[float] = page.evaluate(VIEW)
    return view


def test_every_paper_and_the_method_of_the_map_are_shown(page: Page, file: Path) -> None:
    open_page(page, file)
    expect(page.get_by_role("heading", name="some-model")).to_be_visible()
    expect(page.get_by_text("UMAP map of 400 papers")).to_be_visible()
    expect(status(page)).to_have_text(shown(PAPERS))
    # Points are really drawn: the first paper is alone where it is.
    next_frame(page)
    left, top = place_of(page, 0)
    clip = FloatRect(x=left - 1, y=top - 1, width=3, height=3)
    drawn = page.screenshot(clip=clip)
    page.evaluate("canvas.parts = [{ stop: 0, larger: 0, alpha: 1 }]; look()")
    next_frame(page)
    assert page.screenshot(clip=clip) != drawn


def test_a_title_with_markup_is_shown_as_text(page: Page, file: Path) -> None:
    open_page(page, file)
    move_to(page, 0)
    expect(page.locator("#card-title")).to_have_text(EVIL)
    page.get_by_role("searchbox").fill("onerror")
    expect(page.locator("#results li")).to_have_count(1)
    expect(page.locator("#results li")).to_contain_text(EVIL)
    assert page.locator("img, b").count() == 0


def test_pointing_at_a_paper_rings_it_and_shows_its_card_beside_it(page: Page, file: Path) -> None:
    open_page(page, file)
    left, top = move_to(page, 0)
    expect(page.locator("#card-about")).to_contain_text("hep-th/9901001 · arch0 · arch0.C")
    expect(page.locator("#card-about")).to_contain_text("math.XX · 2000")
    expect(page.locator("#card-abstract")).to_have_text("We show it.")
    ring, card = page.locator("#ring").bounding_box(), page.locator("#card").bounding_box()
    assert ring
    assert card
    assert ring["x"] + ring["width"] / 2 == pytest.approx(left, abs=1)
    assert ring["y"] + ring["height"] / 2 == pytest.approx(top, abs=1)
    beside = min(abs(card["x"] - left), abs(card["x"] + card["width"] - left))
    assert beside < 30
    # Zooming at another place moves the paper away from below the pointer: its card goes.
    page.mouse.move(left - 200, top + 200)
    expect(page.locator("#card")).to_be_hidden()
    page.mouse.move(left, top)
    expect(page.locator("#card")).to_be_visible()
    page.keyboard.press("+")
    expect(page.locator("#card")).to_be_hidden()


def test_the_first_click_keeps_the_card_and_the_second_opens_the_paper(
    page: Page, file: Path
) -> None:
    open_page(page, file)
    place = move_to(page, 0)
    page.mouse.click(*place)
    expect(page.locator("#card.kept")).to_be_visible()
    page.mouse.move(place[0] - 300, place[1] + 300)
    expect(page.locator("#card.kept")).to_be_visible()
    assert len(page.context.pages) == 1
    with page.context.expect_page() as opened:
        page.mouse.click(*place)
    opened.value.wait_for_load_state()
    assert opened.value.url == "https://arxiv.org/abs/hep-th/9901001"
    opened.value.close()
    page.keyboard.press("Escape")
    page.mouse.move(place[0] - 300, place[1] + 300)
    expect(page.locator("#card")).to_be_hidden()


def test_the_nearest_papers_are_those_of_the_vectors(page: Page, file: Path, papers: Path) -> None:
    vectors = np.load(papers / "embeddings.npy").astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.argsort(-(vectors @ vectors[7]))
    wanted = [row for row in order.tolist() if row != 7][:10]
    titles = pq.read_table(papers / "papers.parquet")["title"].to_pylist()
    open_page(page, file)
    page.evaluate("pin(7)")
    expect(page.locator("#nearest li")).to_have_text([titles[row] for row in wanted])
    page.locator("#nearest button").first.click()
    expect(page.locator("#card-title")).to_have_text(titles[wanted[0]])


def test_search_finds_all_words_in_any_order(page: Page, file: Path) -> None:
    open_page(page, file)
    page.keyboard.press("/")
    page.keyboard.type("ON 17 paper 2000.00017")
    expect(status(page)).to_have_text(shown(1))
    expect(page.get_by_role("heading", name="1 found")).to_be_visible()
    result = page.locator("#results a")
    expect(result).to_contain_text("Paper 17 on arch")
    expect(result).to_have_attribute("href", "https://arxiv.org/abs/2000.00017")
    page.keyboard.press("Tab")
    expect(result).to_be_focused()
    expect(page.locator("#card-title")).to_contain_text("Paper 17 on arch")
    expect(page.locator("#ring")).to_be_visible()
    page.get_by_role("searchbox").fill("no such paper")
    expect(
        page.get_by_role("heading", name="No match: no paper has all these words")
    ).to_be_visible()
    expect(status(page)).to_have_text(shown(0))
    page.get_by_role("searchbox").fill("")
    expect(status(page)).to_have_text(shown(PAPERS))
    expect(page.locator("#found")).to_be_hidden()


def test_search_finds_categories_also_those_that_are_listed_only(
    page: Page, file: Path, papers: Path
) -> None:
    table = pq.read_table(papers / "papers.parquet").to_pandas()
    number = int((table["category 1"] == "arch0.C02").sum())
    open_page(page, file)
    page.get_by_role("searchbox").fill("arch0.c02")
    expect(status(page)).to_have_text(shown(number))
    page.get_by_role("searchbox").fill("MATH.xx")
    expect(status(page)).to_have_text(shown(PAPERS))
    expect(page.locator("#results")).to_contain_text("and 300 more on the map")
    page.get_by_role("checkbox", name="arch0", exact=True).uncheck()
    page.get_by_role("searchbox").fill("arch0.c02")
    expect(page.get_by_role("heading", name="No match")).to_contain_text("of the ticked categories")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_found_papers_stand_out(page: Page, file: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_page(page, file)
    page.get_by_role("searchbox").fill("2000.00017")
    expect(status(page)).to_have_text(shown(1))
    found, rest = (luminance(page.evaluate(COLOUR, row)) for row in (17, 18))
    assert (max(found, rest) + 0.05) / (min(found, rest) + 0.05) >= 4.5


def luminance(rgb: list[int]) -> float:
    parts = np.array(rgb) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ WEIGHTS)


def test_categories_are_filtered_at_both_levels_and_keep_their_colours(
    page: Page, papers: Path, file: Path
) -> None:
    table = pq.read_table(papers / "papers.parquet").to_pandas()
    whole = int((table["category 0"] == "arch1").sum())
    is_part = table["category 1"] == "arch0.C02"
    part = int(is_part.sum())
    row = int(np.flatnonzero(is_part)[0])
    assert 0 < whole < PAPERS
    assert 0 < part < PAPERS
    open_page(page, file)
    colour = page.evaluate(COLOUR, row)
    page.get_by_role("checkbox", name="arch0", exact=True).uncheck()
    expect(status(page)).to_have_text(shown(whole))
    assert page.evaluate(COLOUR, row) != colour
    page.get_by_role("checkbox", name="arch0.C02").check()
    expect(status(page)).to_have_text(shown(whole + part))
    assert page.evaluate(COLOUR, row) == colour
    page.get_by_role("button", name="Show only arch0.C02").click()
    expect(status(page)).to_have_text(shown(part))
    assert page.evaluate(COLOUR, row) == colour
    assert page.get_by_role("checkbox", name="arch0", exact=True).evaluate(
        "(box) => box.indeterminate"
    )
    page.get_by_role("button", name="Show none").click()
    expect(status(page)).to_have_text(shown(0))
    page.get_by_role("button", name="Show all").click()
    expect(status(page)).to_have_text(shown(PAPERS))


@pytest.mark.parametrize(
    ("colouring", "colours"),
    [("category 0", 2), ("category 1", 12), ("year", 20), ("clusters: umap-4, category 0", 4)],
)
def test_papers_can_be_coloured(page: Page, file: Path, colouring: str, colours: int) -> None:
    open_page(page, file)
    page.get_by_label("Colour by").select_option(label=colouring)
    page.wait_for_function(
        "(number) => new Set(Array.from({ length: papers }, (_, row) => "
        "canvas.colours.subarray(4 * row, 4 * row + 3).join())).size === number",
        arg=colours,
    )
    entries = 0 if colouring.startswith("category") else colours
    expect(page.locator("#legend li")).to_have_count(entries)


def test_names_are_on_the_map_by_level_and_never_overlap(page: Page, file: Path) -> None:
    open_page(page, file)
    labels = page.locator("#labels")
    expect(labels).to_have_attribute("data-level", "category 0")
    expect(labels.locator("span")).to_have_text(["arch0", "arch1"])
    for _ in range(4):
        page.keyboard.press("+")
        next_frame(page)
        boxes = [box for span in labels.locator("span").all() if (box := span.bounding_box())]
        for number, one in enumerate(boxes):
            for other in boxes[number + 1 :]:
                assert (
                    one["x"] + one["width"] <= other["x"]
                    or other["x"] + other["width"] <= one["x"]
                    or one["y"] + one["height"] <= other["y"]
                    or other["y"] + other["height"] <= one["y"]
                )
    expect(labels).to_have_attribute("data-level", "category 1")
    page.evaluate("pin(3)")
    page.get_by_role("button", name="Show none").click()
    expect(labels.locator("span")).to_have_count(0)


def test_keys_and_buttons_move_and_zoom(page: Page, file: Path) -> None:
    open_page(page, file)
    x, y, scale = view_of(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    moved = view_of(page)
    assert moved[0] > x
    assert moved[1] > y
    page.keyboard.press("-")
    assert view_of(page)[2] < scale
    page.keyboard.press("0")
    assert view_of(page) == [x, y, scale]
    page.get_by_role("button", name="Zoom in").click()
    assert view_of(page)[2] > scale
    page.get_by_role("button", name="Zoom out").click()
    assert view_of(page)[2] == pytest.approx(scale)
    # Keys that are typed into a field do not move the map.
    page.get_by_role("searchbox").press_sequentially("1+-0")
    assert view_of(page)[2] == pytest.approx(scale)


def test_the_wheel_zooms_at_the_pointer_and_filtering_keeps_the_view(
    page: Page, file: Path
) -> None:
    open_page(page, file)
    whole = view_of(page)
    before = move_to(page, 5)
    page.mouse.wheel(0, -400)
    page.wait_for_function("(scale) => view.scale > scale", arg=whole[2])
    assert place_of(page, 5) == pytest.approx(before, abs=0.5)
    near = view_of(page)
    page.get_by_role("checkbox", name="arch1", exact=True).uncheck()
    assert view_of(page) == near
    page.mouse.move(700, 400)
    page.mouse.down()
    page.mouse.move(640, 430, steps=3)
    page.mouse.up()
    assert view_of(page)[0] > near[0]
    assert view_of(page)[1] > near[1]
    page.get_by_role("button", name="All", exact=True).click()
    assert view_of(page) == whole


@pytest.mark.parametrize("how", ["button", "shift", "view"])
def test_a_selection_is_listed_and_saved(page: Page, file: Path, how: str) -> None:
    open_page(page, file)
    if how == "view":
        # Only the first paper is in this corner.
        page.evaluate(
            "Object.assign(view, { x: places[0] / 65535, y: places[1] / 65535, scale: 20000 }); look()"
        )
        page.get_by_role("button", name="Select view").click()
    else:
        if how == "button":
            page.get_by_role("button", name="Select", exact=True).click()
        else:
            page.keyboard.down("Shift")
        left, top = place_of(page, 0)
        page.mouse.move(left - 20, top - 20)
        page.mouse.down()
        for x, y in ((20, -20), (20, 20), (-20, 20)):
            page.mouse.move(left + x, top + y, steps=3)
        page.mouse.up()
        page.keyboard.up("Shift")
    expect(page.get_by_role("heading", name="1 selected")).to_be_visible()
    expect(page.locator("#selection li")).to_have_count(1)
    expect(page.locator("#selection li")).to_contain_text(EVIL)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "some-model-selection.csv"
    with Path(download.value.path()).open(newline="", encoding="utf-8") as saved:
        header, row = csv.reader(saved)
    assert header == ["id", "title", "category 0", "category 1", "categories", "year"]
    assert row[:3] == ["hep-th/9901001", f"'{EVIL}", "arch0"]
    assert row[-1] == "2000"
    page.get_by_role("button", name="Clear the selection").click()
    expect(status(page)).to_have_text(shown(PAPERS))
    expect(page.locator("#selected")).to_be_hidden()


def test_no_control_sends_anything(page: Page, file: Path) -> None:
    """Every control that is there is used; the page's fixture fails on any request that leaves."""
    open_page(page, file)
    page.get_by_role("searchbox").fill("paper 1")
    expect(page.locator("#found")).to_be_visible()
    page.get_by_role("button", name="Select view").click()
    expect(page.locator("#selected")).to_be_visible()
    controls = page.locator("button, input, select, summary, [tabindex], [role=button]").all()
    assert len(controls) > 30
    for control in controls:
        kind = control.evaluate("(node) => node.type ?? node.tagName")
        if kind == "select-one":
            for option in control.locator("option").all():
                control.select_option(option.get_attribute("value"))
        else:
            control.evaluate("(node) => node.click()")
    assert page.locator("form, input[type=file], iframe, object, embed").count() == 0
    links = page.locator("a[href]").evaluate_all("(links) => links.map((link) => link.href)")
    assert all(link.startswith("https://arxiv.org/abs/") for link in links)
    page.wait_for_timeout(300)
    assert len(page.context.pages) == 1


def test_a_phone_reads_with_the_first_tap_and_zooms_with_a_pinch(
    browser: Browser, file: Path
) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, offline=True
    )
    context.route("https://arxiv.org/**", lambda route: route.fulfill(body="A paper's page"))
    page = context.new_page()
    open_page(page, file)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.touchscreen.tap(*place_of(page, 0))
    expect(page.locator("#card.kept #card-title")).to_have_text(EVIL)
    next_frame(page)
    card = page.locator("#card").bounding_box()
    left, top = place_of(page, 0)
    assert card
    assert not card["y"] <= top <= card["y"] + card["height"]
    assert len(context.pages) == 1
    with context.expect_page() as opened:
        page.touchscreen.tap(left, top)
    assert opened.value.url == "https://arxiv.org/abs/hep-th/9901001"
    opened.value.close()
    page.get_by_role("button", name="Close").tap()
    expect(page.locator("#card")).to_be_hidden()
    before = view_of(page)[2]
    session = context.new_cdp_session(page)
    for kind, spread in (("touchStart", 30), ("touchMove", 45), ("touchMove", 60), ("touchEnd", 0)):
        points = [{"x": 195 + s * spread, "y": 250, "id": i} for i, s in enumerate((-1, 1))]
        session.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": points if spread else []},
        )
    assert view_of(page)[2] == pytest.approx(2 * before, rel=0.1)
    context.close()


def test_without_links_a_click_opens_nothing(
    page: Page, papers: Path, script: Script, tmp_path: Path
) -> None:
    done = make_page(script, papers, tmp_path / "explorer.html", link="")
    assert done.returncode == 0, done.stdout
    open_page(page, tmp_path / "explorer.html")
    place = move_to(page, 0)
    page.mouse.click(*place)
    page.mouse.click(*place)
    page.get_by_role("searchbox").fill("paper 2000.00017")
    expect(page.locator("#results li")).to_have_count(1)
    assert page.locator("#results a").count() == 0
    assert len(page.context.pages) == 1


def test_a_page_without_a_map_says_so(
    page: Page, papers: Path, script: Script, tmp_path: Path
) -> None:
    for name in ("papers.parquet", "neighbours.npy", "clusters.parquet"):
        (tmp_path / name).symlink_to(papers / name)
    np.save(tmp_path / "map.npy", np.empty((0, 2), dtype=np.float32))
    (tmp_path / "map.json").write_text(json.dumps({"method": "umap", "omitted": "too few papers"}))
    done = make_page(script, tmp_path, tmp_path / "explorer.html")
    assert done.returncode == 0, done.stdout
    page.goto((tmp_path / "explorer.html").as_uri())
    expect(page.get_by_text("There is no map of this model: too few papers")).to_be_visible()


def test_files_of_other_papers_are_refused(papers: Path, script: Script, tmp_path: Path) -> None:
    for name in ("papers.parquet", "map.npy", "map.json", "clusters.parquet"):
        (tmp_path / name).symlink_to(papers / name)
    np.save(tmp_path / "neighbours.npy", np.ones((3, 2), dtype=np.int32))
    done = make_page(script, tmp_path, tmp_path / "explorer.html")
    assert done.returncode != 0
    assert "shape (3, 2), which are not the neighbours of 400 papers" in done.stdout
    assert not (tmp_path / "explorer.html").exists()
