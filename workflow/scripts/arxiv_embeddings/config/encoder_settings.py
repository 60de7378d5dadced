"""Encoder settings: everything that changes the vectors, and nothing that changes only the run time."""

import dataclasses
import json
from typing import Any, Self

# Increase this number with every code change that changes vectors: all shards are then recomputed.
ENGINE_VERSION = 2

POOLINGS = ("mean", "last", "cls", "max", "mean_sqrt_len", "weightedmean")

# Fields that older manifests do not have.
LATER_FIELDS = ("architecture", "include_prompt", "lower_case", "end_token", "dense")
# Fields that no config has: what the checkpoint declares.
RESOLVED_FIELDS = ("include_prompt", "lower_case", "end_token", "dense")


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """How texts are turned into vectors.

    In a config, ``pooling``, ``max_length``, ``normalize``, ``prompt`` and ``dtype`` may be ``"auto"``. Resolved
    settings, those for a given checkpoint and device, never contain ``"auto"``.

    Attributes:
        pooling: auto, or one of POOLINGS, or several joined with ``+``, whose vectors are concatenated.
        max_length: number of tokens of prompt and text together, special tokens included, or auto.
        normalize: whether vectors are scaled to length 1, or auto.
        dtype: bfloat16, float16, float32, or auto: the type of the matrix products.
        prompt: text before every paper's text, or auto: the checkpoint's default prompt, if any.
        dimensions: number of leading components to keep (Matryoshka); None keeps all.
        engine: version of the code that computes vectors.
        architecture: stock if the class of transformers replaces code that the checkpoint names as its own;
            declared otherwise.
        include_prompt: whether the prompt's tokens are pooled. Like all that follow, resolved from the checkpoint.
        lower_case: whether texts are lower-cased before the tokenizer's own normalization.
        end_token: token appended to every text; empty if the tokenizer adds all tokens that are declared.
        dense: folders of the Dense modules that follow the pooling, in their order.
    """

    pooling: str = "auto"
    max_length: int | str = 512
    normalize: bool | str = "auto"
    dtype: str = "auto"
    prompt: str = "auto"
    dimensions: int | None = None
    engine: int = ENGINE_VERSION
    architecture: str = "declared"
    include_prompt: bool = True
    lower_case: bool = False
    end_token: str = ""
    dense: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse settings that ``to_json`` wrote.

        Raises:
            TypeError: a name is unknown.
        """
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Return the settings that ``to_dict`` gave.

        Raises:
            TypeError: a name is unknown.
        """
        settings = cls(**content)
        return dataclasses.replace(settings, dense=tuple(settings.dense))

    def to_json(self) -> str:
        """Return the settings as one line of JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a dictionary of plain values.

        The later fields are left out while they have their defaults, so that manifests written before they
        existed still fit.
        """
        content = dataclasses.asdict(self) | {"dense": list(self.dense)}
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        unchanged = [name for name in LATER_FIELDS if getattr(self, name) == defaults[name]]
        return {name: value for name, value in content.items() if name not in unchanged}
