"""Choose the device and the dtype of a job."""

import os
import platform
import socket
from pathlib import Path
from typing import Any

import torch

from ..common.errors import InputError


def choose_device(kind: str, number: int | None = None) -> torch.device:
    """Return the device of a process: for ``cuda`` a GPU that the job was given, for ``cpu`` the CPU.

    Args:
        kind: ``cuda`` or ``cpu``.
        number: of the GPU among the visible ones; by default the current one.

    Raises:
        InputError: the job was given a GPU but sees none. It never falls back to the CPU.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise InputError(
            f"This job was given a GPU but sees none on {socket.gethostname()} "
            f"(CUDA_VISIBLE_DEVICES: {visible}; torch {torch.__version__}, built for CUDA "
            f"{torch.version.cuda or 'no'}). Exclude the node if its driver is broken, install a torch "
            "that fits the driver, or ask for the CPU with --set-resources embed_shard:device=cpu."
        )
    if number is None or kind == "cpu":
        return torch.device(kind)
    return torch.device(kind, number)


def number_of_devices(kind: str, gpus: int) -> int:
    """Return how many devices a job uses: of ``cuda`` the first ``gpus`` visible GPUs, or all of them if ``gpus`` is 0.

    Raises:
        InputError: the job sees fewer GPUs than it was given.
    """
    if choose_device(kind).type == "cpu":
        return 1
    visible = torch.cuda.device_count()
    if gpus > visible:
        raise InputError(
            f"This job was given {gpus} GPUs but sees {visible} on {socket.gethostname()} "
            f"(CUDA_VISIBLE_DEVICES: {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}). Set the resource "
            "'gpu' of embed_shard to the number of GPUs that the site gives to one job."
        )
    return gpus or visible


def choose_dtype(requested: str, device: torch.device, declared: str | None = None) -> torch.dtype:
    """Return the dtype of the matrix products: the requested one, or for ``auto`` the best for the hardware.

    Args:
        requested: ``bfloat16``, ``float16``, ``float32`` or ``auto``.
        device: the device that computes them.
        declared: the dtype that the checkpoint declares.
    """
    if requested == "auto":
        if device.type == "cuda":
            return best_gpu_dtype(torch.cuda.get_device_capability(device), declared)
        fast = not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})
        return torch.bfloat16 if fast else torch.float32
    if requested == "float16" and device.type == "cpu":
        raise InputError("dtype float16 needs a GPU. Set dtype to auto, bfloat16 or float32.")
    return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[
        requested
    ]


def best_gpu_dtype(capability: tuple[int, int], declared: str | None) -> torch.dtype:
    """Return bfloat16 for GPUs that support it in hardware (compute capability 8.0, Ampere, and newer).

    Older GPUs (V100: 7.0, T4: 7.5) are fast only in float16, whose largest number is 65,504: models trained
    in bfloat16 or float32 can overflow without an error. So older GPUs get float16 only if the checkpoint
    declares it, otherwise float32.
    """
    if capability >= (8, 0):
        return torch.bfloat16
    return torch.float16 if declared == "float16" else torch.float32


def cpu_flags() -> set[str]:
    """Return the feature flags of the first processor, as the kernel lists them (Linux on x86; otherwise none)."""
    return set(_cpu_info().get("flags", "").split())


def describe(device: torch.device) -> dict[str, Any]:
    """Return the description of a device for a manifest: type, name and node, and memory or threads."""
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
    """Return the entry of the first processor in /proc/cpuinfo; empty if the file does not exist."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
