"""Measure the interactive page: bytes, seconds until it is drawn, frames per second while it is dragged and zoomed.

    python bench/explorer.py PAPERS --count 30000 300000 [--before REVISION] [--table TABLE]

PAPERS is a Parquet file of papers. Its rows are repeated until there are enough (compression does not see that, as
it looks back 32 kB only), and their places are random. With --before, the page of a revision that drew with plotly is
measured in the same run: its make_explorer.py is taken from git. DataMapPlot takes part where it is installed with its
offline files (``dmp_offline_cache``); its page has the titles, but no abstracts. Chromium draws in software, without a GPU.
"""

import argparse
import functools
import importlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import Page, sync_playwright

REPOSITORY = Path(__file__).parents[1]
NEIGHBOURS = 50
SECONDS = 6
OPTIONS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
# What the pages look like once they have drawn: this project's, and DataMapPlot's.
SHOWN, HIDDEN = "#map[data-shown]", "#loading[style*='display: none']"
# Counts the frames of the browser until it is asked.
COUNT = """() => {
  window.frames_counted = 0;
  const count = () => { window.frames_counted++; requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""


def write_inputs(source: Path, papers: int, folder: Path) -> None:
    """Write papers, places in 100 clusters (as both versions read them) and random neighbours."""
    table = pq.read_table(source)
    repeats = -(-papers // len(table))
    pq.write_table(pa.concat_tables([table] * repeats).slice(0, papers), folder / "papers.parquet")
    rng = np.random.default_rng(0)
    places = rng.normal(size=(100, 2))[rng.integers(100, size=papers)] * 6
    places = (places + rng.normal(size=places.shape)).astype("<f4")
    np.save(folder / "map.npy", places)
    columns = {
        "row": np.arange(papers),
        "x": places[:, 0].astype(float),
        "y": places[:, 1].astype(float),
    }
    pq.write_table(pa.table(columns), folder / "map.parquet")
    neighbours = rng.integers(papers, size=(papers, NEIGHBOURS), dtype=np.int32)
    np.save(folder / "neighbours.npy", neighbours)
    (folder / "map.json").write_text(json.dumps({"method": "umap", "papers": papers}))


def make_page(scripts: Path, folder: Path, page: Path, *, before: bool) -> None:
    inputs = ["--papers", "papers.parquet", "--map-report", "map.json", "--label", "model"]
    inputs += (
        ["--map", "map.parquet"]
        if before
        else ["--map", "map.npy", "--neighbours", "neighbours.npy"]
    )
    command = [sys.executable, str(scripts / "make_explorer.py"), *inputs, "--page", str(page)]
    subprocess.run(command, check=True, cwd=folder, stderr=subprocess.DEVNULL)


def make_datamapplot(folder: Path, page: Path) -> None:
    """Write DataMapPlot's page of the same papers, with the titles and the labels of both levels."""
    papers = pq.read_table(folder / "papers.parquet")
    levels = (papers[f"category {depth}"].to_numpy() for depth in (1, 0))
    plot = importlib.import_module("datamapplot").create_interactive_plot(
        np.load(folder / "map.npy"),
        *levels,
        hover_text=papers["title"].to_pylist(),
        offline_mode=True,
        use_medoids=True,
    )
    plot.save(str(page))


def measure(page: Page, file: Path, selector: str) -> dict[str, float]:
    """Open the page until ``selector`` matches, then drag and zoom it for some seconds each."""
    start = time.perf_counter()
    page.goto(file.as_uri())
    page.wait_for_selector(selector, state="attached", timeout=300_000)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    result = {"bytes": file.stat().st_size, "drawn": time.perf_counter() - start}
    page.evaluate(COUNT)
    page.mouse.move(800, 400)
    page.mouse.down()
    result["dragged"] = frames(page, lambda step: page.mouse.move(800 + 10 * (step % 20), 400))
    page.mouse.up()
    result["zoomed"] = frames(page, lambda step: page.mouse.wheel(0, -60 if step % 8 < 4 else 60))
    return result


def frames(page: Page, act: Callable[[int], None]) -> float:
    """Return the frames per second during ``act(step)``, repeated."""
    first, start = page.evaluate("window.frames_counted"), time.perf_counter()
    step = 0
    while time.perf_counter() - start < SECONDS:
        act(step)
        page.wait_for_timeout(5)
        step += 1
    # The answer comes after what waits to be drawn.
    last = page.evaluate("new Promise((done) => requestAnimationFrame(() => done(frames_counted)))")
    return float((last - first) / (time.perf_counter() - start))


def main(options: argparse.Namespace) -> None:
    rows = [
        "| page | papers | MB | drawn after | frames/s, dragged | frames/s, zoomed |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        scripts = REPOSITORY / "workflow/scripts"
        pages: dict[str, tuple[Callable[[Path, Path], None], str]] = {
            "this version": (functools.partial(make_page, scripts, before=False), SHOWN)
        }
        if options.before:
            archive = ["git", "archive", options.before, "workflow/scripts"]
            packed = subprocess.run(archive, check=True, cwd=REPOSITORY, capture_output=True).stdout
            subprocess.run(["tar", "x", "-C", folder], check=True, input=packed)
            scripts = folder / "workflow/scripts"
            pages[options.before] = (functools.partial(make_page, scripts, before=True), SHOWN)
        if importlib.util.find_spec("datamapplot"):
            pages["DataMapPlot"] = (make_datamapplot, HIDDEN)
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        for papers in options.count:
            write_inputs(options.papers, papers, folder)
            for name, (make, selector) in pages.items():
                file = folder / "page.html"
                make(folder, file)
                page = browser.new_page(viewport={"width": 1280, "height": 720})
                page.set_default_timeout(300_000)
                measured = measure(page, file, selector)
                page.close()
                rows.append(
                    f"| {name} | {papers:,} | {measured['bytes'] / 1e6:.1f} | {measured['drawn']:.1f} s | "
                    f"{measured['dragged']:.1f} | {measured['zoomed']:.1f} |"
                )
                print(rows[-1], flush=True)
        browser.close()
    if options.table:
        options.table.with_suffix(".md").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "papers", type=Path, help="Parquet file with id, topic, categories by level"
    )
    parser.add_argument("--count", type=int, nargs="+", default=[30_000, 300_000])
    parser.add_argument("--before", help="a revision whose page is measured as well")
    parser.add_argument("--table", type=Path, help="where to write the table (.md)")
    main(parser.parse_args())
