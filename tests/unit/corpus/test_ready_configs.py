"""The ready configs of corpora fit the headers that they are written for. The files here are made up."""

import csv
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
import yaml
from arxiv_embeddings.config.check import check_config, find_snapshot
from arxiv_embeddings.corpus.filtering import filter_papers
from arxiv_embeddings.corpus.table import Columns, TableReader
from snakemake.utils import update_config

ROOT = Path(__file__).parents[3]
Rows = list[list[Any]]

WOS: Rows = [
    ["Y1", "Y2", "Y", "Domain", "area", "keywords", "Abstract"],
    [0, 12, 12, "CS ", "Symbolic computation ", "a; b", "Of symbols"],
    [5, 2, 74, "Medical ", "Children's Health", "c", "Of children"],
]
AMAZON: Rows = [
    "productId Title userId Helpfulness Score Time Text Cat1 Cat2 Cat3".split(),
    ["B0", "A brush", "A1", "0/0", "5.0", "1", "Fine", "beauty", "hair care", "unknown"],
    ["B0", "A brush", "A2", "1/1", "1.0", "2", "Bad", "beauty", "hair care", "unknown"],
    ["B1", "A ball", "A3", "1/2", "4.0", "3", "Red", "toys games", "balls", "unknown"],
]
DBPEDIA: Rows = [
    ["text", "l1", "l2", "l3"],
    ["A lake, in Asia", "Place", "BodyOfWater", "Lake"],
    ["A river", "Place", "Stream", "River"],
]
RCV1: Rows = [
    ["id", "text", "category 0", "category 1"],
    ["2286", "Profits rose", "CCAT", "C15"],
    ["2287", "Rain", "GCAT", "GWEA"],
]


def write(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.worksheets[0].append(row)
        book.save(path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)


@pytest.mark.parametrize(
    ("name", "rows", "first", "kept"),
    [
        (
            "wos-46985",
            WOS,
            ["1", "Of symbols", "Symbolic computation ", "CS ", "Symbolic computation "],
            2,
        ),
        (
            "amazon",
            AMAZON,
            [
                *("1", "A brush", "beauty/hair care/unknown"),
                *("beauty", "beauty/hair care", "beauty/hair care/unknown"),
            ],
            2,
        ),
        ("dbpedia", DBPEDIA, ["1", "A lake, in Asia", "Lake", "Place", "BodyOfWater", "Lake"], 6),
        ("rcv1", RCV1, ["2286", "Profits rose", "C15", "CCAT", "C15"], 2),
    ],
)
def test_config_over_the_default_reads_its_files(
    name: str, rows: Rows, first: list[str], kept: int, tmp_path: Path
) -> None:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / f"config/corpora/{name}.yaml").read_text()))
    check_config(config, ROOT / "workflow/schemas/config.schema.yaml", [tmp_path])
    names = config["snapshot"]
    for path in names if isinstance(names, list) else [names]:
        write(tmp_path / path, rows)
    snapshot = find_snapshot(names, [tmp_path], "table")
    assert snapshot is not None
    reader = TableReader(snapshot, (), Columns.of(config["corpus"]["columns"]))
    report = filter_papers(reader, config["corpus"]["max_bad_records"], tmp_path / "papers")
    papers = pd.read_parquet(tmp_path / "papers")
    assert papers.iloc[0].tolist() == first
    assert len(papers) == report["records"]["kept"] == kept


def test_every_ready_config_is_tested() -> None:
    names = {path.stem for path in (ROOT / "config/corpora").iterdir()}
    assert names == {"wos-46985", "amazon", "dbpedia", "rcv1"}
