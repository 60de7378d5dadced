"""Loading the model of a checkpoint from safe files, and testing what it can do."""

import collections
import contextlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors
import torch
import transformers

from ..common.errors import InputError
from ..config.encoder_settings import EncoderSettings

# Encoders with a decoder whose encoder is used alone, as sentence-transformers does.
ENCODER_CLASSES = {
    "t5": transformers.T5EncoderModel,
    "mt5": transformers.MT5EncoderModel,
    "umt5": transformers.UMT5EncoderModel,
}

# Tensors that checkpoints may hold and the model does not use, by the start of their names.
UNUSED = re.compile(
    "|".join(
        (
            # heads for pre-training (BERT, ALBERT, ELECTRA, DeBERTa, MPNet, DistilBERT, ModernBERT, RoBERTa, XLNet, decoders)
            r"(\w+\.)?(cls|predictions|sop_classifier|(lm|mask)_predictions|lm_head|lm_loss|mlm|head|decoder)\.",
            r"(generator|discriminator)_(predictions|lm_head)\.",
            r"vocab_(transform|layer_norm|projector)\.",
            # heads for classification and for questions, from fine-tuning
            r"(classifier|score|qa_outputs|pre_classifier|logits_proj|seq_summary|sequence_summary)\.",
            # poolers, which no pooling here uses
            r"(\w+\.)?pooler\.",
            # buffers that older versions of transformers stored
            r".*(position_ids|token_type_ids|rotary_emb\.inv_freq|masked_bias)$",
        )
    )
)

# Tensors that the model has and a checkpoint may lack: the pooler is a head for a pre-training task of BERT.
NOT_NEEDED = ("pooler.",)

# Models in which a text's hidden states depend on the padding behind it, whatever the attention mask says.
PADDING_SENSITIVE = ("convbert", "fnet", "funnel", "mobilebert", "nystromformer", "yoso")

SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


def load_model(folder: Path, dtype: torch.dtype | None = None) -> transformers.PreTrainedModel:
    """Return the model in ``folder`` in evaluation mode, with its weights in ``dtype`` on the CPU.

    Weights that are stored in this dtype are memory-mapped, not read or copied. None stands for the dtype in
    which most of them are stored.

    Raises:
        InputError: transformers cannot load it without code of the checkpoint, its architecture is not
            supported, or its tensors are not those of the weights.
    """
    transformers.utils.logging.disable_progress_bar()
    config = _read_config(folder)
    verbosity = transformers.utils.logging.get_verbosity()
    # Its table of tensors that do not fit says less than the errors below.
    transformers.utils.logging.set_verbosity_error()
    try:
        model, report = _model_class(config).from_pretrained(
            folder,
            config=config,
            dtype=dtype or stored_dtype(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:
        raise _not_loaded(folder, error) from error
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
    _check_architecture(folder, model)
    model.config.use_cache = False
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(NOT_NEEDED))
    if missing:
        raise InputError(
            f"The weights in {folder} lack {_listed(missing)} of the model. "
            "Fetch the checkpoint again, or choose another one."
        )
    unused = sorted(name for name in report["unexpected_keys"] if not UNUSED.match(name))
    if unused:
        raise InputError(
            f"The weights in {folder} hold {_listed(unused)} that the model of transformers does not use, so its "
            "vectors would be others than those of the authors. Choose another checkpoint."
        )
    return model.eval()


def position_limit(folder: Path) -> int | None:
    """Return how many tokens the model in ``folder`` has positions for, or None if it has no limit.

    Reads only ``config.json``: the model is built without memory for its weights.

    Raises:
        InputError: as load_model.
    """
    config = _read_config(folder)
    try:
        with torch.device("meta"):
            if config.model_type in ENCODER_CLASSES:
                model = ENCODER_CLASSES[config.model_type](config)
            else:
                model = transformers.AutoModel.from_config(config)
    except Exception as error:
        raise _not_loaded(folder, error) from error
    return max_positions(model)


def max_positions(model: transformers.PreTrainedModel) -> int | None:
    """Return how many tokens ``model`` has positions for, or None if it has no limit.

    RoBERTa and its kind count positions from the padding id + 1 upward, so that they can use fewer than their
    table of positions has rows.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            if module.padding_idx is not None:
                return module.num_embeddings - module.padding_idx - 1
            return module.num_embeddings
    # XLNet says -1: any length.
    return limit if limit and limit > 0 else None


def check_sizes(model: transformers.PreTrainedModel, settings: EncoderSettings) -> None:
    """Fail if the resolved max_length is more than the model has positions for."""
    limit = max_positions(model)
    if limit is not None and int(settings.max_length) > limit:
        raise InputError(
            f"max_length is {settings.max_length}, but the checkpoint takes {limit} tokens at most. "
            "Lower max_length."
        )


def stored_dtype(folder: Path) -> torch.dtype:
    """Return the dtype in which most numbers of the weights in ``folder`` are stored; reads only the headers."""
    numbers: collections.Counter[torch.dtype] = collections.Counter()
    try:
        for file in sorted(folder.glob("*.safetensors")):
            with safetensors.safe_open(file, framework="pt") as weights:
                for name in weights.keys():  # noqa: SIM118 - it is not a dictionary
                    tensor = weights.get_slice(name)
                    dtype = SAFETENSORS_DTYPES.get(tensor.get_dtype())
                    if dtype is not None:
                        numbers[dtype] += int(torch.Size(tensor.get_shape()).numel())
    except (safetensors.SafetensorError, OSError) as error:
        raise _not_loaded(folder, error) from error
    return numbers.most_common(1)[0][0] if numbers else torch.float32


def try_out(model: transformers.PreTrainedModel) -> tuple[bool, int]:
    """Return whether attention is causal (no token attends to later tokens), and the size of a hidden state.

    Configurations do not say either reliably: some decoders run without the causal mask, and some models
    project their hidden states. So the function runs eight texts that differ only in their last token: in a
    causal model, the hidden states before it are the same. The tokens are spread over the vocabulary, because
    some checkpoints have ranges of tokens that were never trained and have nearly the same embeddings.
    """
    vocabulary = model.get_input_embeddings().num_embeddings
    spread = torch.linspace(0, vocabulary - 1, 16, device=model.device).long()
    rows = spread[:8].repeat(8, 1)
    rows[:, -1] = spread[8:]
    with torch.inference_mode():
        hidden = model(input_ids=rows).last_hidden_state[:, :-1].float()
    # Relative to the states: some models have small ones.
    size = hidden[:1].abs()
    same = (hidden - hidden[:1]).abs() <= 1e-3 * (size + size.mean())
    return bool(same.all()), hidden.shape[-1]


@contextlib.contextmanager
def in_float32(model: transformers.PreTrainedModel) -> Iterator[None]:
    """Let ``model`` compute in float32 inside this block, whatever the dtype of its weights.

    A module has float32 weights only while it computes, so the memory is that of the stored weights and one module.
    """
    stored: dict[torch.nn.Parameter, torch.Tensor] = {}

    def widen(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        for weight in module.parameters(recurse=False):
            stored[weight] = weight.data
            weight.data = weight.data.float()
        # Some models (T5) turn inputs to the dtype of weights that are still to be widened.
        return tuple(
            each.float() if isinstance(each, torch.Tensor) and each.is_floating_point() else each
            for each in inputs
        )

    def restore(module: torch.nn.Module, *_: object) -> None:
        for weight in module.parameters(recurse=False):
            weight.data = stored.pop(weight)

    hooks = []
    if any(weight.dtype != torch.float32 for weight in model.parameters()):
        for module in model.modules():
            hooks.append(module.register_forward_pre_hook(widen))
            hooks.append(module.register_forward_hook(restore, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _read_config(folder: Path) -> Any:
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # A damaged file can make transformers raise any exception.
    except Exception as error:
        raise _not_loaded(folder, error) from error
    if getattr(config, "quantization_config", None):
        raise InputError(
            f"The weights in {folder} are quantized (quantization_config), which is not supported. "
            "Choose a checkpoint with float32, bfloat16 or float16 weights."
        )
    return config


def _model_class(config: Any) -> Any:
    return ENCODER_CLASSES.get(config.model_type, transformers.AutoModel)


def _check_architecture(folder: Path, model: transformers.PreTrainedModel) -> None:
    """Refuse models that are not one encoder or one decoder of texts."""
    config = model.config
    if config.is_encoder_decoder and config.model_type not in ENCODER_CLASSES:
        raise InputError(
            f"The model in {folder} has an encoder and a decoder, which is not supported for "
            f"{config.model_type}. Choose a checkpoint with only one of them."
        )
    if config.model_type in PADDING_SENSITIVE:
        raise InputError(
            f"The vectors of the model in {folder} ({config.model_type}) would depend on the other texts of their batch. "
            "Choose another checkpoint."
        )
    if (
        config.get_text_config() is not config
        or "input_ids" not in inspect.signature(model.forward).parameters
    ):
        raise InputError(
            f"The model in {folder} ({config.model_type}) is not a model of texts alone, which is not supported. "
            "Choose a checkpoint of a text model."
        )


def _not_loaded(folder: Path, error: Exception) -> InputError:
    if "trust_remote_code" in str(error):
        return InputError(
            f"The model in {folder} needs code of its own, but code in a checkpoint is never run. "
            "Choose a checkpoint that transformers can load without it."
        )
    return InputError(
        f"The model in {folder} cannot be loaded ({error}). "
        "Fetch the checkpoint again, or choose another one."
    )


def _listed(names: list[str]) -> str:
    named = ", ".join(names[:3])
    return f"{len(names)} tensors ({named}{', …' * (len(names) > 3)})"
