"""Valid vectors become one matrix; anything else is refused with an instruction, and no partial output remains."""

import argparse
import datetime
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import merge_vectors as command
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.store import Piece, pieces_in, text_keys, write_piece
from support.drawn import draw, paper_id

Script = Callable[..., subprocess.CompletedProcess[str]]

ASKED = EncoderSettings("mean", 64, False, "auto", "", None)
MADE = {**ASKED.to_dict(), "dtype": "bfloat16"}
CHECKPOINT = {"name": "made/up", "revision": "c0ffee", "sha256": hashlib.sha256(b"{}").hexdigest()}
CORPUS: dict[str, Any] = {"format": "arxiv", "categories": ["cs."], "columns": None}
SNAPSHOT = {"name": "snapshot.json", "bytes": 12, "sha256": "0" * 64}


class Sample:
    """Random vectors in a store, and the files that merging needs. More papers are drawn than the sample has."""

    def __init__(self, folder: Path, papers: int = 50, size: int = 20, dimensions: int = 8) -> None:
        self.folder, self.papers, self.dimensions = folder, papers, dimensions
        self.texts = [f"Paper {row}: über $\\alpha_{{{row}}}$\n" for row in range(papers + 10)]
        self.store = folder / "vectors"
        self.model = folder / "model"
        self.model.mkdir(parents=True)
        self.drawn = draw(folder / "drawn.parquet", self.texts, min(1_000, 1 + papers // 8))
        shape = papers, dimensions
        self.vectors = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        for start in range(0, papers, size):
            self.add(range(start, min(start + size, papers)))
        self.write("model/checkpoint", {"name": "made/up", "revision": "c0ffee", "files": {}})
        self.write("filter", {"snapshot": SNAPSHOT, "records": {"read": 99, "kept": 60}, **CORPUS})
        self.write(
            "drawn", {"papers": 60, "seed": 42, "order": "pandas", "snapshot": SNAPSHOT, **CORPUS}
        )
        lookup = {"lookup": "ab", "papers": papers, "encoder": MADE, "checkpoint": CHECKPOINT}
        self.write("lookup", lookup)
        self.request = {
            "corpus": CORPUS,
            "sample": {"size": papers, "seed": 42, "order": "pandas"},
            "model": {"name": "made/up", "revision": "c0ffee", "encoder": ASKED.to_dict()},
        }

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        (self.folder / f"{name}.json").write_text(json.dumps(content))

    def read(self, name: str) -> Any:
        """Read a JSON file."""
        return json.loads((self.folder / f"{name}.json").read_text())

    def add(self, rows: Any, **changes: Any) -> Piece:
        """Add a piece with the vectors of these rows, the i-th with i tokens."""
        rows = list(rows)
        return write_piece(
            self.store,
            f"ab-{rows[0]:05d}",
            text_keys([self.texts[row] for row in rows]),
            np.array(rows),
            lambda: [self.vectors[rows]],
            **{
                "checkpoint": CHECKPOINT,
                "encoder": MADE,
                "attention": "",
                "seconds": 1.0,
                "device": {"type": "cpu", "name": "x"},
                "versions": {},
                **changes,
            },
        )

    def arguments(self) -> argparse.Namespace:
        """Return the arguments of the command."""
        return argparse.Namespace(
            drawn=self.drawn,
            drawn_report=self.folder / "drawn.json",
            filter_report=self.folder / "filter.json",
            lookup=self.folder / "lookup.json",
            model=self.model,
            store=self.store,
            vector_store="true",
            history=self.folder / "history",
            request=self.request,
            embeddings=self.folder / "merged/embeddings.npy",
            papers=self.folder / "merged/papers.parquet",
            manifest=self.folder / "merged/manifest.json",
        )

    def options(self) -> list[object]:
        """Return the same as ``arguments`` for a command line."""
        named = {**vars(self.arguments()), "request": json.dumps(self.request)}
        return [
            part for name, value in named.items() for part in (f"--{name.replace('_', '-')}", value)
        ]

    def merged(self) -> np.ndarray:
        """Return the merged matrix."""
        matrix: np.ndarray = np.load(self.folder / "merged/embeddings.npy", allow_pickle=False)
        return matrix


def sha256_of(texts: list[str]) -> str:
    data = b"".join(len(text.encode()).to_bytes(8, "little") + text.encode() for text in texts)
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path / "it's here")


@pytest.mark.parametrize("size", [1, 7, 50])
def test_rows_match_the_papers_for_any_division_into_pieces(tmp_path: Path, size: int) -> None:
    sample = Sample(tmp_path, size=size)
    command.main(sample.arguments())
    assert sample.merged().tobytes() == sample.vectors.tobytes()
    papers = pq.read_table(sample.folder / "merged/papers.parquet")
    assert papers.column_names == ["id", "topic", "category 0", "category 1"]
    assert papers["id"].to_pylist() == [paper_id(row) for row in range(50)]
    assert papers["topic"].to_pylist() == sample.texts[:50]


@pytest.mark.parametrize("depth", [1, 3])
def test_all_levels_of_the_hierarchy_are_merged(depth: int, sample: Sample) -> None:
    drawn = pq.read_table(sample.drawn)
    levels = [f"category {level}" for level in range(depth)]
    labels = [[f"{level}.{row % 3}" for row in range(len(drawn))] for level in levels]
    kept = drawn.select(["id", "topic", "categories"])
    for level, own in zip(levels, labels, strict=True):
        kept = kept.append_column(level, pa.array(own))
    pq.write_table(kept, sample.drawn, row_group_size=7)
    command.main(sample.arguments())
    papers = pq.read_table(sample.folder / "merged/papers.parquet")
    assert papers.column_names == ["id", "topic", *levels]
    assert papers.to_pydict() == kept.slice(0, 50).drop_columns("categories").to_pydict()


def test_metadata_are_merged_in_the_order_of_the_rows(sample: Sample) -> None:
    """And a drawing from before there were metadata is merged without them: see the test above."""
    drawn = pq.read_table(sample.drawn)
    rows = range(len(drawn))
    dates = [datetime.date(2000, 1, 1 + row % 28) if row % 5 else None for row in rows]
    titles, dois = (
        [f"Paper {row}:" for row in rows],
        [f"10.1/{row}" if row % 2 else None for row in rows],
    )
    for name, values in (("title", titles), ("submitted", dates), ("doi", dois)):
        drawn = drawn.append_column(name, pa.array(values))
    pq.write_table(drawn, sample.drawn, row_group_size=7)
    command.main(sample.arguments())
    papers = pq.read_table(sample.folder / "merged/papers.parquet")
    levels = ["category 0", "category 1"]
    assert papers.column_names == [
        "id",
        "topic",
        *levels,
        "categories",
        "title",
        "submitted",
        "doi",
    ]
    assert papers.equals(drawn.slice(0, 50).select(papers.column_names))


def test_pieces_may_have_another_order_than_the_papers(tmp_path: Path) -> None:
    sample = Sample(tmp_path)
    for piece in pieces_in(sample.store):
        piece.remove()
    order = np.random.default_rng(1).permutation(50)
    sample.add(order[:17])
    sample.add(order[17:])
    command.main(sample.arguments())
    assert sample.merged().tobytes() == sample.vectors.tobytes()


def test_equal_texts_get_the_same_vector(tmp_path: Path) -> None:
    sample = Sample(tmp_path)
    sample.texts[7] = sample.texts[3]
    draw(sample.drawn, sample.texts)
    command.main(sample.arguments())
    merged = sample.merged()
    assert merged[7].tobytes() == merged[3].tobytes() == sample.vectors[3].tobytes()


def test_manifest_field_by_field(sample: Sample, script: Script) -> None:
    done = script("merge_vectors.py", *sample.options())
    assert done.returncode == 0, done.stdout
    manifest = sample.read("merged/manifest")
    assert manifest.pop("request") == sample.request
    assert manifest.pop("snapshot") == SNAPSHOT
    assert manifest.pop("records") == {"read": 99, "kept": 60}
    assert manifest.pop("drawn") == sample.read("drawn")
    assert manifest.pop("sample") == {
        "size": 50, "seed": 42, "order": "pandas", "drawn_from": 60,
    }  # fmt: skip
    assert manifest.pop("embeddings") == {
        "shape": [50, 8],
        "dtype": "float32",
        "vectors_sha256": hashlib.sha256(sample.vectors.tobytes()).hexdigest(),
        "ids_sha256": sha256_of([paper_id(row) for row in range(50)]),
        "texts_sha256": sha256_of(sample.texts[:50]),
    }
    assert manifest.pop("checkpoint") == CHECKPOINT
    assert manifest.pop("encoder") == MADE
    assert manifest.pop("tokens") == sum(range(50))
    pieces = manifest.pop("pieces")
    assert [piece["papers"] for piece in pieces] == [20, 20, 10]
    for piece in pieces:
        assert piece == {"piece": piece["piece"], **sample.read(f"vectors/{piece['piece']}")}
    assert manifest.pop("changes") is None  # there is no earlier result
    assert manifest.pop("commit")
    assert set(manifest.pop("versions")) == {"python", "numpy", "pyarrow", "snakemake"}
    assert not manifest  # every field was checked


def test_the_manifest_contains_only_the_used_pieces(sample: Sample) -> None:
    sample.texts[50:55] = ["x"] * 5
    other = write_piece(
        sample.store,
        "zz-0",
        text_keys(["elsewhere"]),
        np.ones(1),
        lambda: [np.ones((1, 8), np.float32)],
        **{
            key: sample.read(f"vectors/{pieces_in(sample.store)[0].name}")[key]
            for key in ("checkpoint", "encoder", "attention", "seconds", "device", "versions")
        },
    )
    command.main(sample.arguments())
    names = [piece["piece"] for piece in sample.read("merged/manifest")["pieces"]]
    assert len(names) == 3
    assert other.name not in names


def test_without_a_vector_store_the_pieces_are_removed_after_merging(sample: Sample) -> None:
    other = sample.add(range(5), encoder={**MADE, "pooling": "cls"})
    arguments = sample.arguments()
    arguments.vector_store = "false"
    command.main(arguments)
    assert sample.merged().tobytes() == sample.vectors.tobytes()
    assert [piece.name for piece in pieces_in(sample.store)] == [other.name]


@pytest.mark.parametrize(
    ("file", "key", "value", "rule"),
    [
        ("drawn", "seed", 43, "sample_papers"),
        ("drawn", "order", "hash", "sample_papers"),
        ("drawn", "categories", ["math."], "sample_papers"),
        ("drawn", "snapshot", {"sha256": "1" * 64}, "sample_papers"),
        ("filter", "categories", ["math."], "filter_papers"),
        ("filter", "format", "wos", "filter_papers"),
        ("filter", "columns", {"id": "x"}, "filter_papers"),
        ("model/checkpoint", "revision", "bad", "fetch_model"),
        ("lookup", "papers", 49, "find_vectors"),
        ("lookup", "checkpoint", {"sha256": "x"}, "find_vectors"),
        ("lookup", "encoder", {**MADE, "pooling": "cls"}, "find_vectors"),
        ("lookup", "encoder", {**MADE, "max_length": 65}, "find_vectors"),
        ("lookup", "encoder", {**MADE, "engine": 1}, "find_vectors"),
        ("lookup", "encoder", {**MADE, "architecture": "stock"}, "find_vectors"),
    ],
)
def test_data_that_does_not_match_the_config_is_refused(
    sample: Sample, file: str, key: str, value: Any, rule: str
) -> None:
    sample.write(file, {**sample.read(file), key: value})
    with pytest.raises(InputError, match=rf"does not match the config: .* --forcerun {rule}\."):
        command.main(sample.arguments())
    assert not (sample.folder / "merged").exists()


def test_sample_size_all_means_all_drawn_papers(sample: Sample) -> None:
    sample.request["sample"]["size"] = "all"
    with pytest.raises(InputError, match=r"the size of the sample is 50, .* asks for 60"):
        command.main(sample.arguments())


def test_missing_vectors_are_reported(sample: Sample) -> None:
    pieces_in(sample.store)[1].remove()
    with pytest.raises(
        InputError, match=r"20 of 50 papers have no vector in .*Run snakemake again"
    ):
        command.main(sample.arguments())


@pytest.mark.parametrize("lookup", [{"dtype": "auto"}, {}])
def test_vectors_with_different_dtypes_are_reported(sample: Sample, lookup: dict[str, str]) -> None:
    sample.write("lookup", {**sample.read("lookup"), "encoder": {**MADE, **lookup}})
    pieces_in(sample.store)[2].remove()
    sample.add(range(40, 50), encoder={**MADE, "dtype": "float16"})
    message = (
        "40 in bfloat16, 10 in float16.*Set the model's dtype" if lookup else "10 of 50 papers"
    )
    with pytest.raises(InputError, match=message):
        command.main(sample.arguments())


@pytest.mark.parametrize("suffix", [".npy", ".rows.npy"])
def test_a_damaged_piece_is_set_aside_and_recomputed_by_the_next_run(
    sample: Sample, script: Script, suffix: str
) -> None:
    piece = pieces_in(sample.store)[1]
    path = sample.store / f"{piece.name}{suffix}"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    done = script("merge_vectors.py", *sample.options())
    assert done.returncode == 1
    errors = [line for line in done.stdout.splitlines() if " ERROR " in line]
    assert f"{path} does not match its checksum" in errors[0]
    assert "1 of 3 pieces of the vector store do not match" in errors[-1]
    assert "Traceback" not in done.stdout
    assert not list((sample.folder / "merged").glob("*"))
    assert piece.name not in [one.name for one in pieces_in(sample.store)]
    sample.add(range(20, 40))
    command.main(sample.arguments())
    assert sample.merged().tobytes() == sample.vectors.tobytes()


def test_vectors_that_are_not_finite_are_refused_with_the_papers(sample: Sample) -> None:
    for piece in pieces_in(sample.store):
        piece.remove()
    sample.vectors[23, 1] = np.nan
    sample.vectors[7, 0] = np.inf
    sample.add(range(50))
    with pytest.raises(InputError, match=f"vectors of {paper_id(7)}, {paper_id(23)} contain NaN"):
        command.main(sample.arguments())
    assert not list((sample.folder / "merged").glob("*"))


def test_a_failed_merge_keeps_the_old_result(sample: Sample) -> None:
    command.main(sample.arguments())
    before = {path: path.read_bytes() for path in (sample.folder / "merged").iterdir()}
    pieces_in(sample.store)[0].remove()
    with pytest.raises(InputError):
        command.main(sample.arguments())
    assert {path: path.read_bytes() for path in (sample.folder / "merged").iterdir()} == before


def test_a_repeated_merge_gives_the_same_result(sample: Sample) -> None:
    command.main(sample.arguments())
    before = {path: path.read_bytes() for path in (sample.folder / "merged").iterdir()}
    command.main(sample.arguments())
    assert {path: path.read_bytes() for path in (sample.folder / "merged").iterdir()} == before


def test_a_sample_larger_than_the_drawn_papers_is_refused(sample: Sample) -> None:
    sample.write("lookup", {**sample.read("lookup"), "papers": 61})
    sample.request["sample"]["size"] = 61
    with pytest.raises(InputError, match="60 papers"):
        command.main(sample.arguments())


# Memory


MEASURED = """
import re, runpy, sys
from pathlib import Path

sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
status = Path("/proc/self/status").read_text()
print("peak", re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
"""


def peak_megabytes(sample: Sample) -> float:
    """Merge in a separate process; return its peak memory."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, command.__file__, *map(str, sample.options())],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("peak ")[1]) / 1024


def test_memory_does_not_grow_with_the_sample(tmp_path: Path) -> None:
    row = 4 * 1024
    small = Sample(tmp_path / "20 MB", papers=20_000_000 // row, size=4_882, dimensions=1024)
    large = Sample(tmp_path / "200 MB", papers=200_000_000 // row, size=24_414, dimensions=1024)
    assert peak_megabytes(large) - peak_megabytes(small) < 60
    assert large.arguments().embeddings.stat().st_size > 199_000_000
