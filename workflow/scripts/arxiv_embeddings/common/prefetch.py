"""Items that are made before they are asked for."""

import collections
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def ahead(items: Iterator[T], depth: int) -> Iterator[Iterator[T]]:
    """Yield an iterator over ``items`` that a thread of its own makes, at most ``depth`` in advance.

    It begins at once. An error in making an item is raised where the item would have come.
    """
    end: Any = object()
    pool = ThreadPoolExecutor(1, "ahead")

    def given() -> Iterator[T]:
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item

    try:
        waiting = collections.deque(pool.submit(next, items, end) for _ in range(depth))
        yield given()
    finally:
        pool.shutdown(cancel_futures=True)
