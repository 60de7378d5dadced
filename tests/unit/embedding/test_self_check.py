"""A device that computes wrong vectors is found before any of them is saved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.encoder import Encoder
from arxiv_embeddings.embedding.self_check import SelfCheck
from arxiv_embeddings.embedding.shard import embed_shard
from arxiv_embeddings.embedding.store import Piece, pieces_in
from support.drawn import PAPERS, draw
from support.models import TextEncoder, make_qwen3

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one(one_thread: None) -> None:
    """Small models run on one thread."""


@pytest.fixture
def drawn(texts: list[str], tmp_path: Path) -> Path:
    return draw(tmp_path / "drawn.parquet", texts)


def embed(drawn: Path, encoder: TextEncoder, folder: Path, store: Path) -> Piece:
    return embed_shard(
        drawn,
        np.arange(PAPERS),
        shard="ab-00000",
        papers_per_chunk=8,
        tokenizer=encoder.tokenizer,
        load_encoder=lambda: encoder,
        on_progress=lambda: None,
        store_folder=store,
        made_by={
            "checkpoint": checkpoint_identity(folder),
            "device": {"type": "cpu", "node": "n17", "count": 1},
            "versions": {},
        },
        self_check=SelfCheck(folder, encoder.settings),
    )


def test_right_vectors_pass_and_the_manifest_says_so(
    bert: Path, loaded: TextEncoder, drawn: Path, tmp_path: Path
) -> None:
    piece = embed(drawn, loaded, bert, tmp_path / "store")
    found = piece.manifest.device["self_check"]
    assert found["texts"] == 4
    assert found["least_cosine"] == pytest.approx(1, abs=1e-6)
    assert pieces_in(tmp_path / "store")[0].manifest.device == piece.manifest.device


@pytest.mark.parametrize(
    "settings", [{}, {"dtype": "bfloat16"}, {"dimensions": 16, "normalize": False}]
)
def test_right_vectors_of_a_causal_model_pass(
    texts: list[str], tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = make_qwen3(tmp_path / "qwen3")
    encoder = TextEncoder(folder, EncoderSettings(**{"dtype": "float32", **settings}), CPU)
    tokens = encoder.tokenize(texts)
    check = SelfCheck(folder, encoder.settings)
    found = check.compare({}, texts, tokens, encoder.encode(tokens))
    assert found["least_cosine"] >= 0.999


def lying(plain: Any, size: float) -> Any:
    """Return a forward pass with an error of this size relative to the vectors."""

    def forward(encoder: Encoder, ids: Any) -> torch.Tensor:
        vectors: torch.Tensor = plain(encoder, ids)
        noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(0))
        return vectors + size * vectors.std() * noise

    return forward


def test_a_device_that_lies_stops_the_job_and_nothing_is_saved(
    bert: Path,
    loaded: TextEncoder,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = Encoder._forward
    monkeypatch.setattr(Encoder, "_forward", lying(plain, 0.005))
    embed(drawn, loaded, bert, tmp_path / "rounding")
    monkeypatch.setattr(Encoder, "_forward", lying(plain, 0.2))
    facts = r"paper \S+ \(\d+ tokens\) from .*'n17'.*'device': 'cpu'.* cosine of 0\.9\d+ .*Device: length .*CPU: length "
    with pytest.raises(InputError, match=facts):
        embed(drawn, loaded, bert, tmp_path / "store")
    assert pieces_in(tmp_path / "store") == []
