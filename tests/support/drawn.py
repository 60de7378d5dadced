"""Drawn papers for the tests of embedding, and the encoder settings they are embedded with."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from arxiv_embeddings.config.encoder_settings import EncoderSettings

SETTINGS = EncoderSettings(pooling="auto", max_length=64, normalize=False, dtype="float32")
PAPERS = 40


def draw(path: Path, texts: list[str], rows_per_group: int = 7) -> Path:
    """Write drawn papers, with row groups that no shard and no chunk begins with."""
    columns = {
        "id": [paper_id(row) for row in range(len(texts))],
        "topic": texts,
        "categories": ["cs.CL math.AG"] * len(texts),
        "category 0": ["cs" if row % 2 else "physics" for row in range(len(texts))],
        "category 1": ["cs.CL" if row % 2 else "physics.optics" for row in range(len(texts))],
    }
    pq.write_table(pa.table(columns), path, row_group_size=rows_per_group)
    return path


def paper_id(row: int) -> str:
    """Return the id of a drawn paper."""
    return f"0704.{row:04d}"
