"""Encoder settings: everything that changes the vectors, and nothing that changes only the run time."""

import dataclasses
import json
from typing import Any, Self

# Increase this number with every code change that changes vectors: all shards are then recomputed.
ENGINE_VERSION = 2


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """How texts are turned into vectors.

    In a config, ``pooling``, ``normalize``, ``prompt`` and ``dtype`` may be ``"auto"``. Resolved settings,
    those for a given checkpoint and device, never contain ``"auto"``.

    Attributes:
        pooling: mean, last, cls, or auto.
        max_length: number of tokens of prompt and text together, special tokens included.
        normalize: whether vectors are scaled to length 1, or auto.
        dtype: bfloat16, float16, float32, or auto: the type of the matrix products.
        prompt: text before every paper's text, or auto: the checkpoint's default prompt, if any.
        dimensions: number of leading components to keep (Matryoshka); None keeps all.
        engine: version of the code that computes vectors.
    """

    pooling: str = "auto"
    max_length: int = 512
    normalize: bool | str = "auto"
    dtype: str = "auto"
    prompt: str = "auto"
    dimensions: int | None = None
    engine: int = ENGINE_VERSION

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse settings that ``to_json`` wrote.

        Raises:
            TypeError: a name is unknown.
        """
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Return the settings as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dictionary of plain values."""
        return dataclasses.asdict(self)
