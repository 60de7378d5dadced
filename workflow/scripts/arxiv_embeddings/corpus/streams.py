"""Reading a plain or packed file as a stream of lines."""

import collections
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import zstandard
from isal import isal_zlib

from ..common.errors import InputError
from ..common.progress import Progress

# Bytes read at a time: large enough that hashing in a thread is faster than without one.
READ = 1 << 20
# Bytes unpacked at a time: small enough to stay in the processor's cache.
BLOCK = 1 << 17
# Bytes; a record of arXiv's snapshot has a few thousand.
LONGEST_LINE = 1 << 24
UTF8_BOM = b"\xef\xbb\xbf"
UNPACKING_ERRORS = (isal_zlib.error, zlib.error, zstandard.ZstdError)
# A zstd file may begin with a skippable frame, as pzstd writes it (RFC 8878, section 3.1.2).
ZSTD_SKIPPABLE = {bytes([0x50 + i]) + b"\x2a\x4d\x18": "zstd" for i in range(16)}
FORMATS = ZSTD_SKIPPABLE | {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PAR1": "parquet",
}
AGAIN = "Download or copy it again."
UNPACK = "Unpack it and set 'snapshot' in the config to the unpacked file."


class Decompressor(Protocol):
    """What the decompression objects of isal and zstandard have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the packed stream was reached."""

    @property
    def unused_data(self) -> bytes:
        """The bytes given after the end of the stream."""

    def decompress(self, data: bytes, /) -> bytes:
        """Return the unpacked bytes of ``data``, the next bytes of the packed stream."""


class PackedFile:
    """A file, plain or packed with gzip, zstd or zip, that is read once from start to end.

    The packing is detected from the first bytes, not from the name.

    Attributes:
        path: where it is.
        size: bytes of the file on the disk.
        format: its packing: plain, gzip, zstd, zip or parquet (which is not read as lines).
        bytes_read: bytes of the file on the disk that were read so far.
        cut_line: whether the last line read has no newline at its end.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Detect the packing of ``path``; errors call the file a ``kind``, for example "snapshot".

        Raises:
            InputError: the file cannot be read or is empty.
        """
        self.path = path
        self.bytes_read = 0
        self.cut_line = False
        self._kind = kind
        self._sha256 = hashlib.sha256()
        try:
            self.size = path.stat().st_size
            with path.open("rb") as file:
                head = file.read(4)
        except OSError as error:
            raise self._error(
                f"cannot be read: {error.strerror}",
                "Set 'snapshot' in the config to the path of the corpus.",
            ) from error
        if self.size == 0:
            raise self._error("is empty")
        self.format = next(
            (name for magic, name in FORMATS.items() if head.startswith(magic)), "plain"
        )

    @property
    def sha256(self) -> str:
        """The hexadecimal SHA-256 of the bytes read so far; of the whole file after reading."""
        return self._sha256.hexdigest()

    def description(self) -> dict[str, Any]:
        """Return name, bytes read, sha256 and packing (``format``) for a report."""
        return {
            "name": self.path.name,
            "bytes": self.bytes_read,
            "sha256": self.sha256,
            "format": self.format,
        }

    def text_lines(self, progress: Progress) -> Iterator[str]:
        """Yield the lines as text, without their newlines; ``progress`` counts the bytes read.

        A byte that is not valid UTF-8 becomes a lone surrogate, so that the caller can count the line as bad.

        Raises:
            InputError: the file is truncated, damaged, changed while it was read, or an archive of several
                files.
        """
        counted = 0
        for block in self.line_blocks(json_lines=False):
            for line in block.removesuffix(b"\n").split(b"\n"):
                yield line.decode(errors="surrogateescape")
            progress.advance(self.bytes_read - counted)
            counted = self.bytes_read

    def line_blocks(self, json_lines: bool = True) -> Iterator[bytes]:
        """Yield blocks of whole lines with their newlines. If the last line has none, it is a block alone.

        Args:
            json_lines: whether the lines are JSON records; then a file that starts otherwise is refused.

        Raises:
            InputError: the file is truncated, damaged, changed while it was read, not JSON lines, or an
                archive of several files.
        """
        rest = b""
        first = True
        for block in self._unpacked():
            if first and block:
                block = block.removeprefix(UTF8_BOM)
                if json_lines:
                    self._check_start(block)
                first = False
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
                rest = block[end:]
            else:
                rest += block
            if len(rest) > LONGEST_LINE:
                raise self._error(
                    f"has a line longer than {LONGEST_LINE:,} bytes, so it is not a file with one record "
                    "per line",
                    "Set 'snapshot' in the config to such a file.",
                )
        if first:
            raise self._error("contains no data")
        if rest:
            self.cut_line = True
            yield rest

    def _check_start(self, block: bytes) -> None:
        """Raise an error that says what the file is, if the first block does not start like JSON lines."""
        start = block.lstrip()[:1]
        if start == b"<":
            raise self._error(
                "is an HTML or XML page, perhaps a login page",
                "Sign in and download the file again.",
            )
        if start == b"[":
            raise self._error(
                "is one JSON array", "Convert it to JSON lines, with one record per line."
            )

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
            raise self._error("is a Parquet file", "Set corpus.format to table in the config.")
        return self._file_blocks()

    def _file_blocks(self) -> Iterator[bytes]:
        """Yield the bytes of the file; count them, and hash them in a thread, as hashing releases the GIL."""
        with self.path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as pool:
            hashing: collections.deque[Future[None]] = collections.deque()
            while data := file.read(READ):
                hashing.append(pool.submit(self._sha256.update, data))
                # Hashing may be one block behind: its thread waits for the interpreter while records are parsed.
                if len(hashing) > 2:
                    hashing.popleft().result()
                for start in range(0, len(data), BLOCK):
                    block = data[start : start + BLOCK]
                    self.bytes_read += len(block)
                    yield block

    def _decompressed(
        self, blocks: Iterator[bytes], new: Callable[[], Decompressor], members: int | None = None
    ) -> Iterator[bytes]:
        """Yield the unpacked bytes of ``members`` consecutive packed streams; None means all of them."""
        stream = new()
        # Whether the current stream has received a byte.
        used = False
        finished = 0
        for block in blocks:
            if members is None and finished and not used:
                # Zero bytes may follow as padding, for example on tapes.
                block = block.lstrip(b"\0")
            while block:
                # In a zip file, bytes after the member belong to the archive.
                if finished == members:
                    break
                try:
                    data = stream.decompress(block)
                # The stubs of isal declare its error class as an instance.
                except UNPACKING_ERRORS as error:  # type: ignore[misc]
                    raise self._error(
                        f"is damaged near byte {self.bytes_read:,} ({error})"
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
            raise self._error(f"ends in the middle of its {self.format} data")

    def _zip_member(self) -> Iterator[bytes]:
        """Yield the unpacked bytes of the only file in a zip archive; check its CRC at the end."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
        except zipfile.BadZipFile as error:
            raise self._error(f"is a zip archive without its end ({error})") from error
        # A damaged directory can make zipfile raise any exception.
        except Exception as error:
            raise self._error(f"is a damaged zip archive ({error})") from error
        if len(members) != 1:
            names = ", ".join(member.filename for member in members[:5]) or "none"
            raise self._error(
                f"is a zip archive of {len(members)} files ({names}), not of one", UNPACK
            )
        member = members[0]
        if member.flag_bits & 1 or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise self._error(
                "is a zip archive that is encrypted or uses a rare compression method", UNPACK
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
            raise self._error("does not match the checksum in its zip archive")

    def _packed_member(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the packed bytes of ``member``; read, count and hash the whole archive on the way."""
        if member.header_offset < 0:
            raise self._error("is a damaged zip archive (a member starts before the archive)")
        with self.path.open("rb") as file:
            file.seek(member.header_offset + 26)
            # Two lengths of the local header: of the name and of the extra field (APPNOTE, 4.3.7).
            lengths = file.read(4)
        begin = member.header_offset + 30
        begin += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        end = begin + member.compress_size
        for block in self._file_blocks():
            offset = self.bytes_read - len(block)
            piece = block[max(begin - offset, 0) : max(end - offset, 0)]
            if piece:
                yield piece

    def _error(self, problem: str, instruction: str = AGAIN) -> InputError:
        return InputError(f"The {self._kind} {self.path} {problem}. {instruction}")
