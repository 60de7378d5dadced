"""Reading a Web of Science set such as WOS-46985: texts and their labels in files of one line each."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.progress import Progress
from ..config.derived import WOS_FILES, snapshot_files
from .filtering import Paper, Tally
from .streams import Snapshot


class WosReader:
    """Reads the wanted papers of a folder with ``X.txt``, ``YL1.txt`` and ``YL2.txt``.

    Line i of ``X.txt`` is the abstract of paper i, and the paper's id is i, from 1. Line i of
    ``YL1.txt`` numbers its field, and that of ``YL2.txt`` its sub-field within the field: every field begins
    at 0 again. So category 0 is ``5``, and category 1, like the ``categories``, ``5.12``.
    The published files are UTF-8, two of them with Windows line ends and without a last one.
    """

    def __init__(self, path: Path, prefixes: Sequence[str]) -> None:
        missing = [name for name in WOS_FILES if not (path / name).is_file()]
        if missing:
            raise InputError(
                f"The snapshot {path} has no {' and no '.join(missing)}. "
                f"Format wos wants a folder with {', '.join(WOS_FILES)}."
            )
        self.path = path
        self.tally = Tally(prefixes)
        self._files = [Snapshot(file) for file in snapshot_files(path, "wos")]

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the order of the lines.

        Raises:
            InputError: a file is damaged, or the files differ in their numbers of lines.
        """
        tally = self.tally
        with Progress(sum(file.size for file in self._files), "bytes") as progress:
            files = [file.text_lines(progress) for file in self._files]
            for number, lines in enumerate(itertools.zip_longest(*files), start=1):
                if None in lines:
                    raise self._uneven(number, lines, files)
                text, field, subfield = lines[0], lines[1].strip(), lines[2].strip()
                cells = {"text": text, "category_0": field, "category_1": subfield}
                category = f"{field}.{subfield}"
                tally.read += 1
                if tally.complete(number, cells) and tally.wants(category):
                    yield str(number), text.removesuffix("\r"), category, field, category

    def source(self) -> dict[str, Any]:
        """Return what was read, once it is: name of the folder, bytes of the three files, sha256.

        The sum is that of the three sums: what ``sha256sum X.txt YL1.txt YL2.txt | sha256sum`` prints.
        """
        sums = "".join(f"{file.sha256}  {file.path.name}\n" for file in self._files)
        return {
            "name": self.path.name,
            "bytes": sum(file.bytes_read for file in self._files),
            "sha256": hashlib.sha256(sums.encode()).hexdigest(),
            "format": "folder",
        }

    def _uneven(
        self, number: int, lines: Sequence[str | None], files: list[Iterator[str]]
    ) -> InputError:
        """Return the error that line ``number`` is there in some files only, with their lengths."""
        told = [
            f"{name} {number - (line is None) + sum(1 for _ in rest):,}"
            for name, line, rest in zip(WOS_FILES, lines, files, strict=True)
        ]
        return InputError(
            f"The files of {self.path} differ in their numbers of lines ({', '.join(told)}), but line i of "
            "each is of paper i. Download the set again."
        )
