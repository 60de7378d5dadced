"""The cost of a run: lengths of texts, sums checked by hand, and the table that is printed."""

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.estimate.cost import (
    TextLengths,
    describe,
    estimate_cost,
    text_lengths,
)
from arxiv_embeddings.estimate.flop import ForwardPass
from arxiv_embeddings.estimate.rates import PEAKS, Rate

Script = Callable[..., subprocess.CompletedProcess[str]]
Manifest = Callable[..., dict[str, Any]]


def test_tokens_are_counted_before_truncation_with_prompt_and_special_tokens(
    minilm: Path, settings: EncoderSettings
) -> None:
    texts = ["one two three", "", "word " * 600]
    lengths = text_lengths(minilm, texts, settings)
    assert lengths.tokens.tolist() == [5, 2, 602]
    assert lengths.kept.tolist() == [5, 2, 16]
    assert lengths.mean == 23 / 3
    assert lengths.cut == 1 / 3
    assert lengths.tokens_cut == pytest.approx(586 / 609)
    prompted = EncoderSettings(**{**settings.to_dict(), "prompt": "two words "})
    assert text_lengths(minilm, texts, prompted).tokens.tolist() == [7, 4, 604]


def test_a_paper_of_exactly_max_length_is_not_cut() -> None:
    lengths = TextLengths(np.array([15, 16, 17, 18]), 16)
    assert lengths.cut == 0.5
    assert lengths.tokens_cut == pytest.approx(3 / 66)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, settings: EncoderSettings) -> None:
    with pytest.raises(InputError, match="tokenizer"):
        text_lengths(tmp_path, ["a"], settings)


def test_the_error_of_the_mean_covers_it_about_95_times_in_100() -> None:
    random = np.random.RandomState(0)
    drawn = [TextLengths(random.poisson(200, 400), 1_000) for _ in range(500)]
    hits = sum(abs(lengths.mean - 200) < lengths.error for lengths in drawn)
    assert 0.92 < hits / 500 < 0.98


def test_the_error_of_the_mean_of_few_papers() -> None:
    assert TextLengths(np.array([7]), 16).error == np.inf
    # Their standard deviation is sqrt(2), their standard error 1.
    assert TextLengths(np.array([6, 8]), 16).error == pytest.approx(1.96)


def test_the_cost_includes_starts_and_suggests_shards_of_about_20_minutes() -> None:
    rate = Rate("device", 20_000.0, "given")
    cost = estimate_cost(rate, mean_tokens=200, papers=1_000_000, shard_size=5_000)
    assert cost.device_hours == pytest.approx((1_000_000 / 100 + 200 * 30) / 3600)
    assert cost.shard_minutes == pytest.approx((50 + 30) / 60)
    assert cost.start_share == pytest.approx(30 / 80)
    assert cost.shard_size == 100_000
    four = dataclasses.replace(rate, devices=4)
    assert estimate_cost(four, 200, 1_000_000, 5_000).device_hours == 4 * cost.device_hours
    suggested = estimate_cost(rate, 200, 1_000_000, cost.shard_size)
    assert 10 <= suggested.shard_minutes <= 30
    assert suggested.start_share < 0.05


@pytest.mark.parametrize("tokens_per_second", [1e3, 3.7e3, 9.99e3, 1e5, 4.3e5])
def test_a_suggested_shard_takes_10_to_30_minutes(tokens_per_second: float) -> None:
    rate = Rate("device", tokens_per_second, "given")
    size = estimate_cost(rate, 220, 10**9, 1_000).shard_size
    assert 10 <= estimate_cost(rate, 220, 10**9, size).shard_minutes <= 30


@pytest.mark.parametrize(
    ("tokens_per_second", "size"),
    # 1,170 s of 200 tokens per paper.
    [(200 / 1_170, 1), (200 * 10 / 1_170 + 1e-9, 10), (200 * 29.999 / 1_170, 20), (0.001, 1)],
)
def test_a_suggested_size_has_one_significant_digit(tokens_per_second: float, size: int) -> None:
    rate = Rate("device", tokens_per_second, "given")
    assert estimate_cost(rate, 200, 10**9, 1_000).shard_size == size


def test_a_sample_of_less_than_20_minutes_is_one_shard() -> None:
    rate = Rate("device", 1e6, "given")
    cost = estimate_cost(rate, 200, 30_000, 50_000)
    assert cost.shard_size == 30_000
    assert cost.shard_minutes == pytest.approx((30_000 / 5_000 + 30) / 60)


def test_the_table_of_an_estimate() -> None:
    lengths = TextLengths(np.array([90, 110, 100, 600]), 500)
    lines = describe(
        "model",
        lengths=lengths,
        forward=ForwardPass({(100, 50): 2}, flop_per_pair=0, hidden_size=384),
        dimensions=384,
        rates=[Rate("A device with a long name of 40 letters.", 20_000.0, "given")],
        papers=30_000,
        shard_size=10_000,
    ).splitlines()
    assert lines == [
        "Model    model",
        "Papers   30,000 in 3 shard(s) of up to 10,000",
        "Tokens   6 M: 200 ± 196 per paper, counted on 4 drawn papers (median 105, longest 600)",
        "Cut      25.0% of the papers are longer than max_length (500); 11.1% of all tokens are cut off",
        "Compute  120 GFLOP, 20 kFLOP per token",
        "Disk     92.2 MB: vector store and merged matrix, float32, 384 dimensions",
        "",
        "device                        tokens/s  dev.-hours   per shard  start-up  shards.size  basis",
        "A device with a long name o       20 k        0.11     2.2 min       23%       30,000  given",
    ]


def estimate(script: Script, folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    """Run the command on the drawn papers of ``folder``; keywords replace options (``_`` for ``-``)."""
    options = {"size": "30", "shard_size": 10, "tokens_per_second": "measured", **changes}
    return script(
        "estimate_cost.py",
        *("--drawn", folder / "drawn.parquet", "--models", folder / "minilm"),
        *("--encoders", (folder / "settings.json").read_text(), "--stores", folder / "vectors"),
        *(
            part
            for name, value in options.items()
            for part in (f"--{name.replace('_', '-')}", value)
        ),
    )


@pytest.fixture(scope="module")
def run_folder(
    minilm: Path, piece_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """40 drawn papers, a model, and a piece of vectors."""
    folder = tmp_path_factory.mktemp("run")
    fetch_model(str(minilm), None, folder / "minilm", EncoderSettings())
    topics = [f"paper number {number}" for number in range(40)]
    pq.write_table(pa.table({"id": topics, "topic": topics}), folder / "drawn.parquet")
    (folder / "vectors").mkdir()
    manifest = piece_manifest(checkpoint=checkpoint_identity(folder / "minilm"))
    (folder / "vectors/3f2a9c1b-00000-00c0ffee.json").write_text(json.dumps(manifest))
    encoder = {**manifest["encoder"], "dtype": "auto"}
    (folder / "settings.json").write_text(EncoderSettings(**encoder).to_json())
    return folder


def test_the_command_prints_measured_given_and_published_rates(
    script: Script, run_folder: Path
) -> None:
    done = estimate(script, run_folder, tokens_per_second="5000")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert "Papers   30 in 3 shard(s) of up to 10" in lines
    assert any(line.startswith("Tokens   150: 5 ± 0 per paper, counted on 30") for line in lines)
    assert any(line.endswith("float32, 384 dimensions") for line in lines)
    [measured] = [line for line in lines if line.startswith("NVIDIA A100")]
    assert measured.split()[2] == "100"
    assert "measured: 1 k tokens, bfloat16" in measured
    [given] = [line for line in lines if line.startswith("yours")]
    assert given.split()[1:3] == ["5", "k"]
    assert sum("estimated" in line for line in lines) == len(PEAKS)


def test_the_command_estimates_all_drawn_papers(script: Script, run_folder: Path) -> None:
    done = estimate(script, run_folder, size="all")
    assert "Papers   40 in 4 shard(s) of up to 10" in done.stdout
    assert "yours" not in done.stdout


def test_the_command_refuses_a_sample_that_is_too_large(script: Script, run_folder: Path) -> None:
    done = estimate(script, run_folder, size=41)
    assert done.returncode == 1
    assert "only 40 passed the filter" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("rate", ["0", "inf"])
def test_the_command_refuses_what_is_not_a_rate(
    rate: str, script: Script, run_folder: Path
) -> None:
    done = estimate(script, run_folder, tokens_per_second=rate)
    assert done.returncode == 2
    assert "--tokens-per-second: invalid tokens_per_second value" in done.stdout
