"""Tokens per second of a job: measured while vectors were computed, or derived from data sheets."""

import collections
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from ..common.progress import scaled
from ..embedding.devices import best_gpu_dtype
from ..embedding.manifest import PieceManifest
from .flop import ForwardPass

# Assumed of a GPU whose rate was not measured: derived for padded batches on an H100 from the memory traffic between
# the matrix products, not measured. Rows without padding are faster by an unknown factor.
SHARE_OF_PEAK = 0.2
# Assumed of 8 threads. It bounds the rate of small models.
TOKENIZED_PER_SECOND = 4e6

# Compute capability, and TFLOP/s of dense matrix products by dtype as NVIDIA publishes them (float32 without TF32).
# Data sheets of H100 SXM, L40S, A100 80GB SXM, V100 SXM2 and T4.
PEAKS = {
    "H100 SXM": ((9, 0), {"bfloat16": 989.0, "float16": 989.0, "float32": 67.0}),
    "L40S": ((8, 9), {"bfloat16": 362.0, "float16": 362.0, "float32": 91.6}),
    "A100": ((8, 0), {"bfloat16": 312.0, "float16": 312.0, "float32": 19.5}),
    "V100": ((7, 0), {"float16": 125.0, "float32": 15.7}),
    "T4": ((7, 5), {"float16": 65.0, "float32": 8.1}),
}


@dataclasses.dataclass(frozen=True)
class Rate:
    """The rate of a job on a kind of device.

    Attributes:
        device: its name.
        tokens_per_second: of a job.
        basis: where the number comes from, in words.
        devices: number of devices per job.
    """

    device: str
    tokens_per_second: float
    basis: str
    devices: int = 1


def measured_rates(store: Path, checkpoint: dict[str, Any]) -> list[Rate]:
    """Return the rates at which the vectors of a checkpoint were computed, one per device and dtype.

    Args:
        store: the folder of the model's vectors; it need not exist.
        checkpoint: as ``checkpoint_identity`` returns it; vectors of another one are skipped.

    Raises:
        InputError: a manifest is damaged.
    """
    tokens: collections.Counter[tuple[str, int, str]] = collections.Counter()
    seconds: dict[tuple[str, int, str], float] = collections.defaultdict(float)
    for path in sorted(store.glob("*.json")):
        manifest = PieceManifest.read(path)
        if manifest.checkpoint.get("sha256") != checkpoint["sha256"] or not manifest.seconds:
            continue
        device = manifest.device
        kind = str(device["name"]), int(device.get("count", 1)), str(manifest.encoder["dtype"])
        tokens[kind] += manifest.tokens
        seconds[kind] += manifest.seconds
    return [
        Rate(
            device=f"{count} × {name}" if count > 1 else name,
            tokens_per_second=done / seconds[name, count, dtype],
            basis=f"measured: {scaled(done)} tokens, {dtype}",
            devices=count,
        )
        for (name, count, dtype), done in tokens.items()
        if done
    ]


def published_rates(
    forward: ForwardPass, lengths: np.ndarray, wanted: str, declared: str | None = None
) -> list[Rate]:
    """Return the rates of kinds of GPU that reach ``SHARE_OF_PEAK`` of their published peak.

    Args:
        forward: the model's forward pass.
        lengths: tokens of some papers that the model sees, (papers,).
        wanted: dtype in the config. Kinds of GPU that do not support it are left out.
        declared: dtype that the checkpoint declares; it decides if ``wanted`` is auto.
    """
    flop_per_token = forward.flop(lengths) / lengths.sum()
    rates = []
    for device, (capability, peaks) in PEAKS.items():
        best = str(best_gpu_dtype(capability, declared)).removeprefix("torch.")
        dtype = best if wanted == "auto" else wanted
        if dtype not in peaks:
            continue
        rate = SHARE_OF_PEAK * peaks[dtype] * 1e12 / flop_per_token
        basis = f"estimated: {SHARE_OF_PEAK:.0%} of {peaks[dtype]:g} TFLOP/s, {dtype}"
        if rate > TOKENIZED_PER_SECOND:
            rate = TOKENIZED_PER_SECOND
            basis = "estimated: limited by tokenization with 8 threads"
        rates.append(Rate(device, rate, basis))
    return rates
