"""Items made in advance come in their order, with their errors, and not too many of them."""

import threading
import time
from collections.abc import Iterator

import pytest
from arxiv_embeddings.common.prefetch import ahead


def wait_until_quiet(made: list[int]) -> list[int]:
    """Return what is made when nothing more is added for a while."""
    before = None
    while before != len(made):
        before = len(made)
        time.sleep(0.1)
    return made


def test_items_come_in_order_and_are_made_in_another_thread() -> None:
    threads = set()

    def items() -> Iterator[int]:
        for item in range(20):
            threads.add(threading.current_thread())
            yield item

    with ahead(items(), depth=3) as given:
        assert list(given) == list(range(20))
    assert len(threads - {threading.main_thread()}) == 1


def test_no_more_are_made_than_the_depth_in_advance() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            made.append(item)
            yield item

    with ahead(items(), depth=3) as given:
        assert wait_until_quiet(made) == [0, 1, 2]  # before anything is asked for
        assert next(given) == 0
        assert wait_until_quiet(made) == [0, 1, 2, 3]
    assert wait_until_quiet(made) == [0, 1, 2, 3]


def test_nothing_more_is_begun_once_nobody_waits() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            made.append(item)
            time.sleep(0.2)
            yield item

    with ahead(items(), depth=10):
        pass
    assert len(wait_until_quiet(made)) <= 2


def test_an_error_comes_in_the_place_of_its_item() -> None:
    def items() -> Iterator[int]:
        yield from (0, 1)
        raise ValueError("third")

    got = []
    with pytest.raises(ValueError, match="third"), ahead(items(), depth=5) as given:
        for item in given:
            got.append(item)
    assert got == [0, 1]


def test_nothing_to_make_is_nothing_given() -> None:
    with ahead(iter(()), depth=2) as given:
        assert list(given) == []
