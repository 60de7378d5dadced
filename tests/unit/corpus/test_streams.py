"""The snapshot is read line by line whatever it is packed in, and what is no snapshot says so."""

import gzip
import hashlib
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from unittest import mock

import pytest
import zstandard
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.corpus import streams
from arxiv_embeddings.corpus.streams import Snapshot

RNG = random.Random(0)
LINES = [
    b'{"id":"%d","title":"%s"}' % (number, RNG.randbytes(RNG.randint(0, 40)).hex().encode())
    for number in range(40)
]
LINES[5] = b""
LINES[7] = '{"id":"7","title":"Poincaré 😀"}'.encode()
DATA = b"\n".join(LINES) + b"\n"
HALF = len(DATA) // 2


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


class Pipe(io.BytesIO):
    """Bytes that can only be written front to back, as downloads are made by a server."""

    def seek(self, offset: int, whence: int = 0, /) -> NoReturn:
        """Refuse, so that zipfile puts the sizes behind the member."""
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
    """Return a zip file whose sizes and offsets all stand in their 64-bit fields."""
    file = io.BytesIO()
    with (
        mock.patch("zipfile.ZIP64_LIMIT", 0),
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("snapshot.json", "w", force_zip64=True) as member,
    ):
        member.write(data)
    assert b"PK\6\6" in file.getvalue()
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


def opened(folder: Path, data: bytes, name: str = "snapshot") -> Snapshot:
    path = folder / name
    path.write_bytes(data)
    return Snapshot(path)


def lines_of(snapshot: Snapshot) -> list[bytes]:
    return [line for block in snapshot.line_blocks() for line in block]


@pytest.mark.parametrize("name", ["snapshot.json", "snapshot.gz", "snapshot.zst", "snapshot.zip"])
@pytest.mark.parametrize("kind", PACKED)
def test_packing_is_told_by_content(kind: str, name: str, tmp_path: Path) -> None:
    data = PACKED[kind]
    snapshot = opened(tmp_path, data, name)
    assert snapshot.format == kind.split("-", maxsplit=1)[0]
    assert lines_of(snapshot) == LINES
    assert snapshot.bytes_read == snapshot.size == len(data)
    assert snapshot.sha256 == hashlib.sha256(data).hexdigest()
    assert not snapshot.cut_line


@pytest.mark.parametrize(
    ("read", "block"), [(1, 1), (2, 10), (3, 3), (61, 7), (10_000, 1), (10_000, 61), (1_009, 1_000)]
)
@pytest.mark.parametrize("kind", PACKED)
def test_block_borders_may_fall_anywhere(
    kind: str, read: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "READ", read)
    monkeypatch.setattr(streams, "BLOCK", block)
    packed = opened(tmp_path, PACKED[kind])
    assert lines_of(packed) == LINES
    assert packed.sha256 == hashlib.sha256(PACKED[kind]).hexdigest()


@pytest.mark.parametrize(
    "block",
    [
        streams.BLOCK,
        61,
    ],
)
def test_zeros_behind_gzip_are_padding(
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
def test_line_ends(
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
    """Return ``data`` with one bit of the byte at ``place`` turned round."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


HTML = b"<!DOCTYPE html>\n<html><title>Sign in</title></html>\n"
CUT = r"ends in the middle of its {} data: the download was cut"
BROKEN = {
    "empty": (b"", "is empty: the download did not start"),
    "html": (HTML, "is an HTML or XML page"),
    "html-indented": (b"\xef\xbb\xbf \r\n" + HTML, "is an HTML or XML page"),
    "html-gzip": (gz(HTML), "is an HTML or XML page"),
    "html-zip": (zipped({"login": HTML}), "is an HTML or XML page"),
    "array": (b'[{"id":"1"}]', "is one JSON array; JSON lines are wanted"),
    "array-indented": (b'\n[\n{"id":"1"}]', "is one JSON array; JSON lines are wanted"),
    "gzip-header-only": (gz(DATA)[:10], CUT.format("gzip")),
    "gzip-cut": (gz(DATA)[:300], CUT.format("gzip")),
    "gzip-cut-before-last-byte": (gz(DATA)[:-1], CUT.format("gzip")),
    "gzip-second-member-cut": (gz(DATA) + gz(DATA)[:30], CUT.format("gzip")),
    "gzip-nothing": (gz(b""), "holds no data"),
    "gzip-bad-data": (flipped(gz(DATA), 300), "is damaged near byte"),
    "gzip-bad-checksum": (flipped(gz(DATA), -5), "is damaged near byte"),
    "gzip-and-more": (gz(DATA) + b"more" * 10, "is damaged near byte"),
    "zstd-cut": (zst(DATA)[:300], CUT.format("zstd")),
    "zstd-cut-before-last-byte": (zst(DATA)[:-1], CUT.format("zstd")),
    "zstd-nothing": (zst(b""), "holds no data"),
    "zstd-bad-checksum": (flipped(zst(DATA), -1), "is damaged near byte"),
    "zip-cut": (ZIP[:300], "is a zip archive without its end .*: the download was cut"),
    "zip-cut-stored": (STORED[:300], "is a zip archive without its end"),
    "zip-cut-before-last-byte": (ZIP[:-1], "is a zip archive without its end"),
    "zip-bad-data": (flipped(STORED, 300), "does not match the checksum in its archive"),
    "zip-bad-checksum": (flipped(ZIP, DIRECTORY + 16), "does not match the checksum"),
    "zip-nothing": (zipped({"snapshot.json": b""}), "holds no data"),
    "zip-no-member": (zipped({}), r"is a zip archive of 0 files \(none\); one is wanted"),
    "zip-members": (
        zipped({"one.json": DATA, "two.csv": DATA}),
        r"is a zip archive of 2 files \(one.json, two.csv\); one is wanted",
    ),
    "zip-encrypted": (encrypted(ZIP), "is a zip archive that is encrypted or packed in a rare way"),
    "zip-bzip2": (zipped({"a": DATA}, zipfile.ZIP_BZIP2), ".* encrypted or packed in a rare way"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_snapshot_says_so(kind: str, tmp_path: Path) -> None:
    data, message = BROKEN[kind]
    with pytest.raises(InputError, match=f"^The snapshot .*/snapshot {message}"):
        lines_of(opened(tmp_path, data))


def test_missing_file_names_the_key_to_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere cannot be read: No such file.*'snapshot'"):
        Snapshot(tmp_path / "nowhere")


def test_folder_is_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        Snapshot(tmp_path)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "zip-deflated", "zip-stored", "zip-64"])
def test_cut_anywhere_is_noticed(kind: str, tmp_path: Path) -> None:
    whole = len(PACKED[kind])
    for length in [*range(4, whole, 7), whole - 1]:
        with pytest.raises(InputError, match="was cut"):
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
    assert refused > len(places) // 2  # the rest are times and names that do not matter


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
