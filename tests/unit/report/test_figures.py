"""The figures show the right numbers and names, and are the same bytes every time."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.report.figures.categories import draw_categories, largest
from arxiv_embeddings.report.figures.confusion import Panel, confusion, draw_confusion
from arxiv_embeddings.report.figures.heatmap import draw_heatmap
from arxiv_embeddings.report.figures.map import draw_map, map_title
from arxiv_embeddings.report.figures.maps import Map, draw_maps
from arxiv_embeddings.report.figures.scores import draw_scores
from arxiv_embeddings.report.figures.shepard import Shepard, draw_shepard
from arxiv_embeddings.report.figures.style import HEIGHT, save
from arxiv_embeddings.report.figures.throughput import draw_throughput
from arxiv_embeddings.report.figures.tokens import draw_tokens, truncation
from arxiv_embeddings.report.inputs import read_rows
from support.data.make_evaluation import make_evaluation, make_grid, make_manifest, make_papers

Script = Callable[..., subprocess.CompletedProcess[str]]


def texts(svg: Path) -> list[str]:
    """The texts of an SVG figure."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with 600 papers of 60 categories, evaluated."""
    folder = tmp_path_factory.mktemp("results") / "model"
    make_papers(folder / "papers.parquet", papers=600, categories=60)
    make_evaluation(folder)
    make_manifest(folder / "manifest.json", papers=600)
    return folder


def draw(script: Script, model: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    evaluation = model / "evaluation"
    return script(
        "draw_model.py",
        *("--label", "some-model", "--papers", model / "papers.parquet"),
        *("--manifest", model / "manifest.json", "--map", evaluation / "map.npy"),
        *("--map-report", evaluation / "map.json", "--cells", evaluation / "cells"),
        *("--grid", evaluation / "grid.parquet", "--best-by", "ari"),
        *("--tokens", evaluation / "tokens.parquet", "--folder", folder),
    )


def test_the_figures_of_a_model_are_the_same_every_time(
    script: Script, model: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        done = draw(script, model, tmp_path / name)
        assert done.returncode == 0, done.stdout
    drawn = sorted(path.name for path in (tmp_path / "one").iterdir())
    stems = ["confusion", "map-category-0", "map-category-1", "throughput", "tokens"]
    assert drawn == [f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png", "svg")]
    for name in drawn:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    shown = texts(tmp_path / "one/map-category-1.svg")
    assert "some-model: UMAP map of 600 papers" in shown
    assert "PCA, 300, Ward, category 1, n = 600" in texts(tmp_path / "one/confusion.svg")
    assert any(text.startswith("other (") for text in shown)


@pytest.mark.parametrize(
    ("rows", "tokens", "problem"),
    [
        ([], [], "has no rows"),
        ([0, 3], [1.0, 2.0], "rows 0 to 3, but the model has 3 papers"),
        ([-1, 2], [1.0, 2.0], "rows -1 to 2, but the model has 3 papers"),
        ([1, 1], [1.0, 2.0], "has duplicate rows"),
        ([0, 2], [1.0, np.nan], "has NaN or infinite numbers in tokens"),
    ],
)
def test_bad_rows_are_refused(
    tmp_path: Path, rows: list[int], tokens: list[float], problem: str
) -> None:
    table = {"row": pa.array(rows, pa.int64()), "tokens": pa.array(tokens, pa.float64())}
    pq.write_table(pa.table(table), tmp_path / "tokens.parquet")
    with pytest.raises(InputError, match=rf"tokens\.parquet .*{problem}.* Delete it and run again"):
        read_rows(tmp_path / "tokens.parquet", ["tokens"], papers=3)


def test_rows_are_read(model: Path) -> None:
    tokens = read_rows(model / "evaluation/tokens.parquet", ["tokens"], papers=600)
    assert tokens["row"].tolist() == list(range(600))
    with pytest.raises(InputError, match=r"missing\.parquet cannot be read"):
        read_rows(model / "missing.parquet", ["x"], papers=600)


def test_thirty_thousand_points_stay_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = rng.normal(size=(30_000, 2)).astype(np.float32)
    names = np.array([f"c{code:02d}" for code in rng.integers(60, size=30_000)])
    report = {"method": "phate", "papers": 30_000}
    figure = draw_map(places, categories=names, level="category 1", model="m", report=report)
    save(figure, tmp_path / "map")
    assert (tmp_path / "map.svg").stat().st_size < 3e6
    assert "m: PHATE map of 30,000 papers" in texts(tmp_path / "map.svg")


def test_an_omitted_map_says_so(tmp_path: Path) -> None:
    report = {"method": "phate", "papers": 9, "omitted": "phate is not installed"}
    assert map_title(report) == "PHATE map omitted: phate is not installed"
    empty = np.empty((0, 2), np.float32)
    figure = draw_map(empty, categories=np.array([]), level="category 0", model="m", report=report)
    save(figure, tmp_path / "map")
    assert "m: PHATE map omitted: phate is not installed" in texts(tmp_path / "map.svg")


def test_the_heat_map_shows_every_cell_and_what_was_omitted(tmp_path: Path) -> None:
    make_grid(tmp_path / "grid.parquet", ["one", "two"])
    rows = [
        row
        for row in pq.read_table(tmp_path / "grid.parquet").to_pylist()
        if row["family"] == "flat clustering"
    ]
    figure = draw_heatmap(rows, "ari", ["category 0", "category 1"])
    save(figure, tmp_path / "heatmap")
    shown = texts(tmp_path / "heatmap.svg")
    assert {"one: none", "two: PCA, 300", "k-means", "Ward", "category 0", "ARI"} <= set(shown)
    # There is no Ward of none: one cell of each model at each level.
    assert shown.count("omitted") == 4
    value = next(row["value"] for row in rows if row["metric"] == "ari")
    assert f"{value:.2f}" in shown


def test_maps_and_shepard_diagrams_of_all_models(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    categories = np.array([f"c{code}" for code in rng.integers(30, size=200)])
    places = rng.normal(size=(200, 2)).astype(np.float32)
    empty = np.empty((0, 2), np.float32)
    maps = [
        [Map(model, "umap-2", places), Map(model, "phate-2", empty)] for model in ("one", "two")
    ]
    figure = draw_maps(maps, categories, "category 1")
    # An omitted map leaves the same room.
    assert {axes.get_box_aspect() for axes in figure.axes} == {1}
    save(figure, tmp_path / "maps")
    shown = texts(tmp_path / "maps.svg")
    assert {"one", "two", "UMAP", "PHATE", "omitted"} <= set(shown)
    assert any(
        text.startswith("Maps by category 1, axes cut at the 1st and 99th") for text in shown
    )
    pairs = rng.integers(9, size=(60, 60))
    none = np.empty((0, 0), np.int64)
    diagrams = [[Shepard("one", "umap-2", pairs, 0.5), Shepard("one", "phate-2", none, None)]]
    figure = draw_shepard(diagrams)
    assert {axes.get_box_aspect() for axes in figure.axes} == {1}
    save(figure, tmp_path / "shepard")
    assert {"ρ = 0.50", "omitted"} <= set(texts(tmp_path / "shepard.svg"))


def test_no_figure_is_higher_than_the_report_shows() -> None:
    rng = np.random.default_rng(0)
    levels = ["category 0", "category 1", "category 2"]
    many = {f"c{number:03d}": 9 for number in range(300)}
    figures = [draw_categories(dict.fromkeys(levels, many), dict.fromkeys(levels, many), "corpus")]
    rows = [
        {"model": f"m{model}", "reduction": f"pca-{dims}", "clustering": "ward", "metric": "ari"}
        | {"level": "category 0", "value": 0.5}
        for model in range(9)
        for dims in range(7)
    ]
    figures.append(draw_heatmap(rows, "ari", ["category 0"]))
    places = rng.normal(size=(50, 2)).astype(np.float32)
    maps = [[Map(f"m{number}", "pca-2", places)] * 6 for number in range(9)]
    figures.append(draw_maps(maps, np.array(["a"] * 50), "category 0"))
    panel = Panel(
        "m", "category 0", np.array([f"c{row % 30}" for row in range(90)]), np.arange(90) % 30
    )
    figures.append(draw_confusion([[panel]] * 3, "m"))
    assert all(figure.get_figheight() <= HEIGHT for figure in figures)


def test_a_model_without_clusterings_says_so(tmp_path: Path) -> None:
    save(draw_confusion([], "m"), tmp_path / "confusion")
    assert "m: no clustering could be made" in texts(tmp_path / "confusion.svg")


def test_confusion_pairs_clusters_with_categories() -> None:
    categories = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 2)
    clusters = np.array([2, 2, 2, 0, 0, 0, 0, -1, 1, 2])
    found = confusion(categories, clusters)
    assert found.rows == ["a", "b", "c"]
    assert found.papers == 9
    np.testing.assert_allclose(found.shares, np.array([[0.75, 0.25, 0], [0, 1, 0], [0.5, 0, 0.5]]))


def test_confusion_groups_the_small_categories() -> None:
    categories = np.array(["a"] * 4 + ["b"] * 3 + ["c"] * 2 + ["d"])
    clusters = np.array([0, 0, 0, 3, 1, 1, 1, 2, 2, 0])
    found = confusion(categories, clusters, named=2)
    assert found.rows == ["a", "b", "other (2 categories)"]
    np.testing.assert_allclose(
        found.shares, np.array([[0.75, 0, 0.25], [0, 1, 0], [1 / 3, 0, 2 / 3]])
    )


def test_confusion_with_fewer_clusters_than_categories() -> None:
    found = confusion(np.array(["a", "a", "b"]), np.array([0, 0, 0]))
    assert found.shares.tolist() == [[1.0], [1.0]]


def test_truncation_counts_papers_and_tokens() -> None:
    tokens = np.array([5, 10, 11, 20], dtype=np.int32)
    assert truncation(tokens, 10) == (0.5, 11 / 46)
    assert truncation(tokens, 20) == (0.0, 0.0)


def test_the_token_figure_states_the_truncation(tmp_path: Path) -> None:
    save(draw_tokens(np.array([5, 10, 11, 20], dtype=np.int32), 10, "m"), tmp_path / "tokens")
    shown = " ".join(texts(tmp_path / "tokens.svg"))
    assert "50.0% of the papers are longer" in shown
    assert "23.9% of all tokens are cut off" in shown


def test_the_largest_categories_have_bars() -> None:
    corpus = {"a": 5, "b": 9, "c": 1, "d": 2}
    assert largest(corpus, {"b": 3, "c": 1, "d": 1}, named=2) == [
        ("b", 9, 3),
        ("a", 5, 0),
        ("other (2 categories)", 3, 2),
    ]


def test_the_categories_figure_states_both_totals(tmp_path: Path) -> None:
    corpus = {"category 0": {"a": 8}, "category 1": {"a.x": 5, "a.y": 3}}
    sample = {"category 0": {"a": 4}, "category 1": {"a.x": 4}}
    save(draw_categories(corpus, sample, "corpus"), tmp_path / "categories")
    shown = texts(tmp_path / "categories.svg")
    assert "corpus: 8 papers in the corpus, 4 in the sample" in shown
    assert "3 / 0" in shown


def test_scores_are_drawn_with_models_and_omissions(tmp_path: Path) -> None:
    make_grid(tmp_path / "grid.parquet", ["one", "two"])
    rows = [
        row
        for row in pq.read_table(tmp_path / "grid.parquet").to_pylist()
        if row["family"] == "space"
    ]
    save(draw_scores(rows, ["category 0", "category 1"]), tmp_path / "scores")
    shown = texts(tmp_path / "scores.svg")
    assert {"one", "two", "accuracy at 1", "omitted", "space", "category 0, or no level"} <= set(
        shown
    )


def test_throughput_omits_pieces_whose_time_is_not_known(tmp_path: Path) -> None:
    make_manifest(tmp_path / "manifest.json", papers=600)
    pieces = json.loads((tmp_path / "manifest.json").read_text())["pieces"]
    pieces[0].update(seconds=0.0, papers_per_second=0.0, tokens_per_second=0.0)
    save(draw_throughput(pieces, "m"), tmp_path / "throughput")
    shown = texts(tmp_path / "throughput.svg")
    title = "m: throughput of 6 pieces of the vector store (1 not shown: time not known)"
    assert title in shown
