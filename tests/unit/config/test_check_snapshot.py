"""Inputs are found in the given folders, and a missing snapshot is reported with these folders."""

import re
from pathlib import Path

import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.check import check_snapshot, find_input, find_snapshot


@pytest.mark.parametrize("name", ["snapshot.json", "resources/snapshot.json", "/no/such/file"])
def test_missing_snapshot_is_reported(name: str, tmp_path: Path) -> None:
    folders = [tmp_path / "here", tmp_path / "there"]
    message = (
        f"snapshot: there is no {name!r} in {folders[0]} or {folders[1]}. Put the metadata file"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        check_snapshot(name, folders)


def test_folder_that_is_searched_twice_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working folder of most runs is the clone itself."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as raised:
        check_snapshot("a.json", [Path(), tmp_path])
    assert str(raised.value) == (
        f"snapshot: there is no 'a.json' in {tmp_path}. "
        "Put the metadata file there, or set snapshot to its path."
    )


def test_web_of_science_folder_needs_its_three_files(tmp_path: Path) -> None:
    folder = tmp_path / "there/WOS"
    folder.mkdir(parents=True)
    (tmp_path / "WOS").mkdir()
    for name in ("X.txt", "YL1.txt"):
        (folder / name).touch()
    folders = [tmp_path, tmp_path / "there"]
    message = f"no folder 'WOS' with X.txt, YL1.txt, YL2.txt in {tmp_path} or {folder.parent}. Put the folder"
    with pytest.raises(InputError, match=re.escape(message)):
        check_snapshot("WOS", folders, "wos")
    (folder / "YL2.txt").touch()
    check_snapshot("WOS", folders, "wos")
    assert find_snapshot("WOS", folders, "wos") == folder
    for kind in ("arxiv", "table"):
        assert find_snapshot("WOS", folders, kind) is None


def test_every_file_of_a_list_is_found_or_named(tmp_path: Path) -> None:
    folders = [tmp_path / "here", tmp_path / "there"]
    for folder, name in zip(folders, ("a.csv", "b.csv"), strict=True):
        folder.mkdir()
        (folder / name).touch()
    names = ["b.csv", "a.csv"]
    check_snapshot(names, folders, "table")
    assert find_snapshot(names, folders, "table") == [folders[1] / "b.csv", folders[0] / "a.csv"]
    with pytest.raises(InputError, match=r"there is no 'c.csv' in .* Put the table there"):
        check_snapshot([*names, "c.csv"], folders, "table")
    assert find_snapshot([*names, "c.csv"], folders, "table") is None


def test_folder_is_not_a_snapshot(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="snapshot: "):
        check_snapshot("", [tmp_path])


def test_folders_are_searched_in_their_order(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    assert find_input("input", [here, there], Path.is_file) is None
    (there / "input").touch()
    assert find_input("input", [here, there], Path.is_file) == there / "input"
    assert find_input(str(there / "input"), [here], Path.is_file) == there / "input"
    (here / "input").mkdir()
    assert find_input("input", [here, there], Path.is_file) == there / "input"
    assert find_input("input", [there, here], Path.is_dir) == here / "input"


def test_snapshot_in_any_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.json").touch()
    check_snapshot("a.json", [tmp_path, tmp_path / "there"])
