"""Reading a plain or packed file as a stream of lines."""

import hashlib
import io
import shlex
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, Protocol

import zstandard
from isal import isal_zlib

from ..common.errors import InputError
from ..common.progress import Progress
from ..config.derived import PACKINGS

# Bytes read at a time. They are hashed in a thread while they are unpacked and parsed. That takes about 12 ms for
# this size, in which the thread waits up to 5 ms for the interpreter, hashes for 5 ms, and may have to wait again.
READ = 1 << 23
# Bytes unpacked at a time: small enough to stay in the processor's cache.
BLOCK = 1 << 17
# Bytes; a record of arXiv's snapshot has a few thousand.
LONGEST_LINE = 1 << 24
UTF8_BOM = b"\xef\xbb\xbf"
UNPACKING_ERRORS = (isal_zlib.error, zlib.error, zstandard.ZstdError)
# What else a file may be, plain or within its packing, by its first bytes; and the command that converts it.
# {unpacked} is a command that prints the content of the {file}.
UTF_16 = ("text in UTF-16", "{unpacked} | iconv -f UTF-16 -t UTF-8 > converted")
UNSUITABLE = {
    b"BZh": ("bzip2 data", "{unpacked} | bzip2 -dc > converted"),
    b"\xfd7zXZ\0": ("xz data", "{unpacked} | xz -dc > converted"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "7z x {file}"),
    b"\xff\xfe": UTF_16,
    b"\xfe\xff": UTF_16,
    b"{\0": ("text in UTF-16", "{unpacked} | iconv -f UTF-16LE -t UTF-8 > converted"),
    b"\0{": ("text in UTF-16", "{unpacked} | iconv -f UTF-16BE -t UTF-8 > converted"),
    b"\xd0\xcf\x11\xe0": (
        "an Excel file of the old kind (.xls), or an encrypted one",
        "soffice --headless --convert-to csv {file}",
    ),
    **{magic: (f"{name} data", "{unpacked} > converted") for magic, name in PACKINGS.items()},
}
# A tar archive has this at byte 257 (POSIX.1-1988, ustar).
TAR_MAGIC, TAR_AT = b"ustar", 257
AGAIN = "Download or copy it again."
# Commands that print the unpacked content of a file, by its packing.
PRINT = {"plain": "cat", "gzip": "gzip -dc", "zstd": "zstd -dc", "zip": "unzip -p"}
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe (FIFO), for example from <(...)"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
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
            InputError: the file cannot be read, is empty, or is not a regular file.
        """
        self.path = path
        self.bytes_read = 0
        self.cut_line = False
        self._kind = kind
        self._sha256 = hashlib.sha256()
        try:
            self._state = path.stat()
            # Opening a pipe would wait for its writer.
            if not stat.S_ISREG(self._state.st_mode):
                name = next(name for test, name in KINDS if test(self._state.st_mode))
                raise self._error(
                    f"is {name}, not a file",
                    "Set 'snapshot' in the config to the file of the corpus.",
                )
            with path.open("rb") as file:
                head = file.read(4)
        except OSError as error:
            raise self._error(
                f"cannot be read: {error.strerror}",
                "Set 'snapshot' in the config to the path of the corpus.",
            ) from error
        self.size = self._state.st_size
        if self.size == 0:
            raise self._error("is empty")
        self.format = next(
            (name for magic, name in PACKINGS.items() if head.startswith(magic)), "plain"
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

    def check_unchanged(self) -> None:
        """Check that the file is still the one that was opened. Call it after reading.

        Raises:
            InputError: size, modification time or inode changed.
        """
        try:
            now = self.path.stat()
        except OSError as error:
            raise self._changed() from error
        names = "st_ino", "st_size", "st_mtime_ns"
        if any(getattr(now, name) != getattr(self._state, name) for name in names):
            raise self._changed()

    def _changed(self) -> InputError:
        return self._error(
            "changed while it was read",
            "Wait until its download or copy is complete, then run the command again.",
        )

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
        for block in self._unpacked_whole():
            if first and block:
                block = block.removeprefix(UTF8_BOM)
                self._check_start(block, json_lines)
                first = False
            end = block.rfind(b"\n") + 1
            if end:
                # One copy less than with rest + block[:end].
                yield b"".join((rest, memoryview(block)[:end]))
                rest = block[end:]
            else:
                rest += block
            if len(rest) > LONGEST_LINE:
                raise self._error(
                    f"has a line longer than {LONGEST_LINE:,} bytes, so it is not a file with one record "
                    "per line",
                    f"If it is JSON, convert it: {self._unpacked_by()} | jq -c . > converted"
                    if json_lines
                    else "Set 'snapshot' in the config to such a file.",
                )
        if first:
            raise self._error("contains no data")
        if rest:
            self.cut_line = True
            yield rest

    def _check_start(self, block: bytes, json_lines: bool) -> None:
        """Raise an error that says what the file is, if its first block is not text, or not JSON lines."""
        for magic, (name, command) in UNSUITABLE.items():
            if block.startswith(magic):
                self._refuse(name, command)
        if block.startswith(TAR_MAGIC, TAR_AT):
            self._refuse("a tar archive", "{unpacked} | tar -xf -")
        if not json_lines:
            return
        start = block.lstrip()[:1]
        if start == b"<":
            raise self._error(
                "is an HTML or XML page, perhaps a login page",
                "Sign in and download the file again.",
            )
        if start == b"[":
            self._refuse("one JSON array", "{unpacked} | jq -c '.[]' > converted")
        first_line, newline, _ = block.lstrip().partition(b"\n")
        if newline and first_line.rstrip() == b"{":
            self._refuse("JSON with records of several lines", "{unpacked} | jq -c . > converted")

    def _refuse(self, name: str, command: str) -> NoReturn:
        """Raise an error that calls the file by its true name, with the command that converts it."""
        packed = "" if self.format == "plain" else f", packed as {self.format}"
        command = command.format(file=shlex.quote(str(self.path)), unpacked=self._unpacked_by())
        raise self._error(
            f"is {name}{packed}",
            f"Convert it, and set 'snapshot' in the config to the result: {command}",
        )

    def _unpacked_by(self) -> str:
        """Return a shell command that prints the unpacked content of the file."""
        return f"{PRINT[self.format]} {shlex.quote(str(self.path))}"

    def _unpacked_whole(self) -> Iterator[bytes]:
        """Yield the unpacked bytes of a file that does not change meanwhile, whatever else is wrong with it."""
        try:
            yield from self._unpacked()
        except InputError:
            self.check_unchanged()
            raise
        self.check_unchanged()
        if self.bytes_read != self.size:
            raise self._changed()

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
            hashed = None
            while data := self._read(file):
                if hashed is not None:
                    hashed.result()
                hashed = pool.submit(self._sha256.update, data)
                for start in range(0, len(data), BLOCK):
                    block = data[start : start + BLOCK]
                    self.bytes_read += len(block)
                    yield block

    def _read(self, file: io.FileIO) -> bytes:
        try:
            return file.read(READ)
        except OSError as error:
            raise self._error(
                f"cannot be read at byte {self.bytes_read:,}: {error.strerror}",
                "Check its disk, or copy it again from its source.",
            ) from error

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
