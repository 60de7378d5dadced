"""The manifest of a piece of the vector store: what the piece holds and how it was computed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..common.files import write_json

# The required fields of a manifest and their types.
KINDS: dict[str, type] = {
    "shard": str,
    "papers": int,
    "dimensions": int,
    "texts_sha256": str,
    "vectors_sha256": str,
    "checkpoint": dict,
    "encoder": dict,
    "attention": str,
    "tokens": int,
    "seconds": float,
    "device": dict,
    "versions": dict,
}


@dataclasses.dataclass(frozen=True)
class PieceManifest:
    """What a piece of the vector store holds and how it was computed.

    Attributes:
        shard: the shard whose job embedded it.
        papers: number of rows.
        dimensions: number of components of a vector.
        texts_sha256: sha256 of the array in the file of rows: the sha256 and the token count of each text.
        vectors_sha256: sha256 of the vectors (float32, little endian), without the header of the file.
        checkpoint: name, revision and sha256, as ``checkpoint.identity.checkpoint_identity`` returns them.
        encoder: the encoder settings as resolved.
        attention: how attention ignores padding.
        tokens: number of tokens of all texts, as the model got them.
        seconds: duration of embedding, without the start of the job; 0 if unknown.
        device: as ``devices.describe`` returns it, with the number of devices.
        versions: versions of Python and the packages.
    """

    shard: str
    papers: int
    dimensions: int
    texts_sha256: str
    vectors_sha256: str
    checkpoint: dict[str, Any]
    encoder: dict[str, Any]
    attention: str
    tokens: int
    seconds: float
    device: dict[str, Any]
    versions: dict[str, str]

    @property
    def papers_per_second(self) -> float:
        """Papers embedded per second; 0 if the time is unknown."""
        return self.papers / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens embedded per second; 0 if the time is unknown."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON values, with rounded rates for readers."""
        return {
            **dataclasses.asdict(self),
            "papers_per_second": round(self.papers_per_second, 1),
            "tokens_per_second": round(self.tokens_per_second, 1),
        }

    def write(self, path: Path) -> None:
        """Write the manifest atomically."""
        write_json(path, self.to_dict())

    @classmethod
    def read(cls, path: Path) -> "PieceManifest":
        """Return the manifest in ``path``.

        Raises:
            InputError: it cannot be read, or a value is missing or has another type.
        """
        try:
            content = json.loads(path.read_text())
            values = {name: content[name] for name in KINDS}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not the manifest of a piece of vectors ({type(error).__name__}: {error}). "
                "Delete it; the next run computes the missing vectors."
            ) from error
        values["seconds"] = _as_float(values["seconds"])
        if wrong := [name for name, kind in KINDS.items() if not _is(values[name], kind)]:
            raise InputError(
                f"{path} is not the manifest of a piece of vectors. These fields are invalid: {', '.join(wrong)}. "
                "Delete it; the next run computes the missing vectors."
            )
        return cls(**values)


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is(value: Any, kind: type) -> bool:
    """Return whether ``value`` has this type and, if it is a number, is not negative."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return not isinstance(value, int | float) or value >= 0
