"""A final name means a complete file, and equal content has equal hashes."""

import errno
import hashlib
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from arxiv_embeddings.common.files import (
    ABANDONED_AFTER,
    TextsHash,
    file_sha256,
    json_sha256,
    scratch_beside,
    write_json,
    written_beside,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_final_name_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/file"
    with written_beside(path) as partial:
        assert partial.parent == path.parent
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["file"]


def test_old_file_is_replaced_only_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with written_beside(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_failed_block_leaves_the_old_file_and_nothing_else(
    failure: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(failure), written_beside(path) as partial:
        partial.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_folder_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    with written_beside(tmp_path / "folder") as partial:
        (partial / "inner").mkdir(parents=True)
        (partial / "inner/file").write_text("text")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "folder/inner/file").read_text() == "text"
    assert names(tmp_path) == ["folder"]


def test_failed_block_removes_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="half"), written_beside(tmp_path / "folder") as partial:
        (partial / "inner").mkdir(parents=True)
        (partial / "inner/file").write_text("text")
        raise ValueError("half")
    assert names(tmp_path) == []


def test_content_is_synced_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        assert not (tmp_path / "folder").exists()
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", fsync)
    with written_beside(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "a").touch()
        (partial / "b").touch()
    assert sorted(synced) == ["a", "b"]


def test_abandoned_partial_files_are_removed_after_a_day(tmp_path: Path) -> None:
    now = time.time()
    for name, age in [
        (".file.node1-1.partial", ABANDONED_AFTER + 60),
        (".file.node1-2.partial", ABANDONED_AFTER - 60),
        (".other.node1-1.partial", ABANDONED_AFTER + 60),
        ("file.txt", ABANDONED_AFTER + 60),
    ]:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age, now - age))
    folder = tmp_path / ".file.node1-3.partial"
    (folder / "inner").mkdir(parents=True)
    os.utime(folder, (0, 0))
    with written_beside(tmp_path / "file") as partial:
        partial.touch()
    assert names(tmp_path) == [
        ".file.node1-2.partial",
        ".other.node1-1.partial",
        "file",
        "file.txt",
    ]


def test_partial_files_of_ended_processes_of_this_host_are_removed_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as running:
        ended = subprocess.Popen(["true"])
        ended.wait()
        host = socket.gethostname()
        gone = [f".file.{host}-{ended.pid}.partial"]
        kept = [
            f".file.{host}-{running.pid}.partial",
            f".file.{host}-1.partial",
            f".file.{host}-x.partial",
            f".file.{host}-{10**30}.partial",
            f".file.elsewhere-{ended.pid}.partial",
            f".file.more.{host}-{ended.pid}.partial",
        ]
        for name in gone + kept:
            (tmp_path / name).touch()
        with written_beside(tmp_path / "file") as partial:
            partial.touch()
        assert names(tmp_path) == sorted([*kept, "file"])
        running.kill()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_full_disk_names_the_file_that_is_written(code: int, tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=r"'.*/folder/file'$"),
        written_beside(tmp_path / "folder/file"),
    ):
        raise OSError(code, os.strerror(code))
    with pytest.raises(OSError, match=r"'other'$"), written_beside(tmp_path / "file"):
        raise OSError(code, os.strerror(code), "other")


def test_failure_of_the_disk_at_the_end_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with (
        pytest.raises(OSError, match=r"Input/output error: '.*/\.file\..*\.partial'"),
        written_beside(tmp_path / "file") as partial,
    ):
        partial.touch()
    assert names(tmp_path) == []


def test_two_writers_do_not_share_a_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch_beside(tmp_path / "file") as mine:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with scratch_beside(tmp_path / "file") as other_process:
            assert other_process != mine
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        with scratch_beside(tmp_path / "file") as other_machine:
            assert other_machine not in (mine, other_process)


def test_json_is_indented_and_not_escaped(tmp_path: Path) -> None:
    content = {"title": "Poincaré", "shape": [2]}
    write_json(tmp_path / "file.json", content)
    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert text == '{\n  "title": "Poincaré",\n  "shape": [\n    2\n  ]\n}\n'
    assert names(tmp_path) == ["file.json"]


def test_hashes_of_files_and_json(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    assert json_sha256({"a": 1, "b": [2]}) == json_sha256({"b": [2], "a": 1})
    assert json_sha256({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert json_sha256({"a": 1}) != json_sha256({"a": "1"})


def texts_hash(*parts: list[str]) -> str:
    texts = TextsHash()
    for part in parts:
        texts.update(part)
    return texts.hexdigest()


def test_different_sequences_of_texts_have_different_hashes() -> None:
    sequences = [[], [""], ["", ""], ["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["é"], ["e"]]
    assert len({texts_hash(sequence) for sequence in sequences}) == len(sequences)


def test_hash_does_not_depend_on_how_the_texts_are_split() -> None:
    assert texts_hash(["ab", "c"], [], ["é"]) == texts_hash(["ab"], ["c", "é"])
    data = b"\2\0\0\0\0\0\0\0\xc3\xa9"
    assert texts_hash(["é"]) == hashlib.sha256(data).hexdigest()
