"""The estimate of a run's cost, against counts made another way and small sums done by hand."""

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
import torch
import transformers
from arxiv_embeddings.checkpoint.fetch import checkpoint_identity, fetch_model
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.estimate import cost
from arxiv_embeddings.estimate.cost import Lengths
from arxiv_embeddings.estimate.flop import Work, count_work
from arxiv_embeddings.estimate.rates import (
    PEAKS,
    TOKENIZED_PER_SECOND,
    Rate,
    measured_rates,
    published_rates,
)
from support.models import make_qwen3, qwen3_files
from torch.utils.flop_counter import FlopCounterMode

Script = Callable[..., subprocess.CompletedProcess[str]]

SETTINGS = EncoderSettings(pooling="mean", max_length=16, normalize=True, prompt="")
CHECKPOINT = {"name": "some/model", "revision": None, "sha256": "0" * 64}
WORK = Work({(4, 2): 3}, flop_per_pair=10, hidden_size=4)


def counted(folder: Path, length: int) -> int:
    """FLOP of the products that torch itself counts for one text, all pairs of tokens included."""
    config = transformers.AutoConfig.from_pretrained(folder)
    options: dict[str, Any] = {"add_pooling_layer": False} if config.model_type == "bert" else {}
    options["attn_implementation"] = "eager"  # its products are counted on every device
    model = transformers.AutoModel.from_config(config, **options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros(1, length, dtype=torch.long))
    return int(counter.get_total_flops())


def test_the_work_of_bert_is_what_torch_counts(minilm: Path) -> None:
    work = count_work(minilm)
    assert work.hidden_size == 384
    for length in (1, 7, 300):
        assert work.flop([length]) == counted(minilm, length)
    assert work.flop([7, 300]) == work.flop([7]) + work.flop([300])


def test_a_causal_model_needs_half_the_pairs(tmp_path: Path) -> None:
    folder = make_qwen3(tmp_path / "qwen3")
    work = count_work(folder)
    pairs = work.flop_per_pair * 300**2
    assert work.flop([300]) + pairs == pytest.approx(counted(folder, 300), rel=1e-3)


def test_the_work_of_qwen3_is_that_of_its_published_shape() -> None:
    work = count_work(qwen3_files())
    assert work.flop_per_token == 880_803_840
    assert work.flop_per_pair == 114_688


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be counted"):
        count_work(tmp_path)
    with pytest.raises(InputError, match="tokenizer"):
        cost.count_tokens(tmp_path, ["a"], SETTINGS)


def test_tokens_are_counted_before_cutting_with_prompt_and_special_tokens(minilm: Path) -> None:
    texts = ["one two three", "", "word " * 600]
    lengths = cost.count_tokens(minilm, texts, SETTINGS)
    assert lengths.tokens.tolist() == [5, 2, 602]
    assert lengths.kept.tolist() == [5, 2, 16]
    assert lengths.mean == 23 / 3
    assert lengths.cut == 1 / 3
    assert lengths.tokens_cut == pytest.approx(586 / 609)
    prompted = EncoderSettings(**{**SETTINGS.to_dict(), "prompt": "two words "})
    assert cost.count_tokens(minilm, texts, prompted).tokens.tolist() == [7, 4, 604]


def test_the_error_of_the_mean_covers_it_about_95_times_in_100() -> None:
    random = np.random.RandomState(0)
    drawn = [Lengths(random.poisson(200, 400), 1_000) for _ in range(500)]
    hits = sum(abs(lengths.mean - 200) < lengths.error for lengths in drawn)
    assert 0.92 < hits / 500 < 0.98


def shard_manifest(**changes: Any) -> dict[str, Any]:
    encoder = {**SETTINGS.to_dict(), "dtype": "bfloat16"}
    device = {"type": "cuda", "name": "NVIDIA A100", "count": 1}
    speed = {"tokens_per_second": 100.0, "seconds": 10.0}
    return {"checkpoint": CHECKPOINT, "encoder": encoder, "device": device, **speed, **changes}


def test_rates_are_those_of_finished_shards_by_device_and_dtype(tmp_path: Path) -> None:
    manifests = [
        shard_manifest(),
        shard_manifest(tokens_per_second=400.0, seconds=30.0),
        shard_manifest(device={"name": "NVIDIA A100", "count": 4}),
        shard_manifest(tokens_per_second=0.0),  # all of it resumed
        shard_manifest(checkpoint={**CHECKPOINT, "sha256": "1" * 64}),
    ]
    for number, manifest in enumerate(manifests):
        (tmp_path / f"{number:05d}.json").write_text(json.dumps(manifest))
    rates = measured_rates(tmp_path, CHECKPOINT)
    assert rates == [
        Rate("NVIDIA A100", (100 * 10 + 400 * 30) / 40, "measured: 2 shard(s), bfloat16"),
        Rate("4 × NVIDIA A100", 100.0, "measured: 1 shard(s), bfloat16", devices=4),
    ]
    (tmp_path / "00001.json").write_text("{}")
    with pytest.raises(InputError, match=r"00001\.json is no manifest"):
        measured_rates(tmp_path, CHECKPOINT)


def test_without_finished_shards_there_is_no_measured_rate(tmp_path: Path) -> None:
    assert measured_rates(tmp_path / "shards", CHECKPOINT) == []


def test_published_rates_follow_the_work_and_the_dtype() -> None:
    lengths = np.array([100, 300])
    big = Work({(1024, 1024): 400}, flop_per_pair=1e5, hidden_size=1024)
    flop_per_token = (2 * 400 * 1024**2 * 400 + 1e5 * (100**2 + 300**2)) / 400
    rates = {rate.device: rate for rate in published_rates(big, lengths, "auto")}
    assert rates["A100"].tokens_per_second == pytest.approx(0.4 * 312e12 / flop_per_token)
    assert "not measured" in rates["A100"].basis
    float32 = {rate.device: rate for rate in published_rates(big, lengths, "float32")}
    assert float32["A100"].tokens_per_second == pytest.approx(0.4 * 19.5e12 / flop_per_token)
    assert rates["A100"].basis.endswith("312 TFLOP/s, bfloat16")
    assert rates["V100"].basis.endswith("15.7 TFLOP/s, float32")  # as the engine chooses there
    made_for = published_rates(big, lengths, "auto", declared="float16")
    assert {rate.device: rate for rate in made_for}["V100"].basis.endswith("125 TFLOP/s, float16")
    assert float32["V100"].basis.endswith("float32")
    assert [rate.device for rate in published_rates(big, lengths, "bfloat16")] == [
        "H100 SXM",
        "L40S",
        "A100",
    ]


def test_a_small_model_is_no_faster_than_its_tokenizer() -> None:
    rates = published_rates(WORK, np.array([5]), "auto")
    assert {rate.tokens_per_second for rate in rates} == {TOKENIZED_PER_SECOND}


def test_cost_counts_starts_and_suggests_shards_of_about_20_minutes() -> None:
    rate = Rate("device", 20_000.0, "given")
    its = cost.cost(rate, mean_tokens=200, papers=1_000_000, shard_size=5_000)
    assert its.device_hours == pytest.approx((1_000_000 / 100 + 200 * 30) / 3600)
    assert its.shard_minutes == pytest.approx((50 + 30) / 60)
    assert its.start_share == pytest.approx(30 / 80)
    assert its.shard_size == 100_000
    four = dataclasses.replace(rate, devices=4)
    assert cost.cost(four, 200, 1_000_000, 5_000).device_hours == 4 * its.device_hours
    suggested = cost.cost(rate, 200, 1_000_000, its.shard_size)
    assert 10 <= suggested.shard_minutes <= 30
    assert suggested.start_share < 0.05


@pytest.mark.parametrize("tokens_per_second", [1e3, 3.7e3, 9.99e3, 1e5, 4.3e5])
def test_a_suggested_shard_takes_10_to_30_minutes(tokens_per_second: float) -> None:
    rate = Rate("device", tokens_per_second, "given")
    size = cost.cost(rate, 220, 10**9, 1_000).shard_size
    assert 10 <= cost.cost(rate, 220, 10**9, size).shard_minutes <= 30


def test_a_sample_of_less_than_20_minutes_is_one_shard() -> None:
    rate = Rate("device", 1e6, "given")
    assert cost.cost(rate, 200, 30_000, 5_000).shard_size == 30_000


def plan(
    script: Callable[..., subprocess.CompletedProcess[str]], folder: Path, **changes: Any
) -> str:
    options = {"size": "30", "shard-size": 10, "tokens-per-second": "measured", **changes}
    done = script(
        "plan_run.py",
        *("--papers", folder / "drawn.parquet", "--models", folder / "minilm"),
        *("--encoders", SETTINGS.to_json(), "--shards", folder / "shards"),
        *(part for name, value in options.items() for part in (f"--{name}", value)),
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def run_folder(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    fetch_model(str(minilm), None, folder / "minilm")
    topics = [f"paper number {number}" for number in range(40)]
    pq.write_table(pa.table({"id": topics, "topic": topics}), folder / "drawn.parquet")
    (folder / "shards").mkdir()
    manifest = shard_manifest(checkpoint=checkpoint_identity(folder / "minilm"))
    (folder / "shards/00000.json").write_text(json.dumps(manifest))
    return folder


def test_the_command_prints_measured_given_and_published_rates(
    script: Script, run_folder: Path
) -> None:
    lines = plan(script, run_folder, **{"tokens-per-second": "5000"}).splitlines()
    assert "Papers   30 in 3 shard(s) of up to 10" in lines
    assert any(line.startswith("Tokens   150: 5 ± 0 a paper, counted on 30") for line in lines)
    [measured] = [line for line in lines if line.startswith("NVIDIA A100")]
    assert measured.split()[2] == "100"
    assert "measured: 1 shard(s), bfloat16" in measured
    [given] = [line for line in lines if line.startswith("yours")]
    assert given.split()[1:3] == ["5", "k"]
    assert sum("not measured" in line for line in lines) == len(PEAKS)
    assert "Papers   40 in 4 shard(s) of up to 10" in plan(script, run_folder, size="all")


def test_the_command_refuses_a_sample_that_is_too_large(script: Script, run_folder: Path) -> None:
    done = script(
        "plan_run.py",
        *("--papers", run_folder / "drawn.parquet", "--size", 41, "--shard-size", 10),
        *("--models", run_folder / "minilm", "--encoders", SETTINGS.to_json()),
        *("--shards", run_folder / "shards"),
    )
    assert done.returncode == 1
    assert "only 40 passed the filter" in done.stdout
    assert "Traceback" not in done.stdout
