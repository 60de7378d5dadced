"""Fixtures that several tests share."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.data.make_snapshot import make_snapshot

ROOT = Path(__file__).parents[1]


def real_data(name: str) -> Path:
    """Return the path of a file of real arXiv records, which are not in the repository, or skip the test."""
    folder = Path(os.environ.get("ARXIV_TEST_DATA") or ROOT.parent / "shared/data")
    path = folder / name
    if not path.is_file():
        pytest.skip(
            f"needs real arXiv records, but {path} does not exist: "
            f"set ARXIV_TEST_DATA to the folder that contains {name}"
        )
    return path


@pytest.fixture(scope="session")
def real_snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """21,245 real records, unpacked."""
    packed = real_data("arxiv-real-21k.jsonl.gz")
    path = tmp_path_factory.mktemp("real") / "arxiv-real-21k.jsonl"
    with gzip.open(packed) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return path


@pytest.fixture(scope="session")
def verbatim_snapshot() -> Path:
    """1,245 real records, byte for byte as in arXiv's file."""
    return real_data("arxiv-verbatim-1245.jsonl")


@pytest.fixture(scope="session")
def made_snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 synthetic records."""
    path = tmp_path_factory.mktemp("made") / "snapshot.json"
    make_snapshot(path, 2_000)
    return path


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, a real small model."""
    folder = ROOT / "resources/demo/all-MiniLM-L6-v2"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}, run: make install")
    return folder


@pytest.fixture(scope="session")
def script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of ``workflow/scripts``: ``script("filter_papers.py", "--papers", path)``.

    ``before`` and ``after`` are Python code to run in the same process; other keywords are environment
    variables.
    """

    def run(
        name: str, *arguments: object, before: str = "", after: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        scripts = ROOT / "workflow/scripts"
        code = [
            "import os, runpy, signal, sys; sys.argv[:] = sys.argv[1:]",
            before,
            "runpy.run_path(sys.argv[0], run_name='__main__')",
            after,
        ]
        return subprocess.run(
            [sys.executable, "-c", "\n".join(code), str(scripts / name), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(scripts), **environment},
        )

    return run
