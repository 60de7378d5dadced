"""Progress is counted and shown with readable numbers, rates and times."""

import logging

import pytest
from arxiv_embeddings.common import progress
from arxiv_embeddings.common.progress import Progress, duration, scaled


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (3, "3"),
        (1.234, "1.23"),
        (99.96, "100"),
        (512, "512"),
        (999.4, "999"),
        (999.6, "1 k"),
        (1_000, "1 k"),
        (1_234, "1.23 k"),
        (999_999, "1 M"),
        (806e6, "806 M"),
        (2e9, "2 G"),
        (4.5e12, "4.5 T"),
        (3e15, "3 P"),
    ],
)
def test_numbers_have_three_digits_and_a_prefix(number: float, text: str) -> None:
    assert scaled(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (86_400, "1 d 0 h"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class Clock:
    """A clock that only the test advances."""

    now = 100.0

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_line_shows_share_rates_and_time_left(clock: Clock) -> None:
    with Progress(2_000, "papers") as counted:
        clock.now += 4
        counted.advance(300, tokens=8_000)
        counted.advance(200, tokens=2_000, words=4)
    assert counted.seconds == 4
    assert counted.rate() == 125
    assert counted.rate("tokens") == 2_500
    assert counted.line() == (
        "500 of 2 k papers (25%), 125 papers/s, 2.5 k tokens/s, 1 words/s, 12 s left"
    )


def test_nothing_done_is_shown_without_a_division_by_zero(clock: Clock) -> None:
    counted = Progress(0, "bytes")
    assert counted.line().startswith("0 of 0 bytes (0%), 0 bytes/s, ")
    assert counted.rate("tokens") == 0


def test_a_line_is_logged_every_ten_seconds(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    counted = Progress(100, "papers")
    for _ in range(25):
        clock.now += 1
        counted.advance(1)
    assert [record.message.split(" of ")[0] for record in caplog.records] == ["10", "20"]
