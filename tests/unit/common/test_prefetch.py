"""Prefetched items keep their order and their errors, and no more are computed than allowed."""

import threading
import time
from collections.abc import Iterator

import pytest
from arxiv_embeddings.common.prefetch import prefetch


def wait_until_quiet(computed: list[int]) -> list[int]:
    """Return ``computed`` once nothing has been added to it for a while."""
    before = None
    while before != len(computed):
        before = len(computed)
        time.sleep(0.1)
    return computed


def test_items_keep_their_order_and_are_computed_in_another_thread() -> None:
    threads = set()

    def items() -> Iterator[int]:
        for item in range(20):
            threads.add(threading.current_thread())
            yield item

    with prefetch(items(), depth=3) as prefetched:
        assert list(prefetched) == list(range(20))
    assert len(threads - {threading.main_thread()}) == 1


def test_at_most_depth_items_are_computed_in_advance() -> None:
    computed: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            computed.append(item)
            yield item

    with prefetch(items(), depth=3) as prefetched:
        assert wait_until_quiet(computed) == [0, 1, 2]  # before the first item is requested
        assert next(prefetched) == 0
        assert wait_until_quiet(computed) == [0, 1, 2, 3]
    assert wait_until_quiet(computed) == [0, 1, 2, 3]


def test_no_item_is_started_after_the_block() -> None:
    computed: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            computed.append(item)
            time.sleep(0.2)
            yield item

    with prefetch(items(), depth=10):
        pass
    assert len(wait_until_quiet(computed)) <= 2


def test_error_is_raised_in_place_of_its_item() -> None:
    def items() -> Iterator[int]:
        yield from (0, 1)
        raise ValueError("third")

    received = []
    with pytest.raises(ValueError, match="third"), prefetch(items(), depth=5) as prefetched:
        for item in prefetched:
            received.append(item)
    assert received == [0, 1]


def test_no_items_give_an_empty_iterator() -> None:
    with prefetch(iter(()), depth=2) as prefetched:
        assert list(prefetched) == []
