"""Copies between main memory and a device for which neither waits."""

from collections.abc import Callable

import torch

# While the GPU computes one batch, the next ones are written.
SLOTS = 3


class Slot:
    """Pinned memory for the numbers of one batch.

    Attributes:
        array: int32; may be written until ``send``.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        gpu = device.type == "cuda"
        self._device = device
        self._memory = torch.zeros(size, dtype=torch.int32, pin_memory=gpu)
        self._sent = torch.cuda.Event() if gpu else None  # type: ignore[no-untyped-call]
        self.array = self._memory.numpy()

    def send(self) -> torch.Tensor:
        """Return a copy of the numbers on the device; on a GPU it is complete for later work there."""
        numbers = self._memory.to(self._device, non_blocking=True, copy=True)
        if self._sent:
            self._sent.record()
        return numbers

    def wait(self) -> None:
        """Wait until the last copy has left the slot."""
        if self._sent:
            self._sent.synchronize()


class Slots:
    """A few slots that take turns. Used by one thread at a time."""

    def __init__(self, size: int, device: torch.device) -> None:
        """Make slots of ``size`` numbers for ``device``."""
        self._slots = [Slot(size, device) for _ in range(SLOTS)]

    def next(self) -> Slot:
        """Return the next slot, free to be written."""
        slot = self._slots.pop(0)
        self._slots.append(slot)
        slot.wait()
        return slot


def copy_to_host(tensor: torch.Tensor) -> tuple[torch.Tensor, Callable[[], None]]:
    """Begin to copy ``tensor`` to main memory; return the copy and a function that waits until it is complete."""
    if tensor.device.type == "cpu":
        return tensor, lambda: None
    copied = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    copied.copy_(tensor, non_blocking=True)
    ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
    ready.record()
    return copied, ready.synchronize
