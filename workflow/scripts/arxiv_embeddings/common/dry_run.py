"""The jobs of a dry run, one line each and in order. Snakemake prints three lines for each, in random order."""

import logging
from collections.abc import Iterable


class JobList(logging.Filter):
    """A filter of Snakemake's logger that prints the jobs of a dry run above the last table of counts.

    Tried with Snakemake 9.27.

    Args:
        rules: names of the rules, in the order in which their jobs are printed; other rules come last.
        note: a line to print below the jobs, if there are any; empty for none.
    """

    def __init__(self, rules: Iterable[str], note: str = "") -> None:
        super().__init__()
        self._order = {name: number for number, name in enumerate(rules)}
        self._note = note
        self._jobs: list[tuple[int, str, str, str]] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep back what Snakemake says of a job, and add all jobs to the table."""
        event = getattr(record, "event", None)
        if event == "job_info":
            self._add(**vars(record))
        elif event == "run_info" and self._jobs:
            lines = [line for *_, line in sorted(self._jobs)]
            record.msg = "\n".join(
                [*lines, "", *([self._note, ""] if self._note else []), record.msg]
            )
        # The last one follows each checkpoint; Snakemake says it again at the end.
        return event not in ("job_info", "shellcmd") and not record.msg.startswith("DAG of jobs")

    def _add(
        self,
        *,
        rule_name: str,
        rule_msg: str | None,
        wildcards: dict[str, str],
        reason: str,
        **_: object,
    ) -> None:
        # "Missing output files: a, b; Code has changed since last execution" without the names of the files.
        reasons = ", ".join(part.partition(":")[0].strip().lower() for part in reason.split(";"))
        values = ", ".join(wildcards.values())
        what = ": ".join(filter(None, [rule_name, rule_msg or values]))
        line = f"{what} ({reasons})"
        self._jobs.append((self._order.get(rule_name, len(self._order)), rule_name, values, line))
