"""From the hidden states of a text's tokens to its vector, and what checkpoints declare about it."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import torch

from .errors import InputError
from .settings import EncoderSettings

log = logging.getLogger(__name__)

# What sentence-transformers writes into 1_Pooling/config.json, and the name used here: one key for each
# way of pooling, or since its version 6 the way's name under the key pooling_mode.
DECLARED_POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_cls_token": "cls",
    "mean": "mean",
    "lasttoken": "last",
    "cls": "cls",
}


def pool(hidden: torch.Tensor, lengths: torch.Tensor, pooling: str) -> torch.Tensor:
    """Return one float32 vector (rows, d) for each row of ``hidden`` (rows, tokens, d).

    Rows are padded on the right; ``lengths`` (rows,) counts the tokens of each text, the special ones
    of its tokenizer included and the padding not.
    """
    if pooling == "cls":
        return hidden[:, 0].float()
    if pooling == "last":
        rows = torch.arange(len(hidden), device=hidden.device)
        return hidden[rows, lengths - 1].float()
    padding = torch.arange(hidden.shape[1], device=hidden.device) >= lengths[:, None]
    return hidden.float().masked_fill(padding[:, :, None], 0).sum(dim=1) / lengths[:, None]


def finish(vectors: torch.Tensor, dimensions: int | None, normalize: bool) -> torch.Tensor:
    """Return ``vectors`` (rows, d) cut to ``dimensions`` components, then scaled to length 1 if asked."""
    vectors = vectors[:, :dimensions]
    return torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors


def resolve(settings: EncoderSettings, folder: Path) -> EncoderSettings:
    """Return ``settings`` with pooling and normalize as the checkpoint in ``folder`` declares them.

    Only what is ``auto`` is looked up, in ``modules.json`` and ``1_Pooling/config.json`` as
    sentence-transformers writes them.

    Raises:
        InputError: ``auto`` is asked of a checkpoint that declares nothing, or something that is
            not built here.
    """
    modules = _read(folder / "modules.json")
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules or []]
    unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    pooling, normalize = settings.pooling, settings.normalize
    if unknown:
        if "auto" in (pooling, normalize):
            raise InputError(
                f"The checkpoint in {folder} declares a {unknown[0]} module, which is not supported. "
                "Set pooling and normalize to explicit values to embed without it."
            )
        log.warning("The checkpoint's %s module is left out, as pooling is explicit.", unknown[0])
    if pooling == "auto":
        pooling = _declared_pooling(folder, modules, kinds, settings.prompt)
    if normalize == "auto":
        if modules is None:
            raise InputError(
                f"normalize is auto, but the checkpoint in {folder} has no modules.json that declares it. "
                "Set normalize to true or false."
            )
        normalize = "Normalize" in kinds
    return dataclasses.replace(settings, pooling=pooling, normalize=normalize)


def _declared_pooling(
    folder: Path, modules: list[dict[str, Any]] | None, kinds: list[str], prompt: str
) -> str:
    if modules is None or "Pooling" not in kinds:
        raise InputError(
            f"pooling is auto, but the checkpoint in {folder} declares none. Set pooling to mean, last or cls."
        )
    path = folder / modules[kinds.index("Pooling")]["path"] / "config.json"
    declared = _read(path) or {}
    modes = [
        name for name, on in declared.items() if name.startswith("pooling_mode_") and on is True
    ]
    if "pooling_mode" in declared:
        modes = [str(declared["pooling_mode"])]
    if len(modes) != 1 or modes[0] not in DECLARED_POOLING:
        raise InputError(
            f"{path} declares {', '.join(modes) or 'no pooling'}, which is not supported. "
            "Set pooling to mean, last or cls."
        )
    if prompt and declared.get("include_prompt") is False:
        raise InputError(
            f"{path} leaves the prompt's tokens out of the mean (include_prompt), which is not supported. "
            "Set pooling to mean to take them in, or leave out the prompt."
        )
    return DECLARED_POOLING[modes[0]]


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else None
