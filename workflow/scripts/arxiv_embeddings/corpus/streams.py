"""Reading the snapshot as a stream of lines, whatever it is packed in."""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import zstandard
from isal import isal_zlib

from ..common.errors import InputError
from ..common.progress import Progress

READ = 1 << 20  # bytes read at a time: enough that hashing them in a thread pays
BLOCK = 1 << 17  # bytes handed on at a time: few enough to stay in the processor's cache
LONGEST_LINE = 1 << 24  # bytes; a record of the snapshot has some thousand
UTF8_BOM = b"\xef\xbb\xbf"
DAMAGED = (isal_zlib.error, zlib.error, zstandard.ZstdError)
# A zstd file may begin with a frame to be skipped, as pzstd writes it (RFC 8878, 3.1.2).
ZSTD_SKIPPABLE = {bytes([0x50 + i]) + b"\x2a\x4d\x18": "zstd" for i in range(16)}
FORMATS = ZSTD_SKIPPABLE | {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PAR1": "parquet",
}


class Decompressor(Protocol):
    """What the decompressing objects of zlib, isal and zstandard have in common."""

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its end."""

    @property
    def unused_data(self) -> bytes:
        """What was given behind the end."""

    def decompress(self, data: bytes, /) -> bytes:
        """Return what ``data``, the next bytes of the stream, unpacks to."""


class Snapshot:
    """A metadata file that is read once, front to back.

    While it is read, ``bytes_read`` counts the file's own bytes and ``sha256`` covers them, so both
    describe the file as it lies on the disk. The packing is told by the first bytes, not by the name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        self.cut_line = False  # whether the last line had no newline behind it
        self._sha256 = hashlib.sha256()
        try:
            self.size = path.stat().st_size
            with path.open("rb") as file:
                head = file.read(4)
        except OSError as error:
            raise InputError(
                f"The snapshot {path} cannot be read: {error.strerror}. "
                "Set 'snapshot' in the config to the downloaded metadata file."
            ) from error
        if self.size == 0:
            raise self._error("is empty: the download did not start. Download it again")
        self.format = next(
            (name for magic, name in FORMATS.items() if head.startswith(magic)), "plain"
        )

    @property
    def sha256(self) -> str:
        """The hexadecimal SHA-256 of the bytes read so far: the file's, once it is read."""
        return self._sha256.hexdigest()

    def description(self) -> dict[str, Any]:
        """Return what was read, for a report: name, bytes, sha256 and packing."""
        return {
            "name": self.path.name,
            "bytes": self.bytes_read,
            "sha256": self.sha256,
            "format": self.format,
        }

    def text_lines(self, progress: Progress) -> Iterator[str]:
        """Yield the lines of a text file without their newlines; ``progress`` counts bytes.

        A byte that is no UTF-8 becomes a lone surrogate, so that whoever reads can tell the line.

        Raises:
            InputError: the file is cut, damaged, or an archive of several files.
        """
        counted = 0
        for lines in self.line_blocks(json=False):
            for line in lines:
                yield line.decode(errors="surrogateescape")
            progress.advance(self.bytes_read - counted)
            counted = self.bytes_read

    def line_blocks(self, json: bool = True) -> Iterator[list[bytes]]:
        """Yield the lines in runs, each line without its newline; a missing last newline is no matter.

        Args:
            json: whether JSON lines are wanted: what starts like something else is then refused.

        Raises:
            InputError: the file is cut, damaged, no JSON lines, or an archive of several files.
        """
        rest = b""
        first = True
        for block in self._unpacked():
            if first and block:
                block = block.removeprefix(UTF8_BOM)
                if json:
                    self._check_start(block)
                first = False
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if len(rest) > LONGEST_LINE:
                raise self._error(
                    f"has a line of more than {LONGEST_LINE:,} bytes, so it is no file of records, one a line"
                )
            if lines:
                yield lines
        if first:
            raise self._error("holds no data. Download it again")
        if rest:
            self.cut_line = True
            yield [rest]

    def _check_start(self, block: bytes) -> None:
        """Fail if the first block is not that of JSON lines, and say what the file is instead."""
        start = block.lstrip()[:1]
        if start == b"<":
            raise self._error(
                "is an HTML or XML page, perhaps a login page that was saved in the snapshot's place. "
                "Sign in and download the file again"
            )
        if start == b"[":
            raise self._error("is one JSON array; JSON lines are wanted, one record a line")

    def _unpacked(self) -> Iterator[bytes]:
        if self.format == "gzip":
            return self._decompressed(
                self._file_blocks(), lambda: isal_zlib.decompressobj(wbits=31)
            )
        if self.format == "zstd":
            return self._decompressed(
                self._file_blocks(), lambda: zstandard.ZstdDecompressor().decompressobj()
            )
        if self.format == "zip":
            return self._zip_member()
        if self.format == "parquet":
            raise self._error("is a Parquet file; 'corpus.format: table' in the config reads it")
        return self._file_blocks()

    def _file_blocks(self) -> Iterator[bytes]:
        """Yield the file's bytes, counted and hashed (in a thread: hashing lets go of the GIL)."""
        with self.path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as pool:
            hashed = None
            while data := file.read(READ):
                if hashed is not None:
                    hashed.result()
                hashed = pool.submit(self._sha256.update, data)
                for start in range(0, len(data), BLOCK):
                    block = data[start : start + BLOCK]
                    self.bytes_read += len(block)
                    yield block

    def _decompressed(
        self, blocks: Iterator[bytes], new: Callable[[], Decompressor], members: int | None = None
    ) -> Iterator[bytes]:
        """Yield the unpacked bytes of ``members`` streams one behind the other (None: to the end)."""
        stream = new()
        used = False  # whether the current stream has been given a byte
        finished = 0
        for block in blocks:
            if members is None and finished and not used:
                block = block.lstrip(b"\0")  # padding, as tapes have it
            while block:
                if finished == members:
                    break  # what lies behind the member of a zip file is its directory
                try:
                    data = stream.decompress(block)
                except DAMAGED as error:  # type: ignore[misc]  # isal's stubs call the class an instance
                    raise self._error(
                        f"is damaged near byte {self.bytes_read:,} ({error}). Download it again"
                    ) from error
                used = True
                if data:
                    yield data
                if not stream.eof:
                    break
                block = stream.unused_data.lstrip(b"\0") if members is None else stream.unused_data
                stream, used = new(), False
                finished += 1
        if used or finished < (members or 1):
            raise self._error(
                f"ends in the middle of its {self.format} data: the download was cut. Download it again"
            )

    def _zip_member(self) -> Iterator[bytes]:
        """Yield the bytes of the only file in a zip archive, checked against its CRC."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
        except zipfile.BadZipFile as error:
            raise self._error(
                f"is a zip archive without its end ({error}): the download was cut. Download it again"
            ) from error
        # zipfile raises whatever a damaged directory makes it stumble over.
        except Exception as error:
            raise self._error(f"is a damaged zip archive ({error}). Download it again") from error
        if len(members) != 1:
            names = ", ".join(member.filename for member in members[:5]) or "none"
            raise self._error(
                f"is a zip archive of {len(members)} files ({names}); one is wanted. "
                "Unpack it and set 'snapshot' to the metadata file"
            )
        member = members[0]
        if member.flag_bits & 1 or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise self._error(
                "is a zip archive that is encrypted or packed in a rare way. Unpack it first"
            )
        packed = self._packed_member(member)
        if member.compress_type == zipfile.ZIP_DEFLATED:
            unpacked = self._decompressed(
                packed, lambda: isal_zlib.decompressobj(wbits=-15), members=1
            )
        else:
            unpacked = packed
        crc = 0
        for block in unpacked:
            crc = isal_zlib.crc32(block, crc)
            yield block
        if crc != member.CRC:
            raise self._error("does not match the checksum in its archive. Download it again")

    def _packed_member(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the packed bytes of ``member`` while the whole archive is read, counted and hashed."""
        if member.header_offset < 0:
            raise self._error(
                "is a damaged zip archive (a file before its start). Download it again"
            )
        with self.path.open("rb") as file:
            file.seek(member.header_offset + 26)
            lengths = file.read(4)  # of the local header's name and extra field (APPNOTE 4.3.7)
        begin = member.header_offset + 30
        begin += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        end = begin + member.compress_size
        for block in self._file_blocks():
            offset = self.bytes_read - len(block)
            piece = block[max(begin - offset, 0) : max(end - offset, 0)]
            if piece:
                yield piece

    def _error(self, what: str) -> InputError:
        return InputError(f"The snapshot {self.path} {what}.")
