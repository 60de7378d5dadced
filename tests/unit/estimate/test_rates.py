"""Rates of devices: of computed vectors, and derived from data sheets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.estimate.flop import ForwardPass
from arxiv_embeddings.estimate.rates import (
    TOKENIZED_PER_SECOND,
    Rate,
    measured_rates,
    published_rates,
)

Manifest = Callable[..., dict[str, Any]]


def write(folder: Path, *manifests: dict[str, Any]) -> None:
    for number, manifest in enumerate(manifests):
        (folder / f"{number:05d}.json").write_text(json.dumps(manifest))


def test_rates_are_those_of_computed_vectors_by_device_and_dtype(
    tmp_path: Path, piece_manifest: Manifest
) -> None:
    checkpoint = piece_manifest()["checkpoint"]
    write(
        tmp_path,
        piece_manifest(),
        piece_manifest(tokens=12_000, seconds=30.0),
        piece_manifest(device={"name": "NVIDIA A100", "count": 4}),
        # Of version 0.1.0, without its time.
        piece_manifest(seconds=0.0),
        piece_manifest(checkpoint={**checkpoint, "sha256": "1" * 64}),
    )
    assert measured_rates(tmp_path, checkpoint) == [
        Rate("NVIDIA A100", (100 * 10 + 400 * 30) / 40, "measured: 13 k tokens, bfloat16"),
        Rate("4 × NVIDIA A100", 100.0, "measured: 1 k tokens, bfloat16", devices=4),
    ]


def test_a_damaged_manifest_is_refused(tmp_path: Path, piece_manifest: Manifest) -> None:
    write(tmp_path, piece_manifest(), {})
    with pytest.raises(InputError) as caught:
        measured_rates(tmp_path, piece_manifest()["checkpoint"])
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/00001.json is not the manifest of a piece of vectors (")
    assert message.endswith("Delete it; the next run computes the missing vectors.")


def test_without_computed_vectors_there_is_no_measured_rate(
    tmp_path: Path, piece_manifest: Manifest
) -> None:
    assert measured_rates(tmp_path / "vectors", piece_manifest()["checkpoint"]) == []


def test_published_rates_follow_the_flop_and_the_dtype() -> None:
    lengths = np.array([100, 300])
    big = ForwardPass({(1024, 1024): 400}, flop_per_pair=1e5, hidden_size=1024)
    flop_per_token = (2 * 400 * 1024**2 * 400 + 1e5 * (100**2 + 300**2)) / 400
    rates = {rate.device: rate for rate in published_rates(big, lengths, "auto")}
    assert rates["A100"].tokens_per_second == pytest.approx(0.2 * 312e12 / flop_per_token)
    assert rates["A100"].basis == "estimated: 20% of 312 TFLOP/s, bfloat16"
    assert rates["A100"].devices == 1
    float32 = {rate.device: rate for rate in published_rates(big, lengths, "float32")}
    assert float32["A100"].tokens_per_second == pytest.approx(0.2 * 19.5e12 / flop_per_token)
    # The encoder chooses float32 there too.
    assert rates["V100"].basis.endswith("15.7 TFLOP/s, float32")
    declared = published_rates(big, lengths, "auto", declared="float16")
    assert {rate.device: rate for rate in declared}["V100"].basis.endswith("125 TFLOP/s, float16")
    assert float32["V100"].basis.endswith("float32")
    assert [rate.device for rate in published_rates(big, lengths, "bfloat16")] == [
        "H100 SXM",
        "L40S",
        "A100",
    ]


def test_a_small_model_is_not_faster_than_its_tokenizer() -> None:
    small = ForwardPass({(4, 2): 3}, flop_per_pair=10, hidden_size=4)
    rates = published_rates(small, np.array([5]), "auto")
    assert {rate.tokens_per_second for rate in rates} == {TOKENIZED_PER_SECOND}
    assert {rate.basis for rate in rates} == {"estimated: limited by tokenization with 8 threads"}
