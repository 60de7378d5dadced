"""The settings that a checkpoint declares in the configuration files of sentence-transformers."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from ..config.encoder_settings import POOLINGS, EncoderSettings
from .json_files import MANIFEST, read_json, read_transformer
from .tokenizer import load_tokenizer, lower_cases, missing_end_token
from .weights import position_limit

log = logging.getLogger(__name__)

# Names in the pooling module's config.json, and the names used here. sentence-transformers writes one key per
# pooling mode; since version 6 it writes the names of the modes under the key pooling_mode. The order is that in
# which sentence-transformers joins the vectors of several modes.
POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "last",
}
POOLING_NAMES = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weightedmean",
    "lasttoken": "last",
}

# What sentence_bert_config.json may declare without changing the vectors of texts here, with all allowed values
# (None: any value, which is read elsewhere or concerns only speed).
TRANSFORMER_KEYS: dict[str, list[Any] | None] = {
    "max_seq_length": None,
    "do_lower_case": None,
    "unpad_inputs": None,
    "transformer_task": ["feature-extraction"],
    "module_output_name": ["token_embeddings"],
}
# Checkpoints whose prompts are not pooled although they do not declare it, as in sentence-transformers.
INSTRUCTORS = ("hkunlp/instructor-base", "hkunlp/instructor-large", "hkunlp/instructor-xl")

TEXT_MODALITY = {"method": "forward", "method_output_name": "last_hidden_state"}


@dataclasses.dataclass(frozen=True)
class Module:
    """A module of ``modules.json``.

    Attributes:
        kind: the class name, for example Pooling.
        path: its folder in the checkpoint; empty for the checkpoint's root.
    """

    kind: str
    path: str


def read_modules(folder: Path) -> list[Module] | None:
    """Return the modules that the checkpoint in ``folder`` declares, or None if it has no ``modules.json``.

    Raises:
        InputError: the file is damaged, or names a module that is not part of sentence-transformers or leads
            outside the checkpoint.
    """
    path = folder / "modules.json"
    declared = read_json(path)
    if declared is None:
        return None
    try:
        entries = [(str(module["type"]), str(module["path"])) for module in declared]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error!r}). Fetch the checkpoint again.") from error
    modules = []
    for name, place in entries:
        package, _, kind = name.rpartition(".")
        if package.partition(".")[0] != "sentence_transformers":
            raise InputError(
                f"{path} names the module {name}, which is code of the checkpoint's own and is never run. "
                "Choose another checkpoint, or remove modules.json from a local copy to embed without the module."
            )
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise InputError(
                f"{path} names the folder {place!r} outside the checkpoint. Choose another checkpoint."
            )
        modules.append(Module(kind, place))
    return modules


def resolve(settings: EncoderSettings, folder: Path) -> EncoderSettings:
    """Return ``settings`` with ``auto`` replaced by what the checkpoint in ``folder`` declares.

    Modules are read from ``modules.json``, the pooling from the config of its module, the prompt from
    ``config_sentence_transformers.json``, lower-casing and the length from ``sentence_bert_config.json``.
    Explicit settings are kept. Dense modules, lower-casing, and an excluded prompt are always as declared.

    Raises:
        InputError: a setting is ``auto``, but the checkpoint does not declare it; the checkpoint declares
            something that is not supported here; or a file is damaged.
    """
    _check_code(folder, settings)
    check_adapter(folder)
    prompt = default_prompt(folder) if settings.prompt == "auto" else settings.prompt
    modules = read_modules(folder)
    _check_order(folder, modules or [])
    pooling, include_prompt = settings.pooling, True
    declared = _read_pooling(folder, modules)
    if declared is not None:
        include_prompt = declared.get("include_prompt") is not False or not prompt
    if pooling == "auto":
        pooling = _declared_pooling(folder, modules, declared)
    kinds = [module.kind for module in modules or []]
    normalize = settings.normalize
    if normalize == "auto":
        if modules is None:
            raise InputError(
                f"normalize is auto, but the checkpoint in {folder} does not declare it (no modules.json). "
                "Set normalize to true or false."
            )
        normalize = "Normalize" in kinds
    transformer = _read_transformer(folder)
    _check_dimensions(settings, folder)
    resolved = dataclasses.replace(
        settings,
        pooling=pooling,
        normalize=normalize,
        prompt=prompt,
        include_prompt=include_prompt,
        dense=tuple(module.path for module in modules or [] if module.kind == "Dense"),
    )
    resolved = _resolve_tokenizer(resolved, folder, transformer)
    return dataclasses.replace(resolved, max_length=_length(resolved, folder, transformer))


def default_prompt(folder: Path) -> str:
    """Return the default prompt of the checkpoint, which comes before every text; often an empty string.

    Raises:
        InputError: the checkpoint names a default prompt that it does not define.
    """
    declared = read_json(folder / "config_sentence_transformers.json") or {}
    name = declared.get("default_prompt_name")
    prompt = "" if name is None else (declared.get("prompts") or {}).get(name)
    if not isinstance(prompt, str):
        raise InputError(
            f"The checkpoint in {folder} names the default prompt {name!r} but does not define it. "
            'Set prompt to the text to put before every paper, or to "".'
        )
    return prompt


def query_prompt(folder: Path) -> str | None:
    """Return the prompt that the checkpoint declares for queries, which comes before a text to search for; or None."""
    declared = read_json(folder / "config_sentence_transformers.json") or {}
    prompt = (declared.get("prompts") or {}).get("query")
    return prompt if isinstance(prompt, str) else None


def declared_dtype(folder: Path) -> str | None:
    """Return the dtype that the checkpoint declares for its weights, for example ``"float16"``, or None."""
    config = read_json(folder / "config.json") or {}
    # Before version 4.56, transformers wrote torch_dtype.
    dtype = config.get("dtype", config.get("torch_dtype"))
    return None if dtype is None else str(dtype)


def check_adapter(folder: Path) -> None:
    """Refuse a checkpoint with an adapter, which would be ignored, or used only where peft is installed.

    Raises:
        InputError: ``folder`` contains ``adapter_config.json``.
    """
    if (folder / "adapter_config.json").is_file():
        base = (read_json(folder / "adapter_config.json") or {}).get("base_model_name_or_path")
        raise InputError(
            f"{folder} contains an adapter (adapter_config.json) for the base model {base}, which is not "
            "supported. Merge it once with peft (PeftModel.from_pretrained(base, adapter)"
            ".merge_and_unload().save_pretrained(folder)), save the tokenizer there too, and set name to that folder."
        )


def _check_code(folder: Path, settings: EncoderSettings) -> None:
    """Refuse code of the checkpoint's own, except where the settings ask for the class of transformers."""
    for name, prefixes in (
        ("config.json", ("AutoModel", "AutoConfig")),
        ("tokenizer_config.json", ("AutoTokenizer",)),
    ):
        declared = (read_json(folder / name) or {}).get("auto_map") or {}
        named = sorted(key for key in declared if key.startswith(prefixes))
        if named and settings.architecture != "stock":
            raise InputError(
                f"{folder / name} names code of the checkpoint's own for {', '.join(named)} (auto_map), but code "
                "in a checkpoint is never run, and the classes of transformers may give other vectors. "
                "Choose another checkpoint, or set architecture to stock if the authors say that the classes of "
                "transformers give the same vectors."
            )


def _check_order(folder: Path, modules: list[Module]) -> None:
    """Refuse modules other than Transformer, Pooling, Dense (any number) and Normalize, in this order."""
    kinds = [module.kind for module in modules]
    order = {"Transformer": 0, "Pooling": 1, "Dense": 2, "Normalize": 3}
    for kind in kinds:
        if kind not in order:
            raise InputError(
                f"The checkpoint in {folder} declares a {kind} module, which is not supported. "
                "Choose another checkpoint."
            )
    ranks = [order[kind] for kind in kinds]
    repeated = any(kinds.count(kind) > 1 for kind in ("Transformer", "Pooling"))
    if ranks != sorted(ranks) or repeated or (kinds and kinds[0] != "Transformer"):
        raise InputError(
            f"The checkpoint in {folder} declares the modules {', '.join(kinds)} in this order, which is not "
            "supported. Choose a checkpoint with Transformer, Pooling, Dense and Normalize, in this order."
        )


def _read_pooling(folder: Path, modules: list[Module] | None) -> dict[str, Any] | None:
    """Return the config of the Pooling module, or None if the checkpoint declares none."""
    for module in modules or []:
        if module.kind == "Pooling":
            declared: dict[str, Any] = read_json(folder / module.path / "config.json") or {}
            if (read_json(folder / MANIFEST) or {}).get("name") in INSTRUCTORS:
                declared["include_prompt"] = False
            return declared
    return None


def _declared_pooling(
    folder: Path, modules: list[Module] | None, declared: dict[str, Any] | None
) -> str:
    advice = "Set pooling to mean, last, cls, or another one of the documentation."
    if modules is None or declared is None:
        raise InputError(
            f"pooling is auto, but the checkpoint in {folder} does not declare it. {advice}"
        )
    modes: list[Any] = [name for key, name in POOLING_KEYS.items() if declared.get(key) is True]
    if "pooling_mode" in declared:
        mode = declared["pooling_mode"]
        named = mode if isinstance(mode, list) else [mode]
        modes = [POOLING_NAMES.get(str(name), str(name)) for name in named]
    if not modes or not set(modes) <= set(POOLINGS):
        raise InputError(
            f"The checkpoint in {folder} declares the pooling {', '.join(modes) or 'none'}, which is not "
            f"supported. {advice}"
        )
    return "+".join(modes)


def _read_transformer(folder: Path) -> dict[str, Any]:
    """Return what the checkpoint declares for its Transformer module; refuse what would change the vectors."""
    path, declared = read_transformer(folder)
    for key, value in declared.items():
        allowed = TRANSFORMER_KEYS.get(key, [])
        if key == "modality_config":
            known = isinstance(value, dict) and value.get("text") == TEXT_MODALITY
        elif isinstance(value, dict):
            # model_args and the like: trust_remote_code is ignored by sentence-transformers too.
            known = not {name: it for name, it in value.items() if name != "trust_remote_code"}
        else:
            known = value in (None, False) or allowed is None or value in allowed
        if not known:
            raise InputError(
                f"{path} declares {key}: {json.dumps(value)}, which is not supported. "
                "Choose another checkpoint."
            )
    return declared


def _check_dimensions(settings: EncoderSettings, folder: Path) -> None:
    declared = read_json(folder / "config_sentence_transformers.json") or {}
    if declared.get("truncate_dim") is not None and settings.dimensions is None:
        raise InputError(
            f"The checkpoint in {folder} declares truncate_dim {declared['truncate_dim']}. "
            "Set dimensions to this number, or to the number of components that you want."
        )


def _resolve_tokenizer(
    settings: EncoderSettings, folder: Path, transformer: dict[str, Any]
) -> EncoderSettings:
    """Return ``settings`` with the declared lower-casing and end token that the tokenizer does not do itself."""
    declared = read_json(folder / "tokenizer_config.json") or {}
    lower_case = bool(transformer.get("do_lower_case"))
    end_token = bool(declared.get("add_eos_token"))
    if not lower_case and not end_token:
        return settings  # so that the tokenizer need not be loaded
    tokenizer = load_tokenizer(folder)
    return dataclasses.replace(
        settings,
        lower_case=lower_case and not lower_cases(tokenizer),
        end_token=missing_end_token(tokenizer) if end_token else "",
    )


def _length(settings: EncoderSettings, folder: Path, transformer: dict[str, Any]) -> int:
    """Return max_length; for auto the declared length, at most as many tokens as the model has positions."""
    declared = transformer.get("max_seq_length")
    if isinstance(settings.max_length, int):
        if declared and settings.max_length > declared:
            log.info(
                "The checkpoint declares max_seq_length %d, but max_length %d is used.",
                declared,
                settings.max_length,
            )
        return settings.max_length
    if not declared:
        # transformers writes a huge number where a tokenizer has no limit.
        declared = (read_json(folder / "tokenizer_config.json") or {}).get("model_max_length")
        declared = int(declared) if declared and declared < 1e9 else None
    limits = [limit for limit in (declared, position_limit(folder)) if limit]
    if not limits:
        raise InputError(
            f"max_length is auto, but the checkpoint in {folder} does not declare a length. "
            "Set max_length to a number of tokens."
        )
    return int(min(limits))
