"""Pool the hidden states of a text's tokens into its vector."""

import torch
from torch.nn.functional import embedding_bag


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


def pool_row(
    hidden: torch.Tensor,
    positions: torch.Tensor,
    bounds: torch.Tensor,
    pooling: str,
    skipped: int = 0,
) -> torch.Tensor:
    """Return what ``pool`` returns, (texts, d), for texts that stand one behind the other in one row.

    Nothing is added in an order that changes from run to run (no atomic additions). Rows of empty texts have no meaning.

    Args:
        hidden: hidden states (tokens, d).
        positions: (tokens,) of each token in its text, from 0.
        bounds: (texts + 1,): text i has the tokens from bounds[i] to bounds[i + 1].
        pooling: see pool.
        skipped: see pool.
    """
    names = pooling.split("+")
    return torch.cat([_pool_row(hidden, positions, bounds, name, skipped) for name in names], dim=1)


def _pool_row(
    hidden: torch.Tensor, positions: torch.Tensor, bounds: torch.Tensor, pooling: str, skipped: int
) -> torch.Tensor:
    if pooling == "cls":
        # An empty text at the end of the row has no first token.
        return hidden[(bounds[:-1] + skipped).clamp(max=len(hidden) - 1)].float()
    if pooling == "last":
        return hidden[bounds[1:] - 1].float()
    hidden = hidden.float()
    # A bag for each text, of all its tokens.
    tokens = torch.arange(len(hidden), dtype=bounds.dtype, device=hidden.device)
    left_out = positions < skipped
    if pooling == "max":
        own = hidden.masked_fill(left_out[:, None], -torch.inf)
        return embedding_bag(tokens, own, bounds, mode="max", include_last_offset=True)
    weights = (
        (positions + 1).float() if pooling == "weightedmean" else torch.ones_like(hidden[:, 0])
    )
    weights = weights.masked_fill(left_out, 0)
    sums = embedding_bag(
        tokens, hidden, bounds, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
    lengths = bounds.diff()
    counts = lengths - skipped
    if pooling == "weightedmean":
        counts = (lengths * (lengths + 1) - skipped * (skipped + 1)) / 2
    return sums / (counts.sqrt() if pooling == "mean_sqrt_len" else counts)[:, None]


def finish(vectors: torch.Tensor, dimensions: int | None, normalize: bool) -> torch.Tensor:
    """Return ``vectors`` (rows, d) cut to ``dimensions`` components, then scaled to length 1 if ``normalize``."""
    vectors = vectors[:, :dimensions]
    return torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors
