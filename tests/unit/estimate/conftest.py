"""Settings and manifests of shards that several tests share."""

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
def shard_manifest() -> Manifest:
    """Return what the estimate reads of a shard's manifest; keywords replace its values."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "checkpoint": CHECKPOINT,
            "encoder": {**SETTINGS.to_dict(), "dtype": "bfloat16"},
            "device": {"type": "cuda", "name": "NVIDIA A100", "count": 1},
            "tokens_per_second": 100.0,
            "seconds": 10.0,
            **changes,
        }

    return make
