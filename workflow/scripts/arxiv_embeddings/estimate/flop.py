"""How much arithmetic a model does for a text: the base of estimates and of shares of the hardware's rate."""

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from ..common.errors import InputError


@dataclasses.dataclass(frozen=True)
class Work:
    """The matrix products of one forward pass; all else is small beside them.

    A text of L tokens costs 2 L sum(out * in) FLOP in its linear layers. Attention computes two products,
    queries by keys and weights by values, which cost 4 * heads * head size FLOP for each layer and each
    pair of tokens; of the L * L pairs a causal model needs half. See Hoffmann et al. 2022
    (arXiv:2203.15556), appendix F, forward pass, without embeddings and softmax.

    Attributes:
        matrices: shapes (out, in) of the linear layers, and how often each occurs.
        flop_per_pair: FLOP of attention for a pair of tokens, over all layers.
        hidden_size: components of a token's hidden state.
    """

    matrices: dict[tuple[int, int], int]
    flop_per_pair: float
    hidden_size: int

    @property
    def flop_per_token(self) -> float:
        """FLOP of the linear layers for one token."""
        return 2.0 * sum(rows * columns * count for (rows, columns), count in self.matrices.items())

    def flop(self, lengths: Sequence[int] | np.ndarray) -> float:
        """Return the FLOP for texts of these numbers of tokens, without padding."""
        tokens = np.asarray(lengths, dtype=np.float64)
        return float(self.flop_per_token * tokens.sum() + self.flop_per_pair * (tokens**2).sum())


def count_work(folder: Path) -> Work:
    """Return the work of the checkpoint in ``folder``, from its config alone: no weights are read.

    Sliding windows are not taken off, so attention in models that have them is counted too high.

    Raises:
        InputError: transformers cannot build the model, or its config lacks the shape of attention.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        with torch.device("meta"):
            model = transformers.AutoModel.from_config(config, trust_remote_code=False)
        heads = config.num_attention_heads
        head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
        layers, hidden_size = config.num_hidden_layers, config.hidden_size
    except Exception as error:  # transformers raises whatever the config makes it stumble over
        raise InputError(f"The work of the model in {folder} cannot be counted: {error}") from error
    matrices = collections.Counter(
        (module.out_features, module.in_features)
        for name, module in model.named_modules()
        # The pooler sees one token of a text.
        if isinstance(module, torch.nn.Linear) and not name.startswith("pooler")
    )
    causal = any(getattr(module, "is_causal", False) for module in model.modules())
    flop_per_pair = 4.0 * heads * head_size * layers * (0.5 if causal else 1.0)
    return Work(dict(matrices), flop_per_pair, hidden_size)
