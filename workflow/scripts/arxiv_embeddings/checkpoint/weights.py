"""Loading the model of a checkpoint from safe files, and testing whether its attention is causal."""

from pathlib import Path

import torch
import transformers

from ..common.errors import InputError


def load_model(folder: Path, dtype: torch.dtype) -> transformers.PreTrainedModel:
    """Return the model in ``folder`` in evaluation mode, with its weights in ``dtype`` on the CPU.

    Weights that are stored in this dtype are memory-mapped, not copied.

    Raises:
        InputError: transformers cannot load it without code of the checkpoint, it has a decoder besides
            its encoder, or weights are missing.
    """
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise InputError(
                f"The model in {folder} needs code of its own, but code in a checkpoint is never run. "
                "Choose a checkpoint that transformers can load without it."
            ) from error
        raise InputError(
            f"The model in {folder} cannot be loaded ({error}). "
            "Delete the folder and run snakemake again, or choose another checkpoint."
        ) from error
    if model.config.is_encoder_decoder:
        raise InputError(
            f"The model in {folder} has an encoder and a decoder, which is not supported. "
            "Choose a checkpoint with only one of them."
        )
    model.config.use_cache = False
    # The pooler is a head for a pre-training task of BERT, which no pooling here uses.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InputError(
            f"The weights in {folder} lack {len(missing)} tensors of the model, for example {missing[0]}. "
            "Delete the folder and run snakemake again."
        )
    return model.eval()


def is_causal(model: transformers.PreTrainedModel) -> bool:
    """Return whether attention is causal, that is, whether no token attends to later tokens.

    Configurations do not say this reliably, as some decoders run without the causal mask. So the function
    runs eight texts that differ only in their last token: in a causal model, the hidden states before it
    are the same. The tokens are spread over the vocabulary, because some checkpoints have ranges of
    tokens that were never trained and have nearly the same embeddings.
    """
    vocabulary = model.get_input_embeddings().num_embeddings
    spread = torch.linspace(0, vocabulary - 1, 16, device=model.device).long()
    rows = spread[:8].repeat(8, 1)
    rows[:, -1] = spread[8:]
    with torch.inference_mode():
        hidden = model(input_ids=rows).last_hidden_state[:, :-1].float()
    return torch.allclose(hidden, hidden[:1], rtol=1e-3, atol=1e-3)
