"""Pool the hidden states of a text's tokens into its vector."""

import torch


def pool(
    hidden: torch.Tensor, lengths: torch.Tensor, pooling: str, skipped: int = 0
) -> torch.Tensor:
    """Return one float32 vector (rows, d) for each row of ``hidden`` (rows, tokens, d).

    The formulas are those of the Pooling module of sentence-transformers.

    Args:
        hidden: hidden states; rows are padded on the right.
        lengths: (rows,) number of tokens of each text, with special tokens and without padding.
        pooling: one of POOLINGS, or several joined with ``+``, whose vectors are concatenated.
        skipped: number of tokens to leave out at the start of every row: those of a prompt that is not pooled.
    """
    return torch.cat([_pool(hidden, lengths, name, skipped) for name in pooling.split("+")], dim=1)


def _pool(hidden: torch.Tensor, lengths: torch.Tensor, pooling: str, skipped: int) -> torch.Tensor:
    if pooling == "cls":
        return hidden[:, skipped].float()
    if pooling == "last":
        rows = torch.arange(len(hidden), device=hidden.device)
        return hidden[rows, lengths - 1].float()
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    left_out = ((positions >= lengths[:, None]) | (positions < skipped))[:, :, None]
    if pooling == "max":
        return hidden.float().masked_fill(left_out, -torch.inf).amax(dim=1)
    own = hidden.float().masked_fill(left_out, 0)
    if pooling == "weightedmean":
        # The weight of a token is its position, counted from 1.
        weights = (positions + 1).float()[None, :, None].masked_fill(left_out, 0)
        return (own * weights).sum(dim=1) / weights.sum(dim=1)
    counts = (lengths - skipped)[:, None]
    return own.sum(dim=1) / (counts.sqrt() if pooling == "mean_sqrt_len" else counts)


def finish(vectors: torch.Tensor, dimensions: int | None, normalize: bool) -> torch.Tensor:
    """Return ``vectors`` (rows, d) cut to ``dimensions`` components, then scaled to length 1 if ``normalize``."""
    vectors = vectors[:, :dimensions]
    return torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors
