"""What the machine can do, and what a call takes of it."""

import contextlib
import ctypes
import gc
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

ROWS = {"cpu": 2_048, "cuda": 16_384}  # tokens that go through a layer together
REPEATS = 9


def matmul_rate(
    matrices: Mapping[tuple[int, int], int], dtype: torch.dtype, device: torch.device
) -> float:
    """Return the FLOP/s of a model's own matrix products alone.

    Every shape is timed by itself, as torch's linear function computes it, and counts as often as the
    model has it. Nothing the model does between the products is in it.

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
    products = 20 if tokens.is_cuda else 1  # on a GPU many, as a single one is too short to time
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
    """Wait until the device has done all it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Usage:
    """What a block took: seconds, and the bytes of memory at its peak beyond those in use before.

    The memory is that of the GPU (as torch allocates it), or of the process; None where the system is
    not Linux.
    """

    seconds: float
    memory: int | None


@contextlib.contextmanager
def measured(device: torch.device) -> Iterator[Usage]:
    """Yield a ``Usage`` that is filled in when the block ends."""
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
    """Forget the peak so far; return the bytes in use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not Path("/proc/self/clear_refs").exists():
        return None
    with contextlib.suppress(AttributeError):  # other C libraries than glibc keep nothing back
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
