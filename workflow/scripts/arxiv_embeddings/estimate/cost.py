"""What a run will cost, told before it starts: tokens, device-hours, disk, and how large shards should be."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..checkpoint import tokenizer
from ..common.progress import scaled
from ..config.derived import shard_ranges
from ..config.encoder_settings import EncoderSettings
from .flop import Work
from .rates import Rate

START_SECONDS = 30  # assumed of a job: Python, imports, GPU and weights, before the first batch
SHARD_SECONDS = (
    20 * 60
)  # a shard of the suggested size: little is lost with it, and start-up is 2.5 %


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Numbers of tokens of some papers of the sample, prompt and special tokens included, before cutting."""

    tokens: np.ndarray
    max_length: int

    @property
    def kept(self) -> np.ndarray:
        """The numbers of tokens that the model sees."""
        kept: np.ndarray = np.minimum(self.tokens, self.max_length)
        return kept

    @property
    def mean(self) -> float:
        """Tokens a paper that the model sees."""
        return float(self.kept.mean())

    @property
    def error(self) -> float:
        """Half the width of the mean's 95 % interval (1.96 standard errors)."""
        count = len(self.tokens)
        return 1.96 * float(self.kept.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf

    @property
    def cut(self) -> float:
        """Share of the papers that are longer than ``max_length``."""
        return float((self.tokens > self.max_length).mean())

    @property
    def tokens_cut(self) -> float:
        """Share of all tokens that are cut off."""
        return 1 - float(self.kept.sum() / self.tokens.sum())


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run takes on a kind of device.

    Attributes:
        device_hours: all shards and their starts together, times the devices of a job.
        shard_minutes: of a whole shard of the config's size, with its start.
        start_share: share of ``shard_minutes`` that goes to the start.
        shard_size: papers of a shard that takes ``SHARD_SECONDS``; the whole sample if it takes less.
    """

    device_hours: float
    shard_minutes: float
    start_share: float
    shard_size: int


def count_tokens(folder: Path, texts: Sequence[str], settings: EncoderSettings) -> Lengths:
    """Return how many tokens the tokenizer in ``folder`` makes of ``texts`` behind the prompt.

    ``settings`` are resolved, so that the prompt is known.

    Raises:
        InputError: the tokenizer cannot be loaded.
    """
    tokens = tokenizer.count_tokens(tokenizer.load_tokenizer(folder), texts, settings.prompt)
    return Lengths(tokens, settings.max_length)


def cost(rate: Rate, mean_tokens: float, papers: int, shard_size: int) -> Cost:
    """Return what embedding ``papers`` papers in shards of ``shard_size`` takes at a rate."""
    papers_per_second = rate.tokens_per_second / mean_tokens
    starts = len(shard_ranges(papers, shard_size)) * START_SECONDS
    shard_seconds = min(shard_size, papers) / papers_per_second + START_SECONDS
    return Cost(
        device_hours=rate.devices * (papers / papers_per_second + starts) / 3600,
        shard_minutes=shard_seconds / 60,
        start_share=START_SECONDS / shard_seconds,
        shard_size=min(papers, _round_down(papers_per_second * (SHARD_SECONDS - START_SECONDS))),
    )


def _round_down(number: float) -> int:
    """Return ``number`` with its first digit only, the others 0; at least 1."""
    power = 10 ** math.floor(math.log10(max(number, 1)))
    return max(1, int(number // power * power))


def describe(
    label: str,
    lengths: Lengths,
    work: Work,
    dimensions: int,
    rates: Sequence[Rate],
    papers: int,
    shard_size: int,
) -> str:
    """Return the estimate for one model as lines of text.

    Args:
        label: of the model.
        lengths: of some papers of the sample.
        work: of the model.
        dimensions: components of a vector.
        rates: what devices do, one line of the table each.
        papers: in the whole sample.
        shard_size: papers of a shard, as in the config.
    """
    shards = len(shard_ranges(papers, shard_size))
    tokens = lengths.mean * papers
    flop = work.flop(lengths.kept) / len(lengths.kept) * papers
    lines = [
        f"Model    {label}",
        f"Papers   {papers:,} in {shards:,} shard(s) of up to {shard_size:,}",
        f"Tokens   {scaled(tokens)}: {lengths.mean:.0f} ± {lengths.error:.0f} a paper, counted on "
        f"{len(lengths.tokens):,} drawn papers (median {np.median(lengths.tokens):.0f}, longest {lengths.tokens.max():,})",
        f"Cut      {lengths.cut:.1%} of the papers are longer than max_length ({lengths.max_length}), which cuts off "
        f"{lengths.tokens_cut:.1%} of all tokens",
        f"Work     {scaled(flop)}FLOP, {scaled(flop / tokens)}FLOP a token",
        f"Disk     {scaled(2 * papers * dimensions * 4)}B: shards and merged matrix, float32, {dimensions} components",
        "",
        f"{'device':<28}{'tokens/s':>10}{'dev.-hours':>12}{'a shard':>12}{'start-up':>10}{'shards.size':>13}  basis",
    ]
    for rate in rates:
        its = cost(rate, lengths.mean, papers, shard_size)
        lines.append(
            f"{rate.device[:27]:<28}{scaled(rate.tokens_per_second):>10}{its.device_hours:>12,.2f}{its.shard_minutes:>8,.1f} min"
            f"{its.start_share:>10.0%}{its.shard_size:>13,}  {rate.basis}"
        )
    return "\n".join(lines)


EXPLANATION = f"""\
dev.-hours: of one device, all shards together, {START_SECONDS} s assumed for the start of each; finished shards count as if
they were still to do. shards.size: papers that take about {SHARD_SECONDS // 60} minutes there, or all. Smaller shards spread a
run over more GPUs and spend more on starts; another shards.size makes finished shards run again."""
