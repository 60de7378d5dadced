"""What a checkpoint declares about its use, in the files that sentence-transformers writes beside it."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings

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


def resolve(settings: EncoderSettings, folder: Path) -> EncoderSettings:
    """Return ``settings`` with pooling, normalize and prompt as the checkpoint in ``folder`` declares them.

    Only what is ``auto`` is looked up: pooling and normalize in ``modules.json`` and
    ``1_Pooling/config.json``, the prompt in ``config_sentence_transformers.json``.

    Raises:
        InputError: ``auto`` is asked of a checkpoint that declares no pooling, or something that is
            not built here, or a file of it is damaged.
    """
    prompt = default_prompt(folder) if settings.prompt == "auto" else settings.prompt
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
        pooling = _declared_pooling(folder, modules, kinds, prompt)
    if normalize == "auto":
        if modules is None:
            raise InputError(
                f"normalize is auto, but the checkpoint in {folder} has no modules.json that declares it. "
                "Set normalize to true or false."
            )
        normalize = "Normalize" in kinds
    _check_transformer(settings, folder)
    return dataclasses.replace(settings, pooling=pooling, normalize=normalize, prompt=prompt)


def default_prompt(folder: Path) -> str:
    """Return the prompt that the checkpoint puts before every text unless told otherwise; mostly none.

    Raises:
        InputError: the checkpoint names a default prompt that it does not have.
    """
    declared = _read(folder / "config_sentence_transformers.json") or {}
    name = declared.get("default_prompt_name")
    prompt = "" if name is None else (declared.get("prompts") or {}).get(name)
    if not isinstance(prompt, str):
        raise InputError(
            f"The checkpoint in {folder} names a default prompt {name!r} and has no such prompt. "
            'Set prompt to the text wanted before every paper, or to "".'
        )
    return prompt


def declared_dtype(folder: Path) -> str | None:
    """Return the dtype that the weights are declared to be made for, for example ``"float16"``."""
    config = _read(folder / "config.json") or {}
    dtype = config.get("dtype", config.get("torch_dtype"))  # the second until transformers 4.56
    return None if dtype is None else str(dtype)


def _check_transformer(settings: EncoderSettings, folder: Path) -> None:
    """Tell of a shorter declared length; refuse lower-casing, which is not built here."""
    declared = _read(folder / "sentence_bert_config.json") or {}
    if settings.pooling == "auto" and declared.get("do_lower_case"):
        raise InputError(
            f"The checkpoint in {folder} declares do_lower_case, which is not supported. "
            "Set pooling to an explicit value to embed the texts as they are."
        )
    length = declared.get("max_seq_length")
    if length and settings.max_length > length:
        log.info(
            "The checkpoint declares max_seq_length %d; max_length %d takes in more of a text.",
            length,
            settings.max_length,
        )


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
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}). Fetch the checkpoint again.") from error
