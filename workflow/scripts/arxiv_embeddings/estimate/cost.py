"""Estimate the cost of a run before it starts: tokens, device-hours, disk, and a suitable size of shards."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..checkpoint import tokenizer
from ..common.progress import scaled
from ..config.encoder_settings import EncoderSettings
from .flop import ForwardPass
from .rates import Rate

# Assumed of the start of a job: Python, imports, GPU and weights, before the first batch.
START_SECONDS = 30
# A shard of the suggested size: little is lost when its job is killed, and its start takes 2.5 % of its time.
SHARD_SECONDS = 20 * 60


@dataclasses.dataclass(frozen=True)
class TextLengths:
    """Numbers of tokens of some papers of the sample.

    Attributes:
        tokens: int32 (papers,), with prompt and special tokens, before truncation.
        max_length: tokens to which the model's input is truncated.
    """

    tokens: np.ndarray
    max_length: int

    @property
    def kept(self) -> np.ndarray:
        """Tokens per paper that the model sees, int32 (papers,)."""
        kept: np.ndarray = np.minimum(self.tokens, self.max_length)
        return kept

    @property
    def mean(self) -> float:
        """Mean of ``kept``."""
        return float(self.kept.mean())

    @property
    def error(self) -> float:
        """Half the width of the 95 % confidence interval of ``mean`` (1.96 standard errors)."""
        count = len(self.tokens)
        return 1.96 * float(self.kept.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf

    @property
    def cut(self) -> float:
        """Share of the papers that are longer than ``max_length``."""
        return float((self.tokens > self.max_length).mean())

    @property
    def tokens_cut(self) -> float:
        """Share of all tokens that truncation removes."""
        return 1 - float(self.kept.sum() / self.tokens.sum())


@dataclasses.dataclass(frozen=True)
class Cost:
    """The time that a run takes on one kind of device.

    Attributes:
        device_hours: of all shards with the starts of their jobs, times the devices per job.
        shard_minutes: of a full shard of the config's size, with the start of its job.
        start_share: share of ``shard_minutes`` that the start takes.
        shard_size: papers of a shard that takes ``SHARD_SECONDS``; the whole sample if it takes less.
    """

    device_hours: float
    shard_minutes: float
    start_share: float
    shard_size: int


def text_lengths(folder: Path, texts: Sequence[str], settings: EncoderSettings) -> TextLengths:
    """Return the lengths of ``texts`` in tokens, each with the prompt before it.

    Args:
        folder: of the checkpoint with the tokenizer.
        texts: of papers.
        settings: resolved, so that the prompt is known.

    Raises:
        InputError: the tokenizer cannot be loaded.
    """
    tokens = tokenizer.count_tokens(tokenizer.load_tokenizer(folder), texts, settings.prompt)
    return TextLengths(tokens, int(settings.max_length))


def estimate_cost(rate: Rate, mean_tokens: float, papers: int, shard_size: int) -> Cost:
    """Return the time that embedding a sample takes at a rate.

    Args:
        rate: of a kind of device.
        mean_tokens: per paper.
        papers: in the sample.
        shard_size: papers per shard.
    """
    papers_per_second = rate.tokens_per_second / mean_tokens
    starts = -(-papers // shard_size) * START_SECONDS
    shard_seconds = min(shard_size, papers) / papers_per_second + START_SECONDS
    return Cost(
        device_hours=rate.devices * (papers / papers_per_second + starts) / 3600,
        shard_minutes=shard_seconds / 60,
        start_share=START_SECONDS / shard_seconds,
        shard_size=min(papers, _round_down(papers_per_second * (SHARD_SECONDS - START_SECONDS))),
    )


def _round_down(number: float) -> int:
    """Return ``number`` rounded down to one significant digit; at least 1."""
    power = 10 ** math.floor(math.log10(max(number, 1)))
    return max(1, int(number // power * power))


def describe(
    label: str,
    *,
    lengths: TextLengths,
    forward: ForwardPass,
    dimensions: int,
    rates: Sequence[Rate],
    papers: int,
    shard_size: int,
) -> str:
    """Return the estimate for one model as lines of text.

    Args:
        label: of the model.
        lengths: of some papers of the sample.
        forward: the model's forward pass.
        dimensions: of a vector.
        rates: of devices; each is a row of the table.
        papers: in the whole sample.
        shard_size: papers per shard, as in the config.
    """
    shards = -(-papers // shard_size)
    tokens = lengths.mean * papers
    flop = forward.flop(lengths.kept) / len(lengths.kept) * papers
    lines = [
        f"Model    {label}",
        f"Papers   {papers:,} in {shards:,} shard(s) of up to {shard_size:,}",
        f"Tokens   {scaled(tokens)}: {lengths.mean:.0f} ± {lengths.error:.0f} per paper, counted on "
        f"{len(lengths.tokens):,} drawn papers (median {np.median(lengths.tokens):.0f}, longest {lengths.tokens.max():,})",
        f"Cut      {lengths.cut:.1%} of the papers are longer than max_length ({lengths.max_length}); "
        f"{lengths.tokens_cut:.1%} of all tokens are cut off",
        f"Compute  {scaled(flop)}FLOP, {scaled(flop / tokens)}FLOP per token",
        f"Disk     {scaled(2 * papers * dimensions * 4)}B: vector store and merged matrix, float32, {dimensions} dimensions",
        "",
        f"{'device':<28}{'tokens/s':>10}{'dev.-hours':>12}{'per shard':>12}{'start-up':>10}{'shards.size':>13}  basis",
    ]
    for rate in rates:
        cost = estimate_cost(rate, lengths.mean, papers, shard_size)
        lines.append(
            f"{rate.device[:27]:<28}{scaled(rate.tokens_per_second):>10}{cost.device_hours:>12,.2f}"
            f"{cost.shard_minutes:>8,.1f} min{cost.start_share:>10.0%}{cost.shard_size:>13,}  {rate.basis}"
        )
    return "\n".join(lines)


EXPLANATION = f"""\
dev.-hours: hours of one device for the whole sample, as if the vector store were empty; {START_SECONDS} s are assumed for the
start of each job. shards.size: papers of a shard that takes about {SHARD_SECONDS // 60} minutes on that device, or the whole
sample if that takes less. Smaller shards use more GPUs at a time, but spend more time on starts.
You may change shards.size at any time: no finished vector is computed again."""
