"""A real browser without a network."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# CI runs as root, where the sandbox does not start; it is not needed for our own pages. SwiftShader draws WebGL
# without a GPU.
OPTIONS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PAPER_PAGES = "https://arxiv.org/**"
# A slow machine without a GPU needs some time to draw.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The headless Chromium of this machine; without one the test is skipped."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on the PATH: install Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that is offline. The test fails if the page raises an error or makes a network request.

    Only the page of a paper on arXiv may be requested, as a click opens it; the request is answered here.
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
