"""The speed of the machine, and the time and memory that a call needs."""

import contextlib
import ctypes
import gc
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

# Tokens that pass through a layer together.
ROWS = {"cpu": 2_048, "cuda": 16_384}
REPEATS = 9


def matmul_rate(
    matrices: Mapping[tuple[int, int], int], dtype: torch.dtype, device: torch.device
) -> float:
    """Return the FLOP/s of a model's matrix products alone.

    Every shape is timed separately with torch's linear function and weighted by how often the model has it.
    What the model computes between the products is not included.

    Args:
        matrices: shapes (out, in) and how often each occurs.
        dtype: of both factors.
        device: to compute on.
    """
    flop = seconds = 0.0
    for (rows, columns), count in matrices.items():
        tokens = torch.randn(ROWS[device.type], columns, device=device).to(dtype)
        weight = torch.randn(rows, columns, device=device).to(dtype)
        flop += count * 2 * tokens.shape[0] * rows * columns
        seconds += count * _median_seconds(tokens, weight)
    return flop / seconds


def _median_seconds(tokens: torch.Tensor, weight: torch.Tensor) -> float:
    # On a GPU, a single product is too short to time.
    products = 20 if tokens.is_cuda else 1
    times = []
    with torch.inference_mode():
        for _ in range(REPEATS + 2):
            start = time.perf_counter()
            for _ in range(products):
                torch.nn.functional.linear(tokens, weight)
            synchronize(tokens.device)
            times.append((time.perf_counter() - start) / products)
    return statistics.median(times[2:])


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Usage:
    """Time and memory of a block: seconds, and bytes at the peak minus bytes in use before.

    The memory is that of the GPU as torch allocates it, or that of the process; None if the system is
    not Linux.
    """

    seconds: float
    memory: int | None


@contextlib.contextmanager
def measured(device: torch.device) -> Iterator[Usage]:
    """Yield a ``Usage`` whose values are set when the block ends."""
    usage = Usage()
    gc.collect()
    synchronize(device)
    before = _reset_peak(device)
    start = time.perf_counter()
    yield usage
    synchronize(device)
    usage.seconds = time.perf_counter() - start
    usage.memory = None if before is None else _peak(device) - before


def _reset_peak(device: torch.device) -> int | None:
    """Reset the peak; return the bytes in use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not Path("/proc/self/clear_refs").exists():
        return None
    with contextlib.suppress(AttributeError):  # only glibc has this function
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
    return _process_bytes("VmRSS")


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _process_bytes("VmHWM")


def _process_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)
