"""A result names the commit that produced it, and whether the code differed from it."""

import subprocess
from pathlib import Path

import pytest
from arxiv_embeddings.common.commit import git_commit


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit of one file."""
    git(tmp_path, "init")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/module.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--no-gpg-sign", "--message", "first")
    return tmp_path


def test_commit_is_that_of_the_checkout_around_the_folder(checkout: Path) -> None:
    (checkout / "results.json").write_text("untracked files do not count")
    assert git_commit(checkout / "code") == git(checkout, "rev-parse", "HEAD")


def test_changed_code_is_marked(checkout: Path) -> None:
    (checkout / "code/module.py").write_text("a = 2\n")
    assert git_commit(checkout) == git(checkout, "rev-parse", "HEAD") + "+changes"


def test_no_checkout_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) is None


def test_machine_without_git_gives_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_commit(checkout) is None
