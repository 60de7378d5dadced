"""What would stop a run on a cluster, found on the login node before the first job is submitted."""

import contextlib
import itertools
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .limits import NodeGroup, Request, accounts, partitions

log = logging.getLogger(__name__)

PROFILE = "profiles/slurm/config.yaml"
BYTES_PER_RECORD = (
    1_400  # a little less than the mean of real records, so that papers are overestimated
)
PACKED_STARTS = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK", b"PAR1")  # gzip, zstd, zip, Parquet
PACKED = 4  # an unpacked snapshot is about as many times as large
DIMENSIONS = 1_024

MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}
NODE_FOLDERS = [Path("/tmp"), Path("/var/tmp")]  # noqa: S108 (nothing is written there)

VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def problems(
    requests: list[Request],
    snapshot_files: Sequence[Path],
    results: Path,
    model_sources: dict[str, str],
    models_folder: Path,
    bytes_needed: int,
    environment: Path,
) -> list[str]:
    """Find what would stop a run, within seconds and without the network.

    Where SLURM's commands are missing or do not answer, what they would tell is not checked, and the
    log says so.

    Args:
        requests: one for each rule that is submitted; SLURM is not asked when there are none.
        snapshot_files: the metadata file; of some formats several.
        results: the folder of this corpus's results; it need not exist yet.
        model_sources: label of each model to its local directory or Hugging Face id.
        models_folder: holds a folder of each fetched model, by label.
        bytes_needed: what a whole run writes to ``results``; what lies there already is subtracted.
        environment: the folder of the Python environment, ``sys.prefix``.

    Returns:
        One line for each problem, which says what is wrong, where, and what to do; none if all is well.
    """
    return [
        *itertools.chain.from_iterable(map(_snapshot_problems, snapshot_files)),
        *_folder_problems(results, bytes_needed),
        *_model_problems(model_sources, models_folder),
        *_environment_problems(environment),
        *_joined(_slurm_problems(requests)),
    ]


def bytes_needed(snapshot_bytes: int, papers: int | None, dimensions: list[int | None]) -> int:
    """Estimate from above how many bytes a run writes.

    1.1 * ``snapshot_bytes`` (papers.parquet and drawn.parquet 0.3 each, the buckets while sampling 0.5)
    + for each model papers * dimensions * 4 bytes * 3 (shards, merged matrix, unfinished chunks).

    Args:
        snapshot_bytes: of the unpacked snapshot, see ``unpacked_bytes``.
        papers: in the sample; None for all, then a paper for every 1,400 bytes of the snapshot.
        dimensions: of each model's vectors; None where unknown, then 1,024.
    """
    if papers is None:
        papers = snapshot_bytes // BYTES_PER_RECORD
    return snapshot_bytes * 11 // 10 + sum(papers * (d or DIMENSIONS) * 4 * 3 for d in dimensions)


def unpacked_bytes(snapshot: Path) -> int:
    """Return the size of a file of the snapshot in bytes, for a packed one four times its size.

    Raises:
        OSError: it cannot be read.
    """
    with snapshot.open("rb") as file:
        packed = file.read(4).startswith(PACKED_STARTS)
    return snapshot.stat().st_size * (PACKED if packed else 1)


def _snapshot_problems(snapshot: Path) -> Iterator[str]:
    try:
        if not snapshot.exists():
            yield f"There is no snapshot {snapshot}. Put it there, or set 'snapshot' to where it is."
        elif not snapshot.is_file():  # opening a pipe would wait for ever
            yield f"The snapshot {snapshot} is no file. Set 'snapshot' to the metadata file."
        else:
            with snapshot.open("rb") as file:
                if not file.read(1):
                    yield f"The snapshot {snapshot} is empty. Download it again."
    except OSError as error:
        yield (
            f"The snapshot {snapshot} cannot be read ({error.strerror}). "
            "Mend its permissions or its disk, or set 'snapshot' to another file."
        )


def _folder_problems(results: Path, bytes_needed: int) -> Iterator[str]:
    results = results.absolute()
    elsewhere = "run with --directory on another disk"
    try:
        folder = next(path for path in (results, *results.parents) if path.exists())
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")  # a full quota refuses only this
            file.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield (
            f"The results folder {results} cannot be written ({error.strerror}). "
            f"Mend its permissions or make room, or {elsewhere}."
        )
        return
    # Or a run that is nearly done could not go on once its disk is nearly full.
    needed = bytes_needed - _bytes_in(results)
    if needed > free:
        yield (
            f"The disk of {results} has {free / 1e9:.1f} GB free, and this run may write "
            f"{needed / 1e9:.1f} GB more. Make room, or {elsewhere}."
        )


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a job may go on and remove its partial files
            total += path.lstat().st_size
    return total


def _model_problems(sources: dict[str, str], folder: Path) -> Iterator[str]:
    offline = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    if offline.upper() not in {"1", "ON", "YES", "TRUE"}:
        return
    cache = _hub_cache()
    for label, source in sources.items():
        cached = cache / f"models--{source.replace('/', '--')}" / "snapshots"
        if not (
            (folder / label / "checkpoint.json").is_file()
            or Path(source).is_dir()
            or any(cached.glob("*/config.json"))
        ):
            yield (
                f"Model {label}: {source} is neither in {folder / label} nor in the Hugging Face cache "
                f"{cache}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to download it. "
                "Unset the variable, or set the model's 'name' to a local directory."
            )


def _hub_cache() -> Path:
    """Return where huggingface_hub keeps its downloads; it may be absent from this environment."""
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{user}/huggingface"
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(os.path.expandvars(cache or f"{home}/hub")).expanduser()


def _environment_problems(environment: Path) -> Iterator[str]:
    environment = environment.resolve()
    try:
        mounts = Path("/proc/mounts").read_text(errors="surrogateescape")
    except OSError as error:
        log.info("%s, so the file system of %s could not be checked.", error, environment)
        mounts = ""
    if (kind := file_system(environment, mounts)) in MEMORY_FILE_SYSTEMS:
        yield (
            f"The Python environment {environment} lies in the memory of this machine ({kind}), where "
            "compute nodes do not see it. Install it in a folder that all nodes share."
        )
    elif any(environment.is_relative_to(folder.resolve()) for folder in NODE_FOLDERS):
        log.warning(
            "The Python environment %s lies in a folder that most clusters do not share between nodes. "
            "If jobs do not find it, install it in one that all nodes share.",
            environment,
        )


def file_system(path: Path, mounts: str) -> str | None:
    """Return the type of the file system that ``path`` (absolute, resolved) lies on, if it is known.

    Args:
        path: an absolute path without symbolic links.
        mounts: the text of /proc/mounts.
    """
    best, kind = -1, None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        # Of two mounts on one point, the later one hides the other.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind


def _joined(found: Iterable[tuple[str, str]]) -> list[str]:
    """Make one line of the rules that share a problem."""
    rules: dict[str, list[str]] = {}
    for rule, problem in found:
        names = rules.setdefault(problem, [])
        if rule not in names:
            names.append(rule)
    return [f"{', '.join(names)}: {problem}" for problem, names in rules.items()]


def _slurm_problems(requests: list[Request]) -> Iterator[tuple[str, str]]:
    """Yield (rule, problem)."""
    if not requests:
        return
    groups = partitions()
    known = accounts() if any(request.account for request in requests) else None
    for request in requests:
        for problem in (
            *_partition_problems(request, groups),
            *_account_problems(request, known),
        ):
            yield request.rule, problem


def _partition_problems(request: Request, groups: list[NodeGroup] | None) -> Iterator[str]:
    known = list(dict.fromkeys(group.partition for group in groups or []))
    listed = f" sinfo shows: {', '.join(known)}." if known else ""
    if request.partition and "$" in request.partition:
        yield _unset("partition", request.partition) + listed
        return
    if groups is None:
        return
    if request.partition:
        names = [name.strip() for name in request.partition.split(",")]
    else:
        names = [group.partition for group in groups if group.default]
        if not names:
            yield (
                "no partition is set, and the cluster has no default one. "
                f"Write one as slurm_partition into {PROFILE}.{listed}"
            )
            return
    if unknown := [name for name in names if name not in known]:
        yield (
            f"there is no partition {', '.join(map(repr, unknown))}. "
            f"Write another one as slurm_partition into {PROFILE}.{listed}"
        )
        return
    partition = ",".join(dict.fromkeys(names))
    chosen = [group for group in groups if group.partition in names and group.up]
    if not chosen:
        yield (
            f"partition {partition} is not up, so no job starts there. Wait until it is, "
            f"or write another one as slurm_partition into {PROFILE}.{listed}"
        )
    elif not any(group.fits(request) for group in chosen):
        fitting = dict.fromkeys(
            group.partition for group in groups if group.up and group.fits(request)
        )
        others = f"; these fit: {', '.join(fitting)}" if fitting else "; none here fits"
        yield (
            f"{_excess(request, partition, chosen)}. Ask for less by set-resources or set-threads in "
            f"{PROFILE}, or for another partition by slurm_partition there{others}."
        )


def _excess(request: Request, partition: str, groups: list[NodeGroup]) -> str:
    """Say which part of a request is more than the nodes of a partition have."""
    amounts = [
        ("{} CPU(s)", request.cpus, max(group.cpus for group in groups)),
        ("{} MB of memory", request.mem_mb or 0, max(group.mem_mb for group in groups)),
        ("{} GPU(s)", request.gpus, max(group.gpus for group in groups)),
        ("{} minutes", request.minutes or 0, max(group.minutes for group in groups)),
    ]
    above = [amount for amount in amounts if amount[1] > amount[2]]
    asked = ", ".join(unit.format(f"{wanted:,}") for unit, wanted, _ in above or amounts)
    if not above:
        return f"no node of partition {partition} has all that a job asks for at once ({asked})"
    most = ", ".join(unit.format(f"{limit:,.0f}") for unit, _, limit in above)
    return f"a job asks for {asked}; partition {partition} gives at most {most}"


def _account_problems(request: Request, accounts: list[str] | None) -> Iterator[str]:
    if not request.account:
        return
    listed = f" Yours: {', '.join(accounts)}." if accounts else ""
    if "$" in request.account:
        yield _unset("account", request.account) + listed
    elif accounts is not None and request.account.lower() not in accounts:
        yield (
            f"you have no account {request.account!r}. "
            f"Write one as slurm_account into {PROFILE}.{listed}"
        )


def _unset(kind: str, value: str) -> str:
    variables = [braced or bare for braced, bare in VARIABLE.findall(value)]
    unset = (
        f"the environment variable {' or '.join(variables)} is not set. Export it"
        if variables
        else "it holds a '$' that names no environment variable. Remove that"
    )
    return f"its {kind} is {value!r}: {unset}, or write the {kind} as slurm_{kind} into {PROFILE}."
