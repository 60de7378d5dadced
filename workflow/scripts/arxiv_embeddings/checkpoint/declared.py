"""The settings that a checkpoint declares in the configuration files of sentence-transformers."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings

log = logging.getLogger(__name__)

# Names in 1_Pooling/config.json, and the names used here. sentence-transformers writes one key per pooling
# mode; since version 6 it writes the name of the mode under the key pooling_mode.
POOLING_NAMES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_cls_token": "cls",
    "mean": "mean",
    "lasttoken": "last",
    "cls": "cls",
}


def resolve(settings: EncoderSettings, folder: Path) -> EncoderSettings:
    """Return ``settings`` with ``auto`` replaced by what the checkpoint in ``folder`` declares.

    Pooling and normalize are read from ``modules.json`` and ``1_Pooling/config.json``, the prompt from
    ``config_sentence_transformers.json``. Explicit settings are kept.

    Raises:
        InputError: a setting is ``auto``, but the checkpoint does not declare it or declares something
            that is not supported here; or a file is damaged.
    """
    prompt = default_prompt(folder) if settings.prompt == "auto" else settings.prompt
    modules = _read_json(folder / "modules.json")
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules or []]
    unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    pooling, normalize = settings.pooling, settings.normalize
    if unknown:
        if "auto" in (pooling, normalize):
            raise InputError(
                f"The checkpoint in {folder} declares a {unknown[0]} module, which is not supported. "
                "Set pooling and normalize to explicit values to embed without it."
            )
        log.warning(
            "The checkpoint's %s module is left out, because pooling and normalize are explicit.",
            unknown[0],
        )
    if pooling == "auto":
        pooling = _declared_pooling(folder, modules, kinds, prompt)
    if normalize == "auto":
        if modules is None:
            raise InputError(
                f"normalize is auto, but the checkpoint in {folder} does not declare it (no modules.json). "
                "Set normalize to true or false."
            )
        normalize = "Normalize" in kinds
    _check_transformer(settings, folder)
    return dataclasses.replace(settings, pooling=pooling, normalize=normalize, prompt=prompt)


def default_prompt(folder: Path) -> str:
    """Return the default prompt of the checkpoint, which comes before every text; often an empty string.

    Raises:
        InputError: the checkpoint names a default prompt that it does not define.
    """
    declared = _read_json(folder / "config_sentence_transformers.json") or {}
    name = declared.get("default_prompt_name")
    prompt = "" if name is None else (declared.get("prompts") or {}).get(name)
    if not isinstance(prompt, str):
        raise InputError(
            f"The checkpoint in {folder} names the default prompt {name!r} but does not define it. "
            'Set prompt to the text to put before every paper, or to "".'
        )
    return prompt


def declared_dtype(folder: Path) -> str | None:
    """Return the dtype that the checkpoint declares for its weights, for example ``"float16"``, or None."""
    config = _read_json(folder / "config.json") or {}
    # Before version 4.56, transformers wrote torch_dtype.
    dtype = config.get("dtype", config.get("torch_dtype"))
    return None if dtype is None else str(dtype)


def _check_transformer(settings: EncoderSettings, folder: Path) -> None:
    """Refuse declared lower-casing, which is not supported; log if max_length exceeds the declared length."""
    declared = _read_json(folder / "sentence_bert_config.json") or {}
    if settings.pooling == "auto" and declared.get("do_lower_case"):
        raise InputError(
            f"The checkpoint in {folder} declares do_lower_case, which is not supported. "
            "Set pooling to an explicit value to embed the texts as they are."
        )
    length = declared.get("max_seq_length")
    if length and settings.max_length > length:
        log.info(
            "The checkpoint declares max_seq_length %d, but max_length %d is used.",
            length,
            settings.max_length,
        )


def _declared_pooling(
    folder: Path, modules: list[dict[str, Any]] | None, kinds: list[str], prompt: str
) -> str:
    if modules is None or "Pooling" not in kinds:
        raise InputError(
            f"pooling is auto, but the checkpoint in {folder} does not declare it. "
            "Set pooling to mean, last or cls."
        )
    path = folder / modules[kinds.index("Pooling")]["path"] / "config.json"
    declared = _read_json(path) or {}
    modes = [
        name for name, on in declared.items() if name.startswith("pooling_mode_") and on is True
    ]
    if "pooling_mode" in declared:
        modes = [str(declared["pooling_mode"])]
    if len(modes) != 1 or modes[0] not in POOLING_NAMES:
        raise InputError(
            f"{path} declares the pooling {', '.join(modes) or 'none'}, which is not supported. "
            "Set pooling to mean, last or cls."
        )
    if prompt and declared.get("include_prompt") is False:
        raise InputError(
            f"{path} excludes the prompt's tokens from pooling (include_prompt), which is not supported. "
            'Set pooling to an explicit value to include them, or set prompt to "".'
        )
    return POOLING_NAMES[modes[0]]


def _read_json(path: Path) -> Any:
    """Return the content of a JSON file, or None if there is no such file."""
    try:
        return json.loads(path.read_text()) if path.is_file() else None
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}). Fetch the checkpoint again.") from error
