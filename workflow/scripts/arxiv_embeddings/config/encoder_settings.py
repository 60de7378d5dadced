"""Encoder settings: all that changes the vectors, and nothing that changes only the time."""

import dataclasses
import json
from typing import Any, Self

# Raise this by hand with every change of code that changes vectors: all shards are then made anew.
ENGINE_VERSION = 2


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """How texts become vectors.

    As a config asks for them, ``pooling``, ``normalize``, ``prompt`` and ``dtype`` may be ``"auto"``;
    resolved against a checkpoint and a device, they never are.
    """

    pooling: str = "auto"  # mean, last, cls, or auto
    max_length: int = 512  # tokens of prompt and text together, special tokens included
    normalize: bool | str = "auto"  # whether vectors are scaled to length 1, or auto
    dtype: str = "auto"  # bfloat16, float16, float32, or auto: of the matrix products
    prompt: str = "auto"  # put before every text, or auto: the checkpoint's default prompt, if any
    dimensions: int | None = None  # leading components kept (Matryoshka); None keeps all
    engine: int = ENGINE_VERSION

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read settings as ``to_json`` writes them. Unknown names raise TypeError."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Return the settings as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dictionary of plain values."""
        return dataclasses.asdict(self)
