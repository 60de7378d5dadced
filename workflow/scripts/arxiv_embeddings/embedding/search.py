"""Find the papers whose vectors are nearest to a text or to a paper: exact, on the CPU, over a mapped matrix."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ..checkpoint.identity import checkpoint_identity
from ..common.errors import InputError
from ..common.matrices import open_matrix
from ..config.encoder_settings import EncoderSettings
from ..corpus.papers import level_columns
from .texts import PAPERS_AT_ONCE, read_texts

ROWS_AT_ONCE = 16_384


def nearest_rows(
    matrix: np.ndarray, vector: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with the largest cosine to a vector, the nearest first, and their cosines.

    Every row is compared, block by block, so memory does not grow with the matrix.

    Args:
        matrix: float32 (n, d), usually memory-mapped, of any lengths.
        vector: float32 (d,).
        number: at most so many rows.

    Returns:
        rows: int64 (min(number, n),).
        cosines: float32, of the same shape.
    """
    cosines = np.empty(len(matrix), np.float32)
    vector = vector / np.linalg.norm(vector)
    for start in range(0, len(matrix), ROWS_AT_ONCE):
        block = np.asarray(matrix[start : start + ROWS_AT_ONCE])
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        cosines[start : start + len(block)] = (block @ vector) / lengths
    rows = np.argsort(-cosines, kind="stable")[:number]
    return rows, cosines[rows]


@dataclasses.dataclass(frozen=True)
class Hit:
    """A paper that was found.

    Attributes:
        id: of the paper.
        cosine: of its vector and that of the query, -1 to 1.
        category: the paper's label at the deepest level.
        topic: the text that was embedded.
    """

    id: str
    cosine: float
    category: str
    topic: str


class Search:
    """The embeddings of a model, to be searched.

    ``Search(Path("results/arxiv/minilm"))`` needs only the results. Searching for a text also needs the checkpoint,
    which is loaded once.
    """

    def __init__(self, results: Path, checkpoint: Path | None = None) -> None:
        """Open the results of a model.

        Args:
            results: folder with embeddings.npy, papers.parquet and manifest.json.
            checkpoint: folder of the fetched checkpoint, for ``text``.

        Raises:
            InputError: a file is missing or damaged, or the files do not belong together.
        """
        self._checkpoint = checkpoint
        self._manifest = _read_manifest(results / "manifest.json")
        self._matrix = open_matrix(results / "embeddings.npy")
        self._papers_path = results / "papers.parquet"
        names = pq.read_schema(self._papers_path).names
        level = level_columns(names)[-1]
        # Not the topics: those of a million papers need a gigabyte.
        self._papers = pq.read_table(self._papers_path, columns=["id", level])
        if len(self._papers) != len(self._matrix):
            raise InputError(
                f"{results}: embeddings.npy has {len(self._matrix):,} rows, but papers.parquet {len(self._papers):,}. "
                "Delete both and run snakemake again."
            )
        self._encode: Callable[[str], np.ndarray] | None = None

    def text(self, query: str, number: int = 10) -> list[Hit]:
        """Return the papers nearest to a text, the nearest first.

        The text is encoded as the papers were, but after the query prompt if the checkpoint declares one.

        Raises:
            InputError: the checkpoint is missing, is another one, or the text has no tokens.
        """
        if self._encode is None:
            self._encode = self._load()
        return self._hits(*nearest_rows(self._matrix, self._encode(query), number))

    def paper(self, name: str, number: int = 10) -> list[Hit]:
        """Return the papers nearest to the paper with this id, the nearest first, without itself.

        Raises:
            InputError: there is no such paper.
        """
        found = np.flatnonzero(self._papers["id"].to_numpy(zero_copy_only=False) == name)
        if not len(found):
            raise InputError(f"No embedded paper has the id {name!r}: it may not be in the sample.")
        rows, cosines = nearest_rows(self._matrix, self._matrix[found[0]], number + 1)
        others = rows != found[0]
        return self._hits(rows[others][:number], cosines[others][:number])

    def _hits(self, rows: np.ndarray, cosines: np.ndarray) -> list[Hit]:
        ascending = np.sort(rows)
        texts = read_texts(self._papers_path, ascending, PAPERS_AT_ONCE)
        topics = dict(zip(ascending, (topic for _, some in texts for topic in some), strict=True))
        ids, categories = (column.to_pylist() for column in self._papers.take(rows).columns)
        return [
            Hit(name, float(cosine), category, topics[row])
            for row, name, cosine, category in zip(rows, ids, cosines, categories, strict=True)
        ]

    def _load(self) -> Callable[[str], np.ndarray]:
        """Return the function from a text to its vector, float32 (d,)."""
        # These take seconds to import, and a search with a paper does not need them.
        import torch

        from ..checkpoint.declared import query_prompt
        from ..checkpoint.tokenizer import Tokenizer
        from .encoder import Encoder, resolve_for

        if self._checkpoint is None:
            raise InputError("Searching for a text needs the folder of the checkpoint.")
        wanted, found = self._manifest["checkpoint"], checkpoint_identity(self._checkpoint)
        if wanted["sha256"] != found["sha256"]:
            raise InputError(
                f"{self._checkpoint} is not the checkpoint that the papers were embedded with ({wanted['name']}). "
                "Run snakemake again."
            )
        asked = EncoderSettings.from_dict(self._manifest["request"]["model"]["encoder"])
        prompt = query_prompt(self._checkpoint)
        if prompt is not None:
            asked = dataclasses.replace(asked, prompt=prompt)
        device = torch.device("cpu")
        # Resolved again, because whether a prompt is pooled depends on the prompt.
        settings = resolve_for(dataclasses.replace(asked, dtype="auto"), self._checkpoint, device)
        tokenizer = Tokenizer(self._checkpoint, settings)
        encoder = Encoder(self._checkpoint, settings, device)
        return lambda text: np.asarray(encoder.encode(tokenizer.tokenize([text]))[0])


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        manifest["request"]["model"]["encoder"], manifest["checkpoint"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}). Run snakemake, which writes it last."
        ) from error
    return manifest
