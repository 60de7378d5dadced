"""From the hidden states of a text's tokens to its vector."""

import torch


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
