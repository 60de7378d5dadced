"""The progress of a job: a bar on a terminal, or a line every few seconds in a log."""

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts how much of ``total`` is done and shows it with rates and the time left.

    ``unit`` names what ``total`` counts ("bytes", "papers"). Further quantities can be counted too
    (``advance(512, tokens=101_000)``); they are shown with their rates.
    """

    def __init__(self, total: int, unit: str) -> None:
        self.total = total
        self.unit = unit
        self.done = 0
        self.also: dict[str, int] = {}
        self._start = self._last_line = time.monotonic()
        self._bar = (
            tqdm(total=total, unit=f" {unit}", unit_scale=True, dynamic_ncols=True)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, amount: int, **also: int) -> None:
        """Add ``amount`` to what is done, and each of ``also`` to the quantity of its name."""
        self.done += amount
        for name, count in also.items():
            self.also[name] = self.also.get(name, 0) + count
        if self._bar is not None:
            self._bar.set_postfix({f"{name}/s": scaled(self.rate(name)) for name in self.also})
            self._bar.update(amount)
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            log.info("%s", self.line())

    @property
    def seconds(self) -> float:
        """Seconds since the start, at least 1e-9."""
        return max(time.monotonic() - self._start, 1e-9)

    def rate(self, name: str | None = None) -> float:
        """Return the mean rate per second: of the unit, or of the further quantity ``name``."""
        return (self.done if name is None else self.also.get(name, 0)) / self.seconds

    def line(self) -> str:
        """Return the progress as text, for example ``1.2 of 5.0 G bytes (24 %), 512 M bytes/s, 7 s left``."""
        parts = [
            f"{scaled(self.done)} of {scaled(self.total)} {self.unit} ({self.done / max(self.total, 1):.0%})",
            f"{scaled(self.rate())} {self.unit}/s",
            *(f"{scaled(self.rate(name))} {name}/s" for name in self.also),
            f"{duration((self.total - self.done) / max(self.rate(), 1e-9))} left",
        ]
        return ", ".join(parts)


def scaled(number: float) -> str:
    """Return ``number`` with three significant digits and a decimal prefix: 512, 1.23 k, 806 M."""
    for power, prefix in ((1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        # From 999.5 on, three digits would be rounded to the next prefix.
        if number >= 0.9995 * power:
            return f"{number / power:.3g}{prefix}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def duration(seconds: float) -> str:
    """Return a time span as text: ``45 s``, ``2 min 5 s``, ``3 h 20 min``, ``2 d 4 h``."""
    left = round(max(seconds, 0))
    for (unit, size), (smaller, part) in (
        (("d", 86400), ("h", 3600)),
        (("h", 3600), ("min", 60)),
        (("min", 60), ("s", 1)),
    ):
        if left >= size:
            return f"{left // size} {unit} {left % size // part} {smaller}"
    return f"{left} s"
