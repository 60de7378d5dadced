"""Good shards become one matrix; every other shard is refused by name, with the command that repairs it."""

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import merge_shards as command
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings

Script = Callable[..., subprocess.CompletedProcess[str]]

ASKED = EncoderSettings(pooling="mean", max_length=64, normalize=False, dtype="auto")
RESOLVED = {**ASKED.to_dict(), "dtype": "bfloat16"}
SEED = 42
REPORT = {
    "snapshot": {"name": "snapshot.json", "bytes": 12, "sha256": "0" * 64},
    "records": {"read": 99, "kept": 50},
    "categories": ["cs."],
}


class Sample:
    """Made-up shards with right sums, and what it takes to merge them.

    ``papers`` random vectors of ``dimensions`` numbers, in shards of ``size``. The drawn papers go on
    behind the sample.
    """

    def __init__(self, folder: Path, papers: int = 50, size: int = 20, dimensions: int = 8) -> None:
        self.folder, self.papers, self.size, self.dimensions = folder, papers, size, dimensions
        self.drawn = folder / "drawn.parquet"
        self.model = folder / "model"
        self.model.mkdir(parents=True)
        (self.model / "checkpoint.json").write_text(
            json.dumps({"name": "made/up", "revision": "c0ffee", "files": {}})
        )
        self.report = folder / "filter.json"
        self.report.write_text(json.dumps(REPORT))
        rows = range(papers + 10)
        self.columns = {
            "id": [f"0704.{row:04d}" for row in rows],
            "topic": [f"Paper {row}: über $\\alpha_{{{row}}}$\n" for row in rows],
            "categories": ["cs.CL math.AG"] * len(rows),
            "category 0": ["cs" if row % 2 else "physics" for row in rows],
            "category 1": ["cs.CL" if row % 2 else "physics.optics" for row in rows],
        }
        self.draw()
        rng = np.random.default_rng(0)
        shape = papers, dimensions
        self.vectors = rng.standard_normal(shape, dtype=np.float32)
        for number, start in enumerate(range(0, papers, size)):
            self.write(number, self.vectors[start : start + size])

    def draw(self) -> None:
        """Write the drawn papers in row groups that no shard begins with."""
        pq.write_table(
            pa.table(self.columns), self.drawn, row_group_size=min(1_000, 1 + self.papers // 8)
        )

    def npy(self, number: int) -> Path:
        """Return the path of a shard's vectors."""
        return self.folder / f"shards/{number:05d}.npy"

    def json(self, number: int) -> Path:
        """Return the path of a shard's manifest."""
        return self.npy(number).with_suffix(".json")

    def write(self, number: int, vectors: np.ndarray) -> None:
        """Write a shard and a manifest that fits it."""
        start = number * self.size
        stop = start + len(vectors)
        self.npy(number).parent.mkdir(exist_ok=True)
        np.save(self.npy(number), vectors)
        manifest = {
            "shard": f"{number:05d}",
            "start": start,
            "stop": stop,
            "papers": len(vectors),
            "dimensions": self.dimensions,
            "ids_sha256": sha256_of(self.columns["id"][start:stop]),
            "texts_sha256": sha256_of(self.columns["topic"][start:stop]),
            "vectors_sha256": hashlib.sha256(vectors.tobytes()).hexdigest(),
            "checkpoint": {
                "name": "made/up",
                "revision": "c0ffee",
                "sha256": hashlib.sha256(b"{}").hexdigest(),
            },
            "encoder": RESOLVED,
            "tokens": 100 + number,
        }
        self.json(number).write_text(json.dumps(manifest))

    def arguments(self) -> argparse.Namespace:
        """Return the arguments of the command."""
        return argparse.Namespace(
            drawn=self.drawn,
            shards=self.folder / "shards",
            size=self.papers,
            shard_size=self.size,
            seed=SEED,
            model=self.model,
            encoder=ASKED,
            filter_report=self.report,
            config={"sample": {"size": self.papers}},
            embeddings=self.folder / "merged/embeddings.npy",
            papers=self.folder / "merged/papers.parquet",
            manifest=self.folder / "merged/manifest.json",
        )

    def options(self) -> list[object]:
        """Return the same as ``arguments`` for a command line."""
        texts = {
            **vars(self.arguments()),
            "encoder": ASKED.to_json(),
            "config": json.dumps({"sample": {"size": self.papers}}),
        }
        return [
            part for name, value in texts.items() for part in (f"--{name.replace('_', '-')}", value)
        ]


def sha256_of(texts: list[str]) -> str:
    data = b"".join(len(text.encode()).to_bytes(8, "little") + text.encode() for text in texts)
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path / "it's here")


# Good shards


@pytest.mark.parametrize("size", [1, 20, 25, 50, 80])
def test_a_merge_is_the_concatenation(tmp_path: Path, size: int) -> None:
    sample = Sample(tmp_path, papers=50, size=size)
    arguments = sample.arguments()
    command.main(arguments)
    with arguments.embeddings.open("rb") as file:
        assert np.lib.format.read_magic(file) == (1, 0)
    embeddings = np.load(arguments.embeddings, mmap_mode="r")
    assert embeddings.dtype == np.dtype("<f4")
    assert embeddings.flags.c_contiguous
    np.testing.assert_array_equal(embeddings, sample.vectors)
    papers = pq.read_table(arguments.papers)
    assert papers.column_names == ["id", "topic", "category 0", "category 1"]
    for name in papers.column_names:
        assert papers[name].type == pa.string()
        assert papers[name].to_pylist() == sample.columns[name][:50]
    assert len(list(arguments.papers.parent.iterdir())) == 3


def test_manifest_field_by_field(sample: Sample, script: Script) -> None:
    done = script("merge_shards.py", *sample.options(), "--log", sample.folder / "job.log")
    assert done.returncode == 0, done.stdout
    manifest = json.loads(sample.arguments().manifest.read_text())
    assert manifest.pop("config") == {"sample": {"size": 50}}
    assert manifest.pop("snapshot") == REPORT["snapshot"]
    assert manifest.pop("records") == REPORT["records"]
    assert manifest.pop("sample") == {"size": 50, "seed": SEED, "drawn_from": 50}
    assert manifest.pop("embeddings") == {
        "shape": [50, 8],
        "dtype": "float32",
        "vectors_sha256": hashlib.sha256(sample.vectors.tobytes()).hexdigest(),
    }
    assert manifest.pop("checkpoint") == {
        "name": "made/up",
        "revision": "c0ffee",
        "sha256": hashlib.sha256(b"{}").hexdigest(),
    }
    assert manifest.pop("encoder") == RESOLVED
    assert manifest.pop("tokens") == 100 + 101 + 102
    assert manifest.pop("shards") == [json.loads(sample.json(i).read_text()) for i in range(3)]
    versions = manifest.pop("versions")
    assert {"python", "numpy", "pyarrow"} <= set(versions)
    assert versions["numpy"] == np.__version__
    commit = manifest.pop("commit")  # None outside a checkout
    assert commit is None or len(commit.removesuffix("+changes")) == 40
    assert not manifest  # nothing untold
    assert "Merged 50 papers of 3 shards" in (sample.folder / "job.log").read_text()


def test_a_merge_again_takes_the_place_of_the_old_one(sample: Sample) -> None:
    command.main(sample.arguments())
    before = sample.arguments().manifest.read_bytes()
    sample.write(1, sample.vectors[20:40] + 1)
    command.main(sample.arguments())
    embeddings = np.load(sample.arguments().embeddings)
    np.testing.assert_array_equal(embeddings[20:40], sample.vectors[20:40] + 1)
    assert sample.arguments().manifest.read_bytes() != before


# Shards that are not what they should be


def edit(sample: Sample, number: int, **change: Any) -> None:
    content = json.loads(sample.json(number).read_text())
    sample.json(number).write_text(json.dumps(content | change))


def edit_bytes(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def flipped_byte(sample: Sample) -> None:
    edit_bytes(sample.npy(1), lambda data: flip(data, 200))


def flipped_last_bit(sample: Sample) -> None:
    edit_bytes(sample.npy(1), lambda data: flip(data, len(data) - 1))


def flipped_header(sample: Sample) -> None:
    edit_bytes(sample.npy(1), lambda data: flip(data, 9))


def cut_file(sample: Sample) -> None:
    edit_bytes(sample.npy(1), lambda data: data[:-1])


def empty_file(sample: Sample) -> None:
    sample.npy(1).write_bytes(b"")


def missing_file(sample: Sample) -> None:
    sample.npy(1).unlink()


def pickled_file(sample: Sample) -> None:
    np.save(sample.npy(1), np.array([{"a": 1}] * 20, dtype=object), allow_pickle=True)


def swapped_vectors(sample: Sample) -> None:
    sample.npy(0).rename(sample.folder / "first")
    sample.npy(1).rename(sample.npy(0))
    (sample.folder / "first").rename(sample.npy(1))


def swapped_shards(sample: Sample) -> None:
    swapped_vectors(sample)
    sample.json(0).rename(sample.folder / "first")
    sample.json(1).rename(sample.json(0))
    (sample.folder / "first").rename(sample.json(1))


def missing_row(sample: Sample) -> None:
    np.save(sample.npy(1), sample.vectors[20:39])


def missing_row_everywhere(sample: Sample) -> None:
    sample.write(1, sample.vectors[20:39])


def one_row_too_many(sample: Sample) -> None:
    np.save(sample.npy(1), sample.vectors[20:41])


def other_width(sample: Sample) -> None:
    np.save(sample.npy(1), sample.vectors[20:40, :7])


def flat_vectors(sample: Sample) -> None:
    np.save(sample.npy(1), sample.vectors[20:40].ravel())


def float64_file(sample: Sample) -> None:
    np.save(sample.npy(1), sample.vectors[20:40].astype(np.float64))


def big_endian_file(sample: Sample) -> None:
    np.save(sample.npy(1), sample.vectors[20:40].astype(">f4"))


def fortran_order(sample: Sample) -> None:
    np.save(sample.npy(1), np.asfortranarray(sample.vectors[20:40]))


def not_a_number(sample: Sample) -> None:
    vectors = sample.vectors[20:40].copy()
    vectors[19, 7] = np.nan
    sample.write(1, vectors)


def infinite_number(sample: Sample) -> None:
    vectors = sample.vectors[20:40].copy()
    vectors[0, 0] = -np.inf
    sample.write(1, vectors)


def other_settings(sample: Sample) -> None:
    edit(sample, 1, encoder={**RESOLVED, "max_length": 128})


def other_engine(sample: Sample) -> None:
    edit(sample, 1, encoder={**RESOLVED, "engine": 0})


def other_dtype_resolved(sample: Sample) -> None:
    edit(sample, 1, encoder={**RESOLVED, "dtype": "float32"})


def other_dimensions(sample: Sample) -> None:
    edit(sample, 1, dimensions=7)
    np.save(sample.npy(1), sample.vectors[20:40, :7])


def other_checkpoint(sample: Sample) -> None:
    edit(sample, 1, checkpoint={"name": "else/where", "revision": "0", "sha256": "0" * 64})


def missing_manifest(sample: Sample) -> None:
    sample.json(1).unlink()


def manifest_no_json(sample: Sample) -> None:
    edit_bytes(sample.json(1), lambda data: data[:-10])


def manifest_no_text(sample: Sample) -> None:
    sample.json(1).write_bytes(b"\xff\xfe")


def manifest_a_list(sample: Sample) -> None:
    sample.json(1).write_text("[]")


def manifest_without_checkpoint(sample: Sample) -> None:
    edit(sample, 1, checkpoint=None)


def manifest_without_settings(sample: Sample) -> None:
    edit(sample, 1, encoder=None)


def manifest_without_sums(sample: Sample) -> None:
    edit(sample, 1, vectors_sha256="")


def other_rows(sample: Sample) -> None:
    edit(sample, 1, start=21, stop=41)


def other_papers(sample: Sample) -> None:
    sample.columns["id"][25] = "9999.0001"
    sample.draw()


def other_order(sample: Sample) -> None:
    for column in sample.columns.values():
        column[24], column[25] = column[25], column[24]
    sample.draw()


def other_texts(sample: Sample) -> None:
    sample.columns["topic"][39] += " "
    sample.draw()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flipped_byte, "does not match its checksum"),
        (flipped_last_bit, "does not match its checksum"),
        (flipped_header, "no sound vectors"),
        (cut_file, "has no sound vectors"),
        (empty_file, "has no sound vectors"),
        (missing_file, "has no sound vectors"),
        (pickled_file, "has no sound vectors"),
        (missing_row, r"shape \(19, 8\), not \(20, 8\)"),
        (missing_row_everywhere, "papers 20 to 39, not 20 to 40"),
        (one_row_too_many, r"shape \(21, 8\), not \(20, 8\)"),
        (other_width, r"shape \(20, 7\), not \(20, 8\)"),
        (flat_vectors, "not a float32 matrix"),
        (float64_file, "holds float64 numbers"),
        (big_endian_file, "not a float32 matrix"),
        (fortran_order, "not a float32 matrix in C order"),
        (not_a_number, "NaN or infinite"),
        (infinite_number, "NaN or infinite"),
        (other_settings, "made with max_length 128, not 64"),
        (other_engine, "made with engine 0, not"),
        (other_dtype_resolved, "dtype 'float32'.*unlike most shards.*set dtype to an explicit"),
        (other_dimensions, "dimensions 7"),
        (other_checkpoint, "another checkpoint, else/where"),
        (missing_manifest, "no sound manifest"),
        (manifest_no_json, "no sound manifest"),
        (manifest_no_text, "no sound manifest"),
        (manifest_a_list, "no sound manifest"),
        (manifest_without_checkpoint, "no sound manifest"),
        (manifest_without_settings, "no sound manifest"),
        (manifest_without_sums, "manifest without checksums"),
        (other_rows, "papers 21 to 41, not 20 to 40"),
        (other_papers, "was made of other papers"),
        (other_order, "other papers, or of the same in another order"),
        (other_texts, "was made of other texts"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_shard_that_is_not_as_it_should_be_is_refused(
    sample: Sample, damage: Callable[[Sample], None], reason: str
) -> None:
    damage(sample)
    with pytest.raises(InputError, match=f"^Shard 00001 .*{reason}"):
        command.main(sample.arguments())
    assert not list(sample.arguments().embeddings.parent.iterdir())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (swapped_vectors, "does not match its checksum.*or it is another shard's file"),
        (swapped_shards, "papers 20 to 40, not 0 to 20"),
    ],
    ids=["vectors", "both files"],
)
def test_swapped_shards_are_refused(
    sample: Sample, damage: Callable[[Sample], None], reason: str
) -> None:
    damage(sample)
    with pytest.raises(InputError, match=f"^Shard 00000 .*{reason}"):
        command.main(sample.arguments())
    assert not list(sample.arguments().embeddings.parent.iterdir())


def test_the_command_in_the_message_repairs(sample: Sample) -> None:
    flipped_byte(sample)
    with pytest.raises(InputError) as refused:
        command.main(sample.arguments())
    repair = str(refused.value).split("Make it anew: ")[1].split(", then run snakemake")[0]
    assert shlex.split(repair) == ["rm", "-f", str(sample.npy(1)), str(sample.json(1))]


def test_the_command_fails_with_one_line(sample: Sample, script: Script) -> None:
    flipped_byte(sample)
    done = script("merge_shards.py", *sample.options())
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert "ERROR Shard 00001 does not match its checksum" in line
    assert not list(sample.arguments().embeddings.parent.iterdir())


def test_a_refusal_leaves_the_old_merge_alone(sample: Sample) -> None:
    command.main(sample.arguments())
    files = sorted(sample.arguments().embeddings.parent.iterdir())
    before = [file.read_bytes() for file in files]
    flipped_byte(sample)
    with pytest.raises(InputError):
        command.main(sample.arguments())
    assert sorted(sample.arguments().embeddings.parent.iterdir()) == files
    assert [file.read_bytes() for file in files] == before


def test_more_papers_than_were_drawn(sample: Sample) -> None:
    sample.columns = {name: values[:45] for name, values in sample.columns.items()}
    sample.draw()
    with pytest.raises(
        InputError, match="has only 45 papers, but papers up to row 50 were requested"
    ):
        command.main(sample.arguments())
    assert not list(sample.arguments().embeddings.parent.iterdir())


@pytest.mark.parametrize("content", ["", "{}"])
def test_a_broken_filter_report_leaves_nothing_behind(sample: Sample, content: str) -> None:
    sample.report.write_text(content)
    with pytest.raises((InputError, ValueError, KeyError)):
        command.main(sample.arguments())
    assert not list(sample.arguments().embeddings.parent.glob("*"))


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
    """Merge in a process of its own; return the most memory it held."""
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
