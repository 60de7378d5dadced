"""What SLURM's commands print, or why they give no answer."""

from collections.abc import Callable

import pytest
from arxiv_embeddings.slurm import commands as slurm_commands
from arxiv_embeddings.slurm.commands import NoAnswerError, output_of
from arxiv_embeddings.slurm.jobs import command_output


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "could not be started (No such file or directory)"),
        ("echo half; exit 3", "failed (exit code 3)"),
        ("echo one >&2; echo two >&2; exit 1", "failed (one two)"),
        ("exec /bin/sleep 30", "did not answer within 0.2 s"),
    ],
)
def test_a_command_that_gives_no_answer(
    script: str | None,
    reason: str,
    commands: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slurm_commands, "TIMEOUT_SECONDS", 0.2)
    if script:
        commands(squeue=script)
    with pytest.raises(NoAnswerError) as caught:
        output_of(["squeue"])
    assert str(caught.value) == reason
    assert command_output(["squeue"]) is None


def test_the_output_of_a_command(commands: Callable[..., None]) -> None:
    commands(squeue="printf 'a\\377b'; echo warning >&2")
    assert output_of(["squeue"]) == "a\ufffdb"
    assert command_output(["squeue"]) == "a\ufffdb"


def test_a_command_reads_nothing_from_the_terminal(commands: Callable[..., None]) -> None:
    commands(squeue="read line || echo nothing")
    assert output_of(["squeue"]) == "nothing\n"
