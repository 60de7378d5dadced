"""The report of a small run as a person reads it: opened from a file, without a network."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.once import built_once
from support.running import model, with_snapshot

MODELS = [model(), model("minilm-cls", pooling="cls")]
FIGURES = [
    "clusters and categories",
    "map by category 0",
    "map by category 1",
    "throughput by piece",
    "tokens by paper",
]
COMPARED = [
    "grid of reductions and clusterings",
    "maps side by side by category 0",
    "maps side by side by category 1",
    "Shepard diagrams",
    "scores of the models",
    "papers by category",
]
PAPERS = 45
EVALUATION = {
    "reductions": ["none"],
    "clusterings": ["ward"],
    "maps": ["pca"],
}


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The unpacked report of two models on 40 papers."""
    folder = built_once(tmp_path_factory, worker_id, "report", build_report)
    return folder / "report/report.html"


def build_report(folder: Path) -> None:
    workflow = with_snapshot(folder)
    settings: dict[str, Any] = {
        "models": MODELS,
        "sample": {"size": PAPERS},
        "shards": {"size": PAPERS},
        "evaluation": EVALUATION,
    }
    workflow.run("report", **settings)
    assert workflow.run("report", **settings).jobs == {}
    # In one HTML file the pages would be data: addresses, and Chromium opens none beyond 2 MB.
    workflow.run("report", "--report", "report.zip", **settings)
    with zipfile.ZipFile(folder / "report.zip") as packed:
        packed.extractall(folder)


def open_results(page: Page, report: Path, category: str) -> None:
    page.goto(report.as_uri())
    # Drawing the start page would undo an earlier click.
    expect(page.get_by_text(f"{PAPERS} papers were embedded")).to_be_visible()
    page.get_by_role("link", name=category, exact=True).click()


def show(page: Page, name: str) -> None:
    """Click the eye beside a result."""
    row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
    row.get_by_role("link").or_(row.get_by_role("button")).first.click()


def test_every_figure_of_every_model_is_shown(page: Page, report: Path) -> None:
    for category in ("minilm", "minilm-cls"):
        open_results(page, report, category)
        for name in FIGURES:
            expect(page.get_by_text(name, exact=True)).to_be_visible()
            show(page, name)
            figure = page.locator("img[src$='.svg']").last
            expect(figure).to_be_visible()
            page.wait_for_function("(img) => img.naturalWidth > 300", arg=figure.element_handle())


def test_the_start_page_has_numbers(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    expect(page.get_by_text(f"{PAPERS} papers were embedded with 2 model(s)")).to_be_visible()
    expect(page.get_by_text("minilm, none, Ward").first).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 500})
    first = page.get_by_text(f"{PAPERS} papers were embedded").bounding_box()
    assert first is not None and first["y"] >= 0
    page.get_by_text("50 neighbours need").scroll_into_view_if_needed()
    last = page.get_by_text("50 neighbours need").bounding_box()
    assert last is not None and last["y"] + last["height"] <= 500
    maps = page.get_by_alt_text("the maps of the models")
    expect(maps).to_be_visible()
    page.wait_for_function("(img) => img.naturalWidth > 300", arg=maps.element_handle())
    expect(page.get_by_text("50 neighbours need more than 45 papers")).to_be_visible()


def test_no_figure_is_cut_off(page: Page, report: Path) -> None:
    """The report shows a figure in a window that cannot be scrolled."""
    for name in COMPARED:
        open_results(page, report, "Comparison")
        show(page, name)
        figure = page.locator("img[src$='.svg']").last
        expect(figure).to_be_visible()
        page.wait_for_function("(img) => img.naturalWidth > 300", arg=figure.element_handle())
        box = figure.bounding_box()
        assert box is not None
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800


def test_the_interactive_map_works_inside_the_report(page: Page, report: Path) -> None:
    open_results(page, report, "minilm")
    show(page, "interactive map")
    explorer = page.frame_locator("iframe")
    expect(explorer.get_by_role("status")).to_have_text(f"{PAPERS} of {PAPERS} papers shown")
    expect(explorer.locator("#map")).to_have_attribute("data-shown", str(PAPERS))
    expect(explorer.locator(".no-webgl")).to_have_count(0)


def test_models_are_compared_and_their_provenance_is_shown(page: Page, report: Path) -> None:
    open_results(page, report, "Comparison")
    show(page, "tables of scores")
    table = page.frame_locator("iframe")
    expect(table.get_by_role("rowheader", name="minilm-cls").first).to_be_visible()
    expect(table.get_by_role("columnheader", name="ARI ↑").first).to_be_visible()
    open_results(page, report, "Comparison")
    show(page, "provenance")
    provenance = page.frame_locator("iframe")
    expect(provenance.get_by_role("row", name="encoder: pooling")).to_contain_text("mean")
    expect(provenance.get_by_role("rowheader", name="Ward")).to_be_visible()
    open_results(page, report, "Comparison")
    for name in (
        "all scores as CSV",
        "differences between models as CSV",
        "differences between cells as CSV",
    ):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
