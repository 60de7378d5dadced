"""The model of a checkpoint, from safe files alone, and what can be told of it by trial."""

from pathlib import Path

import torch
import transformers

from ..common.errors import InputError


def load_model(folder: Path, dtype: torch.dtype) -> transformers.PreTrainedModel:
    """Return the model in ``folder``, ready to be used, with its weights in ``dtype`` on the CPU.

    Weights that are in that dtype already are mapped from the file, not copied.

    Raises:
        InputError: it cannot be loaded by transformers alone, or its weights are not whole.
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
                f"The model in {folder} needs code of its own, and code in a checkpoint is never run. "
                "Choose a checkpoint that transformers can load by itself."
            ) from error
        raise InputError(f"The model in {folder} cannot be loaded: {error}") from error
    if model.config.is_encoder_decoder:
        raise InputError(
            f"The model in {folder} has an encoder and a decoder, which is not supported."
        )
    model.config.use_cache = False
    # The pooler is a head for BERT's first training task; none of the poolings here uses it.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InputError(
            f"The weights in {folder} lack {len(missing)} tensors of the model, {missing[0]} among them; "
            "random numbers would stand in their place. Fetch the checkpoint again."
        )
    return model.eval()


def is_causal(model: transformers.PreTrainedModel) -> bool:
    """Tell by trial whether tokens never see the ones behind them.

    Configurations do not say it reliably (some decoders are run without the causal mask), so two
    texts that differ in their last token are compared: in a causal model the hidden states before
    it are the same. The tokens are spread over the vocabulary, as checkpoints have runs of tokens that
    they were never trained to tell apart.
    """
    vocabulary = model.get_input_embeddings().num_embeddings
    spread = torch.linspace(0, vocabulary - 1, 16, device=model.device).long()
    rows = spread[:8].repeat(8, 1)
    rows[:, -1] = spread[8:]
    with torch.inference_mode():
        hidden = model(input_ids=rows).last_hidden_state[:, :-1].float()
    return torch.allclose(hidden, hidden[:1], rtol=1e-3, atol=1e-3)
