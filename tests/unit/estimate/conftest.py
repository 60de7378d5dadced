"""Settings and manifests of vectors that several tests share."""

from collections.abc import Callable
from typing import Any

import pytest
from arxiv_embeddings.config.encoder_settings import EncoderSettings

SETTINGS = EncoderSettings(pooling="mean", max_length=16, normalize=True, prompt="")
CHECKPOINT = {"name": "some/model", "revision": None, "sha256": "0" * 64}
Manifest = Callable[..., dict[str, Any]]


@pytest.fixture
def settings() -> EncoderSettings:
    """Encoder settings without a prompt, of at most 16 tokens."""
    return SETTINGS


@pytest.fixture(scope="session")
def piece_manifest() -> Manifest:
    """Return the manifest of a piece of vectors, 1,000 tokens in 10 s; keywords replace its values."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "shard": "3f2a9c1b-00000",
            "papers": 5,
            "dimensions": 384,
            "texts_sha256": "0" * 64,
            "vectors_sha256": "0" * 64,
            "checkpoint": CHECKPOINT,
            "encoder": {**SETTINGS.to_dict(), "dtype": "bfloat16"},
            "device": {"type": "cuda", "name": "NVIDIA A100", "count": 1},
            "attention": "",
            "tokens": 1_000,
            "seconds": 10.0,
            "versions": {},
            **changes,
        }

    return make
