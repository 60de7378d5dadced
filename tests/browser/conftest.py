"""A real browser without a network."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The sandbox does not start as root, as which CI runs; the pages are our own. SwiftShader draws WebGL without a GPU.
OPTIONS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PAPER_PAGES = "https://arxiv.org/**"
expect.set_options(timeout=20_000)  # a slow machine that draws without a GPU


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium of the system, or a skip."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip(f"needs a browser, and none of {', '.join(NAMES)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that is offline. The test fails if it raised an error or asked for something on the network.

    A paper's page on arXiv may be asked for: that is what a click is for. It is answered here.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    wrong: list[str] = []

    def paper_page(route: Route) -> None:
        route.fulfill(body="A paper's page")

    context.route(PAPER_PAGES, paper_page)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: wrong.append(request.url) if request.url.startswith("http") else None,
    )
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    yield page
    context.close()
    assert wrong == []
