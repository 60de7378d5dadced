"""Writing files so that a final name always means a complete file, and hashing their content."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# Seconds without a write after which a partial file counts as abandoned.
ABANDONED_AFTER = 24 * 3600
# Errors that only writing has.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` when the block succeeds.

    The block creates a file or a folder there. The content is synced to the disk before the rename, so a
    crash leaves the old file or none, never a part of the new one. If the block fails, what it wrote is
    removed.
    """
    with scratch_beside(path) as partial:
        yield partial
        for file in partial.rglob("*") if partial.is_dir() else [partial]:
            if file.is_file():
                _sync(file)
        partial.replace(path)


@contextlib.contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield a path in the folder of ``path`` that no other process uses; remove what is there afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Writers that were killed leave their partial files behind.
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        with contextlib.suppress(FileNotFoundError):
            writer = partial.name.removeprefix(f".{path.name}.").removesuffix(".partial")
            if _has_ended(writer) or time.time() - partial.stat().st_mtime > ABANDONED_AFTER:
                _remove(partial)
    # Two jobs may write the same file at once, for example after a restart while old jobs still run. So
    # the name contains the host and the process.
    scratch = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.partial")
    _remove(scratch)
    try:
        yield scratch
    except OSError as error:
        # Libraries do not name the file that they could not write.
        if error.filename is None and error.errno in NO_SPACE:
            error.filename = str(path)
        raise
    finally:
        _remove(scratch)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give the name of ``path`` to an ``OSError`` within the block that names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _has_ended(writer: str) -> bool:
    """Return whether ``writer`` (host-process) is a process of this host that does not run."""
    host, _, process = writer.rpartition("-")
    if host != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until the content of the file ``path`` has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON; ``path`` appears only when it is complete."""
    with written_beside(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_sha256(sums: Iterable[tuple[str, str]]) -> str:
    """Return one SHA-256 for several files, given name and SHA-256 of each.

    It is the checksum of what ``sha256sum`` prints: ``sha256sum a b | sha256sum``.
    """
    printed = "".join(f"{sha256}  {name}\n" for name, sha256 in sums)
    return hashlib.sha256(printed.encode()).hexdigest()


def json_sha256(content: Any) -> str:
    """Return the hexadecimal SHA-256 of ``content`` as canonical JSON (sorted keys, no spaces)."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class TextsHash:
    """SHA-256 over a sequence of strings.

    The hashed bytes are, for every string, the length of its UTF-8 bytes (8 bytes, little endian) and
    then these bytes. So different sequences never have the same hashed bytes.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, texts: Iterable[str]) -> None:
        """Append ``texts`` to the sequence."""
        for text in texts:
            data = text.encode()
            self._hash.update(len(data).to_bytes(8, "little"))
            self._hash.update(data)

    def hexdigest(self) -> str:
        """Return the hexadecimal SHA-256 of the sequence so far."""
        return self._hash.hexdigest()
