"""Reading a Web of Science set such as WOS-46985: texts and labels in separate files, one paper per line."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import sums_sha256
from ..common.progress import Progress
from ..config.derived import WOS_FILES, snapshot_files
from .filtering import Paper, Tally, schema_of
from .streams import PackedFile


class WosReader:
    """Reads the wanted papers of a folder with ``X.txt``, ``YL1.txt`` and ``YL2.txt``.

    Line i of ``X.txt`` is the abstract of paper i, whose id is i, from 1. Line i of ``YL1.txt`` is the
    number of its field, and line i of ``YL2.txt`` the number of its sub-field within the field, starting
    from 0 in each field. So category 0 is, for example, ``5``, and category 1 and the ``categories`` are
    ``5.12``. The published files are UTF-8; the two label files have Windows line ends except after the
    last line.
    """

    schema = schema_of(levels=2)

    def __init__(self, path: Path, prefixes: Sequence[str]) -> None:
        missing = [name for name in WOS_FILES if not (path / name).is_file()]
        if missing:
            raise InputError(
                f"The snapshot {path} has no {' and no '.join(missing)}. "
                f"Set 'snapshot' in the config to a folder with {', '.join(WOS_FILES)}."
            )
        self.name = str(path)
        self._folder = path
        self.tally = Tally(prefixes)
        self._files = [PackedFile(file, "file") for file in snapshot_files(path, "wos")]

    def papers(self) -> Iterator[Paper]:
        """Yield the wanted papers in the order of the lines.

        Raises:
            InputError: a file is damaged, or the files have different numbers of lines.
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
                if tally.is_complete(number, cells) and tally.wants(category):
                    yield str(number), text.removesuffix("\r"), category, field, category

    def source(self) -> dict[str, Any]:
        """Return name of the folder, bytes of the three files, and sha256. Call it after reading.

        The checksum is that of the three checksums, as ``sha256sum X.txt YL1.txt YL2.txt | sha256sum``
        prints it.
        """
        return {
            "name": self._folder.name,
            "bytes": sum(file.bytes_read for file in self._files),
            "sha256": sums_sha256((file.path.name, file.sha256) for file in self._files),
            "format": "folder",
        }

    def _uneven(
        self, number: int, lines: Sequence[str | None], files: list[Iterator[str]]
    ) -> InputError:
        """Return an error with the numbers of lines, for files of which only some have line ``number``."""
        lengths = [
            f"{name} {number - (line is None) + sum(1 for _ in rest):,}"
            for name, line, rest in zip(WOS_FILES, lines, files, strict=True)
        ]
        return InputError(
            f"The files of {self.name} have different numbers of lines ({', '.join(lengths)}), but line i "
            "of each must describe paper i. Download or copy them again."
        )
