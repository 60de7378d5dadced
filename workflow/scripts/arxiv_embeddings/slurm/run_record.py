"""What the last run of a corpus set out to make: the file plan.json in its results folder."""

import contextlib
import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from ..common.errors import InputError
from ..config.derived import read_filter_report


@dataclass(frozen=True)
class Plan:
    """What the last run of a corpus set out to make.

    ``papers`` is None where the size of the sample is not known yet; ``started`` is local time.
    """

    folder: Path
    papers: int | None
    shard_size: int
    models: list[str]
    started: datetime.datetime
    executor: str

    @property
    def corpus(self) -> str:
        """The name of the corpus."""
        return self.folder.resolve().name

    @property
    def workdir(self) -> Path:
        """The folder that the workflow runs in."""
        return self.folder.resolve().parent.parent

    @property
    def user(self) -> str | None:
        """The number of the user whose run it is."""
        try:
            return str((self.folder / "plan.json").stat().st_uid)
        except OSError:
            return None

    def log_of(self, model: str, shard: str) -> Path:
        """Return where the log of a shard lies."""
        return self.workdir / f"logs/{self.corpus}/{model}/embed_shard/{shard}.log"


def read_plan(folder: Path) -> Plan:
    """Return the plan of the results in ``folder``.

    Raises:
        InputError: there is none yet, or it is damaged.
    """
    path = folder / "plan.json"
    try:
        content = json.loads(path.read_text())
        papers, size = content["papers"], int(content["shard_size"])
        started = datetime.datetime.fromisoformat(content["started"])
        if started.tzinfo is not None:
            started = started.astimezone().replace(tzinfo=None)
        if size < 1:
            raise ValueError(f"shard_size is {size}")
        models = [str(model) for model in content["models"]]
        plan = Plan(folder, papers, size, models, started, str(content["executor"]))
        if papers is None:
            # The sample is all papers, known when they are filtered.
            with contextlib.suppress(FileNotFoundError, InputError):
                kept = int(read_filter_report(folder / "filter.json")["records"]["kept"])
                plan = Plan(folder, kept, size, models, started, plan.executor)
        elif not isinstance(papers, int) or papers < 1:
            raise ValueError(f"papers is {papers!r}")
    except FileNotFoundError:
        raise InputError(
            f"There is no {path}: no run has been started there. Start one, or name the folder of results "
            "with --results."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}). Try again; the next run writes it anew."
        ) from error
    return plan


def rivals(plan: Plan) -> list[Plan]:
    """Return the other plans in the same working directory."""
    plans = []
    for path in sorted(plan.folder.resolve().parent.glob("*/plan.json")):
        if path.parent != plan.folder.resolve():
            with contextlib.suppress(FileNotFoundError, InputError):
                plans.append(read_plan(path.parent))
    return plans
