"""Computing items in a thread before they are needed."""

import collections
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def prefetch(items: Iterator[T], depth: int) -> Iterator[Iterator[T]]:
    """Yield an iterator over ``items`` whose next ``depth`` items a separate thread computes in advance.

    The thread starts at once. An exception raised by ``items`` is raised in place of the item. When the
    block ends, the item in progress is finished and no further one is started.
    """
    end: Any = object()
    pool = ThreadPoolExecutor(1, "prefetch")

    def in_order() -> Iterator[T]:
        while (item := pending.popleft().result()) is not end:
            pending.append(pool.submit(next, items, end))
            yield item

    try:
        pending = collections.deque(pool.submit(next, items, end) for _ in range(depth))
        yield in_order()
    finally:
        pool.shutdown(cancel_futures=True)
