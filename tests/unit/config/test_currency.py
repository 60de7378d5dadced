"""Whether results are what the config asks for is judged by their content, whatever happened to times and places."""

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import json_sha256
from arxiv_embeddings.config import currency

CONFIG: dict[str, Any] = {
    "snapshot": "snapshot",
    "corpus": {"name": "arxiv", "format": "arxiv", "categories": ["cs."], "max_bad_records": 0.001},
    "sample": {"size": 30, "seed": 42, "order": "pandas"},
    "shards": {"size": 10},
    "vector_store": True,
    "models": [
        {
            "label": "minilm",
            "name": "minilm-folder",
            "revision": None,
            "pooling": "mean",
            "max_length": 64,
            "normalize": True,
            "dtype": "auto",
            "prompt": "auto",
            "dimensions": None,
        }
    ],
}


class Results:
    """Everything that a finished run leaves, as far as it is judged."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, copy.deepcopy(CONFIG)
        self.snapshot = folder / "snapshot"
        self.snapshot.write_bytes(b"records" * 100)
        self.source = folder / "minilm-folder"
        self.source.mkdir()
        (self.source / "config.json").write_text("{}")
        self.results, self.models = folder / "results/arxiv", folder / "resources/models"
        files = {"config.json": {"bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}}
        checkpoint = {"name": str(self.source), "revision": None, "files": files}
        self.write(self.models / "minilm/checkpoint.json", checkpoint)
        snapshot = currency.snapshot_identity(self.snapshot, "arxiv")
        snapshot["sha256"] = hashlib.sha256(self.snapshot.read_bytes()).hexdigest()
        corpus = currency.corpus_request(self.config["corpus"])
        filtered = {"snapshot": snapshot, "records": {"kept": 50}, **corpus}
        drawn = {"papers": 50, "seed": 42, "order": "pandas", "snapshot": snapshot, **corpus}
        manifest = {
            "request": currency.request_of(self.config, "minilm"),
            "drawn": drawn,
            "checkpoint": {"sha256": json_sha256(files)},
        }
        self.write(self.results / "filter.json", filtered)
        self.write(self.results / "drawn.json", drawn)
        self.write(self.results / "minilm/lookup.json", {})
        self.write(self.results / "minilm/manifest.json", manifest)
        for name in ("papers.parquet", "drawn.parquet", "minilm/embeddings.npy"):
            (self.results / name).touch()
        (self.results / "minilm/papers.parquet").touch()

    @staticmethod
    def write(path: Path, content: Any) -> None:
        """Write a JSON file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def change(self, name: str, **values: Any) -> None:
        """Change values of a JSON file of the results."""
        path = self.results / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def outdated(self) -> set[str]:
        """Return the names of what would run again."""
        found = currency.outdated(
            self.config,
            snapshot=self.snapshot if self.snapshot.exists() else None,
            results=self.results,
            models=self.models,
            sources={model["label"]: str(self.source) for model in self.config["models"]},
        )
        return {path.name for path in found}


@pytest.fixture
def run(tmp_path: Path) -> Results:
    return Results(tmp_path)


def touch_everything(run: Results) -> None:
    for number, path in enumerate(sorted(run.folder.rglob("*"), reverse=True)):
        os.utime(path, (1e9 + number * 1e6, 1e9 + number * 1e6))


def move_the_snapshot(run: Results) -> None:
    run.snapshot = run.snapshot.rename(run.folder / "elsewhere")


def download_again(run: Results) -> None:
    content = run.snapshot.read_bytes()
    run.snapshot.unlink()
    run.snapshot.write_bytes(content)
    os.utime(run.snapshot, (9e8, 9e8))


def move_the_checkpoint(run: Results) -> None:
    run.source = run.source.rename(run.folder / "moved")


def purge(*names: str) -> Callable[[Results], None]:
    def remove(run: Results) -> None:
        for name in names:
            (run.results / name).unlink()

    return remove


def set_key(*path: Any) -> Callable[[Results], None]:
    def change(run: Results) -> None:
        *keys, last, value = path
        target: Any = run.config
        for key in keys:
            target = target[key]
        target[last] = value

    return change


@pytest.mark.parametrize(
    "event",
    [
        lambda run: None,
        touch_everything,
        move_the_snapshot,
        download_again,
        move_the_checkpoint,
        lambda run: run.snapshot.unlink(),
        lambda run: shutil.rmtree(run.models),
        purge("papers.parquet"),
        purge("drawn.parquet", "drawn.json"),
        purge("papers.parquet", "filter.json"),
        set_key("shards", "size", 7),
        set_key("snapshot", "another/path"),
        set_key("corpus", "max_bad_records", 0.5),
        set_key("vector_store", False),
    ],
)
def test_what_changes_no_vector_makes_nothing_outdated(
    run: Results, event: Callable[[Results], None]
) -> None:
    event(run)
    assert run.outdated() == set()


def edit_in_place(run: Results) -> None:
    """Change a byte; size and time stay."""
    times = run.snapshot.stat()
    run.snapshot.write_bytes(b"Records" + b"records" * 99)
    os.utime(run.snapshot, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("event", "outdated"),
    [
        (edit_in_place, {"papers.parquet"}),
        (lambda run: run.snapshot.write_bytes(b"more"), {"papers.parquet"}),
        (set_key("corpus", "categories", ["math."]), {"papers.parquet", "lookup.json"}),
        (set_key("corpus", "categories", "all"), {"papers.parquet", "lookup.json"}),
        (set_key("corpus", "format", "table"), {"papers.parquet", "lookup.json"}),
        (set_key("sample", "seed", 43), {"drawn.parquet", "lookup.json"}),
        (set_key("sample", "order", "hash"), {"drawn.parquet", "lookup.json"}),
        (set_key("sample", "size", 31), {"lookup.json"}),
        (set_key("sample", "size", "all"), {"lookup.json"}),
        (set_key("models", 0, "pooling", "cls"), {"lookup.json"}),
        (set_key("models", 0, "max_length", 65), {"lookup.json"}),
        (set_key("models", 0, "prompt", "query: "), {"lookup.json"}),
        (set_key("models", 0, "revision", "0" * 40), {"lookup.json"}),
        (lambda run: (run.source / "config.json").write_text("[]"), {"minilm"}),
        (lambda run: (run.source / "config.json").unlink(), {"minilm"}),
        (lambda run: (run.models / "minilm/checkpoint.json").unlink(), {"minilm"}),
        (purge("minilm/embeddings.npy"), {"lookup.json"}),
        (purge("minilm/papers.parquet"), {"lookup.json"}),
        (purge("minilm/manifest.json"), {"lookup.json"}),
        (purge("drawn.json"), {"drawn.parquet"}),
        (lambda run: run.change("drawn.json", seed=1), {"drawn.parquet", "lookup.json"}),
        (lambda run: run.change("minilm/manifest.json", drawn={}), {"lookup.json"}),
        (lambda run: run.change("minilm/manifest.json", checkpoint={}), {"lookup.json"}),
        (lambda run: (run.results / "minilm/manifest.json").write_text("{"), {"lookup.json"}),
        (lambda run: (run.results / "minilm/manifest.json").write_text("[]"), {"lookup.json"}),
    ],
)
def test_what_changes_vectors_or_loses_them_is_seen(
    run: Results, event: Callable[[Results], object], outdated: set[str]
) -> None:
    event(run)
    assert run.outdated() == outdated


def test_nothing_is_outdated_before_the_first_run(run: Results) -> None:
    shutil.rmtree(run.results)
    shutil.rmtree(run.models)
    assert run.outdated() == set()


def test_records_of_version_0_1_0_are_understood(run: Results) -> None:
    """They name the categories only, and tell the snapshot by bytes and sha256."""
    record = json.loads((run.results / "filter.json").read_text())
    for key in ("format", "columns"):
        del record[key]
    for key in ("mtime_ns", "ends_sha256"):
        del record["snapshot"][key]
    run.write(run.results / "filter.json", record)
    assert run.outdated() == set()
    run.snapshot.write_bytes(b"Records" * 100)
    assert run.outdated() == {"papers.parquet"}


# A large snapshot: hashing it takes seconds, so that is done only where its time is another one.


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Any]]:
    """A snapshot that counts as large, and the filter's record of it."""
    monkeypatch.setattr(currency, "HASHED_ALWAYS", 10)
    monkeypatch.setattr(currency, "ENDS", 16)
    path = tmp_path / "large"
    path.write_bytes(bytes(range(200)))
    identity = currency.snapshot_identity(path, "arxiv")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, {"snapshot": {**identity, "sha256": sha256}}


def edit(path: Path, place: int, keep_time: bool) -> None:
    """Change one byte."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        os.utime(path, (8, 8))


def test_the_same_time_and_ends_need_no_hash(
    large: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> str:
        raise AssertionError("the whole file was read")

    monkeypatch.setattr(currency, "files_sha256", refuse)
    path, record = large
    assert currency.is_snapshot(record, path, "arxiv")


@pytest.mark.parametrize(
    ("place", "keep_time"), [(0, True), (15, True), (184, True), (199, True), (100, False)]
)
def test_an_edit_of_a_large_snapshot_is_seen_by_its_ends_or_its_time(
    large: tuple[Path, dict[str, Any]], place: int, keep_time: bool
) -> None:
    path, record = large
    edit(path, place, keep_time)
    assert not currency.is_snapshot(record, path, "arxiv")


def test_another_time_alone_is_no_change(large: tuple[Path, dict[str, Any]]) -> None:
    path, record = large
    os.utime(path, (7, 7))
    assert currency.is_snapshot(record, path, "arxiv")


def test_results_from_the_future_are_dated_now(run: Results) -> None:
    future, past = run.results / "drawn.parquet", run.results / "filter.json"
    vectors = run.results / "minilm/vectors/a.npy"
    vectors.parent.mkdir()
    vectors.touch()
    for path in (future, vectors, run.models / "minilm"):
        os.utime(path, (4e9, 4e9))
    os.utime(past, (5, 5))
    assert currency.end_future(run.results, run.models, run.folder / "none") == 2
    assert 5 < future.stat().st_mtime < 4e9
    assert past.stat().st_mtime == 5
    assert vectors.stat().st_mtime == 4e9


def test_a_snapshot_that_cannot_be_read_stops_nothing_yet(
    run: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == run.snapshot:
            raise PermissionError(13, "Permission denied")
        return plain(path, *arguments, **options)

    plain = Path.open
    monkeypatch.setattr(Path, "open", refuse)
    assert run.outdated() == set()
    currency.check_size(10, run.snapshot, "arxiv", run.results / "filter.json", [])


def test_a_folder_is_known_by_the_sums_of_its_files(tmp_path: Path) -> None:
    for name in ("X.txt", "YL1.txt", "YL2.txt"):
        (tmp_path / name).write_text(f"1{name}")
    sums = "".join(
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("X.txt", "YL1.txt", "YL2.txt")
    )
    identity = currency.snapshot_identity(tmp_path, "wos")
    record = {"snapshot": {**identity, "sha256": hashlib.sha256(sums.encode()).hexdigest()}}
    assert currency.is_snapshot(record, tmp_path, "wos")
    (tmp_path / "YL1.txt").write_text("2YL1.txt")
    assert not currency.is_snapshot(record, tmp_path, "wos")


def test_several_tables_are_known_by_the_sums_of_all(tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        file.write_text(f"1{file.name}")
    identity = currency.snapshot_identity(files, "table")
    assert identity["bytes"] == 12
    record = {"snapshot": {**identity, "sha256": currency.files_sha256(files)}}
    assert currency.is_snapshot(record, files, "table")
    assert not currency.is_snapshot(record, files[::-1], "table")
    assert not currency.is_snapshot(record, files[:1], "table")
    files[1].write_text("2b.csv")
    assert not currency.is_snapshot(record, files, "table")


def test_a_sample_that_cannot_be_is_refused_at_once(run: Results) -> None:
    def check(size: int | None, outdated: list[Path] | None = None) -> None:
        report = run.results / "filter.json"
        currency.check_size(size, run.snapshot, "arxiv", report, outdated or [])

    check(None)
    check(14)
    with pytest.raises(
        InputError, match=r"10,000,000 papers, but .* more than 14: it is too small"
    ):
        check(10_000_000)
    run.snapshot.write_bytes(b"x" * 10_000)
    check(50)
    with pytest.raises(InputError, match="asks for 51 papers, but only 50 passed the filter"):
        check(51)
    check(51, [run.results / "papers.parquet"])
    (run.results / "filter.json").unlink()
    check(51)
