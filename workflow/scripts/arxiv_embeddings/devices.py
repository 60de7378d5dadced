"""What a job computes on, and in which precision that is good."""

import os
import platform
import socket
from pathlib import Path
from typing import Any

import torch

from .errors import InputError


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


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the matrix products: the wanted one, or for ``auto`` the hardware's best.

    ``auto`` is bfloat16 on GPUs and processors with bfloat16 matrix instructions, else float32.
    """
    if wanted == "auto":
        fast = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})
        )
        return torch.bfloat16 if fast else torch.float32
    if wanted == "float16" and device.type == "cpu":
        raise InputError("dtype float16 needs a GPU. Set dtype to auto, bfloat16 or float32.")
    return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[wanted]


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
