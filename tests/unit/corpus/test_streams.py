"""A file is read line by line, plain or packed, and damaged or unsuitable files are reported."""

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from unittest import mock

import pytest
import zstandard
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.corpus import streams
from arxiv_embeddings.corpus.streams import PackedFile

RNG = random.Random(0)
LINES = [
    b'{"id":"%d","title":"%s"}' % (number, RNG.randbytes(RNG.randint(0, 40)).hex().encode())
    for number in range(40)
]
LINES[5] = b""
LINES[7] = '{"id":"7","title":"Poincaré 😀"}'.encode()
LINES[9] = '{"id":"9","title":"<b>[1]\ufeff"}'.encode()
DATA = b"\n".join(LINES) + b"\n"
HALF = len(DATA) // 2


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


class Pipe(io.BytesIO):
    """Bytes that can only be written sequentially, as a server writes a download."""

    def seek(self, offset: int, whence: int = 0, /) -> NoReturn:
        """Refuse, so that zipfile writes the sizes after the member."""
        raise OSError("a pipe")


def zipped(
    members: dict[str, bytes],
    method: int = zipfile.ZIP_DEFLATED,
    *,
    streamed: bool = False,
    comment: bytes = b"",
) -> bytes:
    file = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def zip64(data: bytes) -> bytes:
    """Return a zip file with all sizes and offsets in 64-bit fields."""
    file = io.BytesIO()
    with (
        mock.patch("zipfile.ZIP64_LIMIT", 0),
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("snapshot.json", "w", force_zip64=True) as member,
    ):
        member.write(data)
    assert b"PK\6\6" in file.getvalue()
    return file.getvalue()


def tar(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("snapshot.json")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


ZIP = zipped({"snapshot.json": DATA})
STORED = zipped({"snapshot.json": DATA}, zipfile.ZIP_STORED)
DIRECTORY = ZIP.index(b"PK\1\2")  # where the archive's directory begins
PACKED = {
    "plain": DATA,
    "gzip": gz(DATA),
    "gzip-members": gz(DATA[:HALF]) + gz(b"") + gz(DATA[HALF:]),
    "zstd": zst(DATA),
    "zstd-frames": zst(DATA[:HALF]) + zst(b"") + zst(DATA[HALF:]),
    "zip-deflated": ZIP,
    "zip-stored": STORED,
    "zip-streamed": zipped({"snapshot.json": DATA}, streamed=True),
    "zip-in-folder": zipped({"folder/": b"", "folder/snapshot.json": DATA}, comment=b"Kaggle"),
    "zip-64": zip64(DATA),
}


def opened(folder: Path, data: bytes, name: str = "file") -> PackedFile:
    path = folder / name
    path.write_bytes(data)
    return PackedFile(path, "snapshot")


def lines_of(packed: PackedFile) -> list[bytes]:
    blocks = list(packed.line_blocks())
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    return [line for block in blocks for line in block.removesuffix(b"\n").split(b"\n")]


@pytest.mark.parametrize("name", ["snapshot.json", "snapshot.gz", "snapshot.zst", "snapshot.zip"])
@pytest.mark.parametrize("kind", PACKED)
def test_packing_is_detected_from_the_content(kind: str, name: str, tmp_path: Path) -> None:
    data = PACKED[kind]
    packed = opened(tmp_path, data, name)
    assert packed.format == kind.split("-", maxsplit=1)[0]
    assert lines_of(packed) == LINES
    assert packed.bytes_read == packed.size == len(data)
    assert packed.sha256 == hashlib.sha256(data).hexdigest()
    assert not packed.cut_line


@pytest.mark.parametrize(
    ("read", "block"), [(1, 1), (2, 10), (3, 3), (61, 7), (10_000, 1), (10_000, 61), (1_009, 1_000)]
)
@pytest.mark.parametrize("kind", PACKED)
def test_block_borders_may_be_anywhere(
    kind: str, read: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "READ", read)
    monkeypatch.setattr(streams, "BLOCK", block)
    packed = opened(tmp_path, PACKED[kind])
    assert lines_of(packed) == LINES
    assert packed.sha256 == hashlib.sha256(PACKED[kind]).hexdigest()


@pytest.mark.parametrize("block", [streams.BLOCK, 61])
def test_zero_bytes_after_gzip_are_padding(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK", block)
    assert lines_of(opened(tmp_path, gz(DATA) + bytes(1_000))) == LINES


@pytest.mark.parametrize("pack", [bytes, gz, zst])
@pytest.mark.parametrize(
    ("data", "lines", "cut_line"),
    [
        (b"a\nb\n", [b"a", b"b"], False),
        (b"a\nb", [b"a", b"b"], True),
        (b"a", [b"a"], True),
        (b"a\r\nb\r\n", [b"a\r", b"b\r"], False),
        (b"\xef\xbb\xbfa\nb\n", [b"a", b"b"], False),
        (b"\na\n\n\nb\n\n", [b"", b"a", b"", b"", b"b", b""], False),
    ],
    ids=["plain", "no final newline", "one line", "CRLF", "byte order mark", "blank lines"],
)
def test_line_ends_are_removed(
    pack: Callable[[bytes], bytes], data: bytes, lines: list[bytes], cut_line: bool, tmp_path: Path
) -> None:
    packed = opened(tmp_path, pack(data))
    assert lines_of(packed) == lines
    assert packed.cut_line == cut_line


def encrypted(archive: bytes) -> bytes:
    """Return ``archive`` with the flag of an encrypted member, in both of its headers."""
    data = bytearray(archive)
    data[6] |= 1
    data[DIRECTORY + 8] |= 1
    return bytes(data)


def flipped(data: bytes, place: int) -> bytes:
    """Return ``data`` with one bit of the byte at ``place`` inverted."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


class BrokenDisk(io.BytesIO):
    """A file on a disk that cannot be read."""

    def read(self, size: int | None = -1, /) -> NoReturn:
        """Fail as the kernel does."""
        raise OSError(errno.EIO, os.strerror(errno.EIO))


HTML = b"<!DOCTYPE html>\n<html><title>Sign in</title></html>\n"
CUT = r"ends in the middle of its {} data\. Download or copy it again\.$"
BROKEN = {
    "empty": (b"", r"is empty\. Download or copy it again\.$"),
    "html": (HTML, "is an HTML or XML page"),
    "html-indented": (b"\xef\xbb\xbf \r\n" + HTML, "is an HTML or XML page"),
    "html-gzip": (gz(HTML), "is an HTML or XML page"),
    "html-zip": (zipped({"login": HTML}), "is an HTML or XML page"),
    "array": (b'[{"id":"1"}]', r"is one JSON array\. Convert it, .*: cat .* \| jq -c '\.\[\]' > "),
    "array-indented": (b'\n[\n{"id":"1"}]', "is one JSON array"),
    "array-gzip": (
        gz(b'[{"id":"1"}]'),
        r"is one JSON array, packed as gzip\. .*: gzip -dc .*/file \| jq -c '\.\[\]' > ",
    ),
    "array-zip": (zipped({"a": b"[1]"}), "is one JSON array, packed as zip.*: unzip -p .* jq -c"),
    "array-zstd": (zst(b"[1]"), "is one JSON array, packed as zstd.*: zstd -dc .* jq -c"),
    "indented": (b'{\n "id": "1"\n}\n', r"is JSON with records of several lines.* \| jq -c \. >"),
    "bzip2": (bz2.compress(DATA), r"is bzip2 data\. .*: cat .*/file \| bzip2 -dc > converted$"),
    "xz": (lzma.compress(DATA), r"is xz data\. .*: cat .*/file \| xz -dc > converted$"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", r"is a 7z archive\. .*: 7z x .*/file$"),
    "tar": (tar(DATA), r"is a tar archive\. .*: cat .*/file \| tar -xf -$"),
    "tar-gzip": (
        gz(tar(DATA)),
        r"is a tar archive, packed as gzip\. .*: gzip -dc .* \| tar -xf -$",
    ),
    "gzip-gzip": (
        gz(gz(DATA)),
        r"is gzip data, packed as gzip\. .*: gzip -dc .*/file > converted$",
    ),
    "zip-gzip": (gz(ZIP), "is zip data, packed as gzip"),
    "bzip2-gzip": (gz(bz2.compress(DATA)), r"is bzip2 data, packed as gzip\. .* \| bzip2 -dc > "),
    "parquet-gzip": (gz(b"PAR1" + DATA), "is parquet data, packed as gzip"),
    "utf-16": (DATA.decode().encode("utf-16"), r"is text in UTF-16\. .*iconv -f UTF-16 -t UTF-8"),
    "utf-16-le": (DATA.decode().encode("utf-16-le"), "is text in UTF-16.*iconv -f UTF-16LE"),
    "utf-16-be": (DATA.decode().encode("utf-16-be"), "is text in UTF-16.*iconv -f UTF-16BE"),
    "gzip-header-only": (gz(DATA)[:10], CUT.format("gzip")),
    "gzip-cut": (gz(DATA)[:300], CUT.format("gzip")),
    "gzip-cut-before-last-byte": (gz(DATA)[:-1], CUT.format("gzip")),
    "gzip-second-member-cut": (gz(DATA) + gz(DATA)[:30], CUT.format("gzip")),
    "gzip-nothing": (gz(b""), "contains no data"),
    "gzip-bad-data": (flipped(gz(DATA), 300), "is damaged near byte"),
    "gzip-bad-checksum": (flipped(gz(DATA), -5), "is damaged near byte"),
    "gzip-and-more": (gz(DATA) + b"more" * 10, "is damaged near byte"),
    "zstd-cut": (zst(DATA)[:300], CUT.format("zstd")),
    "zstd-cut-before-last-byte": (zst(DATA)[:-1], CUT.format("zstd")),
    "zstd-nothing": (zst(b""), "contains no data"),
    "zstd-bad-checksum": (flipped(zst(DATA), -1), "is damaged near byte"),
    "zip-cut": (ZIP[:300], "is a zip archive without its end .* Download or copy it again"),
    "zip-cut-stored": (STORED[:300], "is a zip archive without its end"),
    "zip-cut-before-last-byte": (ZIP[:-1], "is a zip archive without its end"),
    "zip-bad-data": (flipped(STORED, 300), "does not match the checksum in its zip archive"),
    "zip-bad-checksum": (flipped(ZIP, DIRECTORY + 16), "does not match the checksum"),
    "zip-nothing": (zipped({"snapshot.json": b""}), "contains no data"),
    "zip-no-member": (zipped({}), r"is a zip archive of 0 files \(none\), not of one\. Unpack it"),
    "zip-members": (
        zipped({"one.json": DATA, "two.csv": DATA}),
        r"is a zip archive of 2 files \(one.json, two.csv\), not of one\. Unpack it",
    ),
    "zip-encrypted": (
        encrypted(ZIP),
        "is a zip archive that is encrypted or uses a rare compression method",
    ),
    "zip-bzip2": (
        zipped({"a": DATA}, zipfile.ZIP_BZIP2),
        ".* encrypted or uses a rare compression method",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_unsuitable_file_is_reported(kind: str, tmp_path: Path) -> None:
    data, message = BROKEN[kind]
    with pytest.raises(InputError, match=f"^The snapshot .*/file {message}"):
        lines_of(opened(tmp_path, data))


def test_errors_call_the_file_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match=r"^The table .*/empty is empty\. Download or copy it"):
        PackedFile(tmp_path / "empty", "table")


def test_longest_line_is_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LONGEST_LINE", 10)
    assert lines_of(opened(tmp_path, b"a" * 10)) == [b"a" * 10]
    message = "has a line longer than 10 bytes, so it is not a file with one record per line"
    with pytest.raises(InputError, match=message):
        lines_of(opened(tmp_path, b"a" * 11))


def test_missing_file_names_the_key_to_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere cannot be read: No such file.*'snapshot'"):
        PackedFile(tmp_path / "nowhere", "snapshot")


def test_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder, not a file\. Set 'snapshot'"):
        PackedFile(tmp_path, "snapshot")


def test_pipe_is_refused_with_and_without_a_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"pipe is a pipe \(FIFO\), .*, not a file\. Set"):
        PackedFile(pipe, "snapshot")
    reading, writing = os.pipe()
    try:
        with pytest.raises(InputError, match=r"/dev/fd/\d+ is a pipe \(FIFO\)"):
            PackedFile(Path(f"/dev/fd/{reading}"), "snapshot")
    finally:
        os.close(reading)
        os.close(writing)


def test_device_is_refused() -> None:
    with pytest.raises(InputError, match=r"/dev/null is a device, not a file\."):
        PackedFile(Path("/dev/null"), "snapshot")


CHANGED = r"file changed while it was read\. Wait until its download or copy is complete"


def replaced(path: Path) -> None:
    """Give ``path`` to a new file of the same size and modification time."""
    state = path.stat()
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    new.replace(path)


def appended(path: Path) -> None:
    state = path.stat()
    with path.open("ab") as file:
        file.write(DATA)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def rewritten(path: Path) -> None:
    """Write the same bytes again."""
    state = path.stat()
    with path.open("r+b") as file:
        file.write(file.read(1))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [replaced, appended, rewritten, Path.unlink])
@pytest.mark.parametrize("share_read", [0, 0.75])
@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd", "zip-deflated"])
def test_file_that_changes_while_it_is_read_is_refused(
    kind: str,
    share_read: float,
    change: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "BLOCK", 100)
    packed = opened(tmp_path, PACKED[kind])
    blocks = packed.line_blocks()
    while packed.bytes_read <= share_read * packed.size:
        next(blocks)
    change(packed.path)
    with pytest.raises(InputError, match=CHANGED):
        list(blocks)


def test_damage_by_a_change_is_reported_as_the_change(tmp_path: Path) -> None:
    packed = opened(tmp_path, PACKED["gzip"])
    packed.path.write_bytes(flipped(PACKED["gzip"], 300))
    with pytest.raises(InputError, match=CHANGED):
        list(packed.line_blocks())


def test_error_of_the_disk_names_the_file_and_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = opened(tmp_path, DATA)

    # A test cannot damage a disk.
    monkeypatch.setattr(Path, "open", lambda *_, **__: BrokenDisk(DATA))
    message = r"file cannot be read at byte 0: Input/output error\. Check its disk"
    with pytest.raises(InputError, match=message):
        lines_of(packed)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zip-deflated", "zip-stored", "zip-64"])
def test_truncation_anywhere_is_noticed(kind: str, tmp_path: Path) -> None:
    whole = len(PACKED[kind])
    for length in [*range(4, whole, 7), whole - 1]:
        with pytest.raises(InputError, match=r"ends in the middle|without its end"):
            lines_of(opened(tmp_path, PACKED[kind][:length]))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zip-deflated", "zip-stored"])
def test_flipped_bit_gives_an_error_or_changes_nothing(kind: str, tmp_path: Path) -> None:
    data = PACKED[kind]
    refused = 0
    places = range(4, data.find(b"PK\1\2") if kind.startswith("zip") else len(data), 3)
    for place in places:
        try:
            assert lines_of(opened(tmp_path, flipped(data, place))) == LINES
        except InputError:
            refused += 1
    assert refused > len(places) // 2  # the rest changes times and names that do not matter


@pytest.mark.parametrize(
    ("place", "value"),
    [(DIRECTORY + 6, 148), (len(ZIP) - 5, 32)],
    ids=["version needed", "offset of the directory"],
)
def test_damaged_directory_of_a_zip_is_an_input_error(
    place: int, value: int, tmp_path: Path
) -> None:
    data = bytearray(ZIP)
    data[place] = value
    with pytest.raises(InputError):
        lines_of(opened(tmp_path, bytes(data)))
