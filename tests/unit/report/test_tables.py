"""Tables of the grid: ranks by the right direction, one row per cell, in HTML and LaTeX; methods and start page."""

import base64
import re
from typing import Any

import pytest
from arxiv_embeddings.report.names import method_name, metric_name
from arxiv_embeddings.report.pages.grid import differences_table, grid_tables, omitted_table
from arxiv_embeddings.report.pages.html import Cell, HtmlTable, render_tables
from arxiv_embeddings.report.paper.latex import latex_tables
from arxiv_embeddings.report.paper.methods import CITATIONS, REFERENCES, methods_text
from arxiv_embeddings.report.summary import summary
from arxiv_embeddings.report.tables import best_cells, cells_table, heading, maps_table
from docutils.core import publish_parts

# Larger than a line of docutils may be.
PICTURE = bytes(range(256)) * 100


def row(
    reduction: str, clustering: str, metric: str, value: float | None, **others: Any
) -> dict[str, Any]:
    return {
        "model": "mini_lm",
        "reduction": reduction,
        "clustering": clustering,
        "family": "flat clustering",
        "method": "",
        "metric": metric,
        "level": "category 1",
        "value": value,
        "low": None if value is None else value - 0.05,
        "high": None if value is None else value + 0.05,
        "chance": 0.0,
        "papers": 1_000,
        "note": "omitted: phate is not installed" if value is None else "a note; another",
        **others,
    }


GRID = [
    row("none", "ward", "ari", 0.3),
    row("none", "ward", "dasgupta_cost", 0.3, family="tree"),
    row("pca-300", "ward", "ari", 0.5),
    row("pca-300", "ward", "dasgupta_cost", 0.9, family="tree"),
    row("pca-300", "kmeans", "ari", 0.4),
    row("phate-2", "ward", "ari", None),
    row("none", "ward", "ari", 0.1, level="category 0"),
    row("umap-2", "", "demap", 0.6, family="map", level=""),
    row("", "", "mean_cosine", 0.2, family="space", level=""),
]
LEVELS = ["category 0", "category 1"]


def test_best_and_second_best_are_marked_by_the_right_direction() -> None:
    table = cells_table(GRID, "category 1")
    assert table.columns == [("ari", "category 1"), ("dasgupta_cost", "category 1")]
    ranks = {thing[1:]: [entry.rank for entry in entries] for thing, entries in table.rows}
    assert ranks == {
        ("none", "ward"): [0, 1],
        ("pca-300", "ward"): [1, 2],
        ("pca-300", "kmeans"): [2, 0],
        ("phate-2", "ward"): [0, 0],
    }
    assert table.notes[0] == "a note; another"
    assert [thing for thing, _ in maps_table(GRID).rows] == [("mini_lm", "umap-2")]


def test_cells_are_ranked_by_a_score() -> None:
    best = best_cells(GRID, "ari", "category 1")
    assert [cell["value"] for cell in best] == [0.5, 0.4, 0.3]


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        ("ari", "ARI ↑"),
        ("dasgupta_cost", "Dasgupta cost ↓"),
        ("noise", "noise"),
        ("lca_f1", "LCA-F1 ↑"),
    ],
)
def test_headings_tell_the_better_direction(metric: str, shown: str) -> None:
    assert heading(metric) == shown
    assert heading(metric, "category 1") == f"{shown}, category 1"


def test_names() -> None:
    assert [method_name(name) for name in ("pca-300", "tsne-2", "none", "hdbscan-own", "")] == [
        *("PCA, 300", "t-SNE, 2", "none", "HDBSCAN, own", ""),
    ]
    assert metric_name("accuracy_at_10") == "accuracy at 10"


def test_html_has_one_row_for_each_cell_and_marks_the_best() -> None:
    tables = grid_tables(GRID, LEVELS)
    assert [table.heading for table in tables] == [
        *("Clusterings, category 1", "Clusterings, category 0", "Maps", "Models"),
    ]
    assert len(tables[0].rows) == 4
    page = render_tables("Scores", tables)
    assert re.search(
        r'<td class="best"><span>0\.500</span><small>0\.450 to 0\.550</small></td>', page
    )
    assert re.search(r'<td class="second"><span>0\.400</span>', page)
    assert "<td><span>omitted</span></td>" in page


def test_markup_in_cells_is_shown_as_text() -> None:
    cells: list[str | Cell] = ["x", Cell("<b>", "<i>", note=True)]
    page = render_tables("h", [HtmlTable("h", "t", ["a", "b"], [cells])])
    assert "&lt;b&gt;" in page and "&lt;i&gt;" in page


def test_omitted_cells_have_their_reason_once() -> None:
    assert omitted_table(GRID).rows == [
        ["mini_lm", "PHATE, 2", "Ward", "omitted: phate is not installed"]
    ]


def test_only_real_differences_are_shown_and_all_are_counted() -> None:
    shared = {**row("none", "ward", "ari", 0.1), "model a": "one", "model b": "two", "p": 0.01}
    found = differences_table(
        [
            {**shared, "difference": 0.2, "low": 0.1, "high": 0.3, "real": True},
            {**shared, "difference": 0.01, "low": -0.1, "high": 0.1, "real": False},
        ]
    )
    assert "1 of 2 differences are real" in found.text
    (only,) = found.rows
    assert only[:5] == ["ARI", "category 1", "none", "Ward", "one − two"]
    assert only[5] == Cell("+0.200", "+0.100 to +0.300")


def test_latex_tables_are_complete_and_escaped() -> None:
    tables = latex_tables(GRID, LEVELS)
    assert set(tables) == {"category-0", "category-1", "maps"}
    table = tables["category-1"]
    for part in ("\\toprule", "\\midrule", "\\bottomrule", "mini\\_lm", "PCA, 300"):
        assert part in table
    assert "\\textbf{0.500} {\\scriptsize [0.450, 0.550]}" in table
    assert "\\underline{0.400}" in table
    assert " -- " in table
    rows = [line for line in table.splitlines() if line.endswith("\\\\")]
    assert {line.count("&") for line in rows} == {4}


MANIFEST = {
    "snapshot": {"name": "snapshot.json", "sha256": "0" * 64},
    "sample": {"size": 100, "drawn_from": 200, "seed": 42},
    "encoder": {"pooling": "mean", "max_length": 512, "dtype": "float32"},
    "checkpoint": {"name": "a/b", "revision": None},
    "embeddings": {"shape": [100, 8]},
}


def test_the_methods_name_settings_versions_and_references() -> None:
    versions = {"umap-learn": "0.5.12"}
    reductions: list[dict[str, Any]] = [
        {"method": "none", "dimensions": 8},
        {
            "method": "umap",
            "dimensions": 300,
            "settings": {"n_neighbors": 10},
            "versions": versions,
        },
        {"method": "phate", "omitted": "phate is not installed"},
    ]
    clusterings: list[dict[str, Any]] = [
        {"method": method, "settings": {}} for method in ("kmeans", "ward", "hdbscan")
    ]
    text = methods_text(
        {"one": MANIFEST}, reductions, clusterings, papers=90, levels=LEVELS, best_by="ari"
    )
    for part in (
        "UMAP to 300 dimensions",
        "n_neighbors 10",
        "seed 42",
        "umap-learn 0.5.12",
        "first 90 papers",
    ):
        assert part in text
    assert "PHATE (omitted: phate is not installed)" in text
    entries = set(re.findall(r"^@\w+\{(\w+),", REFERENCES.read_text(), re.MULTILINE))
    cited = set(
        re.findall(r"@(\w+)", " ".join([text, *(f"@{name}" for name in CITATIONS.values())]))
    )
    assert cited <= entries
    assert REFERENCES.read_text().count("{") == REFERENCES.read_text().count("}")


def test_the_start_page_tells_the_best_the_differences_and_the_omitted() -> None:
    shared = {"model a": "mini_lm", "model b": "two", "real": True, "better": "b"}
    page = summary(
        GRID,
        [shared, {**shared, "real": False}],
        {"mini_lm": MANIFEST, "two": MANIFEST},
        corpus="arxiv",
        papers=90,
        levels=LEVELS,
        best_by="ari",
        maps=PICTURE,
    )
    assert "100 papers were embedded with 2 model(s), the first 90 take part" in page
    assert (
        "category 1: mini\\_lm, PCA, 300, Ward: 0.500 (0.450 to 0.550); mini\\_lm, PCA, 300, k-means: 0.400"
        in page
    )
    assert "1 of 2 are real: two is better in 1." in page
    assert "- phate is not installed: PHATE, 2 Ward" in page
    # As Snakemake renders it.
    html = publish_parts(page, writer="html")["html_body"]
    (source,) = re.findall(
        r'<img alt="the maps of the models" src="data:image/png;base64,(.*?)"', html
    )
    assert base64.b64decode(source) == PICTURE
    assert "system-message" not in html
