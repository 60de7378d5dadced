"""FLOP of a forward pass, against those that torch counts and published shapes."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.estimate.flop import forward_pass
from support.models import make_qwen3, qwen3_files
from torch.utils.flop_counter import FlopCounterMode


def flop_by_torch(folder: Path, length: int) -> int:
    """Return the FLOP of the products that torch counts for one text, with all pairs of tokens."""
    config = transformers.AutoConfig.from_pretrained(folder)
    options: dict[str, Any] = {"add_pooling_layer": False} if config.model_type == "bert" else {}
    # The products of eager attention are counted on every device.
    options["attn_implementation"] = "eager"
    model = transformers.AutoModel.from_config(config, **options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros(1, length, dtype=torch.long))
    return int(counter.get_total_flops())


def test_the_flop_of_bert_are_those_that_torch_counts(minilm: Path) -> None:
    forward = forward_pass(minilm)
    assert forward.hidden_size == 384
    for length in (1, 7, 300):
        assert forward.flop([length]) == flop_by_torch(minilm, length)
    assert forward.flop([7, 300]) == forward.flop([7]) + forward.flop([300])


def test_a_causal_model_needs_half_the_pairs(tmp_path: Path) -> None:
    folder = make_qwen3(tmp_path / "qwen3")
    forward = forward_pass(folder)
    pairs = forward.flop_per_pair * 300**2
    assert forward.flop([300]) + pairs == pytest.approx(flop_by_torch(folder, 300), rel=1e-3)


def test_the_flop_of_qwen3_are_those_of_its_published_shape() -> None:
    forward = forward_pass(qwen3_files())
    assert forward.flop_per_token == 880_803_840
    assert forward.flop_per_pair == 114_688
    assert forward.hidden_size == 1_024


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be counted .*Check its config\.json\."):
        forward_pass(tmp_path)
