"""What a job computes on, and in which precision that is good."""

import os
import platform
import socket
from pathlib import Path
from typing import Any

import torch

from ..common.errors import InputError


def choose_device(kind: str) -> torch.device:
    """Return the device of a job: ``cuda`` is the GPU it was given, ``cpu`` the CPU.

    Raises:
        InputError: the job was given a GPU and sees none. It never falls back to the CPU.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise InputError(
            f"This job was given a GPU but sees none on {socket.gethostname()} "
            f"(CUDA_VISIBLE_DEVICES: {visible}; torch {torch.__version__}, built for CUDA "
            f"{torch.version.cuda or 'no'}). Exclude the node if its driver is broken, install a torch "
            "that fits the driver, or ask for the CPU with --set-resources embed_shard:device=cpu."
        )
    return torch.device(kind)


def choose_devices(kind: str, gpus: int) -> list[torch.device]:
    """Return the devices of a job: for ``cuda`` its first ``gpus`` visible GPUs, or with 0 all of them.

    Raises:
        InputError: the job sees fewer GPUs than it was given.
    """
    device = choose_device(kind)
    if device.type == "cpu":
        return [device]
    visible = torch.cuda.device_count()
    if gpus > visible:
        raise InputError(
            f"This job was given {gpus} GPUs but sees {visible} on {socket.gethostname()} "
            f"(CUDA_VISIBLE_DEVICES: {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}). Set the resource "
            "'gpu' of embed_shard to what the site hands out to one job."
        )
    return [torch.device("cuda", index) for index in range(gpus or visible)]


def choose_dtype(wanted: str, device: torch.device, declared: str | None = None) -> torch.dtype:
    """Return the dtype of the matrix products: the wanted one, or for ``auto`` the hardware's best.

    Args:
        wanted: ``bfloat16``, ``float16``, ``float32`` or ``auto``.
        device: what they run on.
        declared: the dtype the checkpoint says it is made for.
    """
    if wanted == "auto":
        if device.type == "cuda":
            return best_gpu_dtype(torch.cuda.get_device_capability(device), declared)
        fast = not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})
        return torch.bfloat16 if fast else torch.float32
    if wanted == "float16" and device.type == "cpu":
        raise InputError("dtype float16 needs a GPU. Set dtype to auto, bfloat16 or float32.")
    return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[wanted]


def best_gpu_dtype(capability: tuple[int, int], declared: str | None) -> torch.dtype:
    """Return bfloat16 on GPUs that multiply in it (compute capability 8.0, Ampere, and newer).

    Older ones (V100: 7.0, T4: 7.5) are fast in float16 alone, whose numbers end at 65,504: models trained
    in bfloat16 or float32 overflow there without a word. So they get float16 only where the
    checkpoint is declared to be made for it, else float32.
    """
    if capability >= (8, 0):
        return torch.bfloat16
    return torch.float16 if declared == "float16" else torch.float32


def cpu_flags() -> set[str]:
    """Return the feature names the kernel gives for the first processor (Linux on x86; else none)."""
    return set(_cpu_info().get("flags", "").split())


def describe(device: torch.device) -> dict[str, Any]:
    """Return what a manifest says about the device: its type, name, node, memory or threads."""
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        return {
            "type": "cuda",
            "name": facts.name,
            "memory_bytes": facts.total_memory,
            "node": socket.gethostname(),
        }
    name = _cpu_info().get("model name", platform.machine())
    return {
        "type": "cpu",
        "name": name,
        "threads": torch.get_num_threads(),
        "node": socket.gethostname(),
    }


def _cpu_info() -> dict[str, str]:
    """Return the first processor's entry in /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
