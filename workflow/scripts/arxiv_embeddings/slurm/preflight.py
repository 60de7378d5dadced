"""Find on the login node, before the first job is submitted, what would stop a run on a cluster."""

import contextlib
import itertools
import logging
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..config.derived import PACKED_STARTS
from .limits import NodeGroup, Request, accounts, partitions

log = logging.getLogger(__name__)

PROFILE = "profiles/slurm/config.yaml"

# A little less than the mean of arXiv's records, so that papers are overestimated.
BYTES_PER_RECORD = 1_400
# Size of an unpacked snapshot over the size of its packed file.
UNPACKED_RATIO = 4
# Assumed of a model whose config does not set them.
DIMENSIONS = 1_024

MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}
# Folders that each node usually has for itself.
NODE_FOLDERS = [Path("/tmp"), Path("/var/tmp")]  # noqa: S108 (nothing is written there)

VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def find_problems(
    requests: list[Request],
    *,
    snapshot_files: Sequence[Path],
    results: Path,
    model_sources: dict[str, str],
    models_folder: Path,
    bytes_needed: int,
    environment: Path,
) -> list[str]:
    """Find what would stop a run, in a few seconds and without the network.

    Where SLURM's commands are missing or do not answer, what they would show is not checked, and the
    log says so.

    Args:
        requests: the different requests of the rules; SLURM is not asked if there are none.
        snapshot_files: the files of the snapshot.
        results: the folder of this corpus's results; it need not exist.
        model_sources: maps the label of each model to its local folder or Hugging Face id.
        models_folder: contains a folder for each fetched model, named by its label.
        bytes_needed: what a complete run writes to ``results``; the size of what is there is subtracted.
        environment: the folder of the Python environment, ``sys.prefix``.

    Returns:
        One line per problem, which says what is wrong, where, and what to do.
    """
    return [
        *itertools.chain.from_iterable(map(_snapshot_problems, snapshot_files)),
        *_folder_problems(results, bytes_needed),
        *_model_problems(model_sources, models_folder),
        *_environment_problems(environment),
        *_joined(_slurm_problems(requests)),
    ]


def bytes_needed(snapshot_bytes: int, papers: int | None, dimensions: list[int | None]) -> int:
    """Return an upper estimate of the bytes that a run writes.

    1.1 * ``snapshot_bytes`` (papers.parquet and drawn.parquet 0.3 each, temporary files of sampling 0.5)
    + for each model papers * dimensions * 4 bytes * 3 (shards, merged matrix, unfinished chunks).

    Args:
        snapshot_bytes: size of the unpacked snapshot, see ``unpacked_bytes``.
        papers: in the sample; None for all: one paper per 1,400 bytes of the snapshot.
        dimensions: of each model's vectors; None where unknown, which counts as 1,024.
    """
    if papers is None:
        papers = snapshot_bytes // BYTES_PER_RECORD
    return snapshot_bytes * 11 // 10 + sum(papers * (d or DIMENSIONS) * 4 * 3 for d in dimensions)


def unpacked_bytes(snapshot: Path) -> int:
    """Return the size of a snapshot file in bytes; for a packed file four times its size.

    Raises:
        OSError: it cannot be read.
    """
    with snapshot.open("rb") as file:
        packed = file.read(4).startswith(PACKED_STARTS)
    return snapshot.stat().st_size * (UNPACKED_RATIO if packed else 1)


def _snapshot_problems(snapshot: Path) -> Iterator[str]:
    try:
        if not snapshot.exists():
            yield (
                f"The snapshot {snapshot} does not exist. "
                "Put it there, or set 'snapshot' in the config to its path."
            )
        # Opening a pipe would block.
        elif not snapshot.is_file():
            yield (
                f"The snapshot {snapshot} is not a regular file. "
                "Set 'snapshot' in the config to the path of the metadata file."
            )
        else:
            with snapshot.open("rb") as file:
                if not file.read(1):
                    yield f"The snapshot {snapshot} is empty. Download it again."
    except OSError as error:
        yield (
            f"The snapshot {snapshot} cannot be read ({error.strerror}). "
            "Fix its permissions or its disk, or set 'snapshot' in the config to another file."
        )


def _folder_problems(results: Path, bytes_needed: int) -> Iterator[str]:
    results = results.absolute()
    elsewhere = "use --directory with a folder on another disk"
    try:
        folder = next(path for path in (results, *results.parents) if path.exists())
        with tempfile.TemporaryFile(dir=folder) as file:
            # With a full quota, a file can be created but not written.
            file.write(b"x")
            file.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield (
            f"The results folder {results} cannot be written ({error.strerror}). "
            f"Fix its permissions, free space, or {elsewhere}."
        )
        return
    # Otherwise a run that is nearly done could not resume on a disk that is nearly full.
    needed = bytes_needed - _bytes_in(results)
    if needed > free:
        yield (
            f"The disk of {results} has {free / 1e9:.1f} GB free, but this run may write "
            f"{needed / 1e9:.1f} GB more. Free space, or {elsewhere}."
        )


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        # A job of an earlier run may remove its partial files meanwhile.
        with contextlib.suppress(OSError):
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
                f"{cache}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids downloading it. "
                "Unset the variable, or set the model's 'name' to a local folder."
            )


def _hub_cache() -> Path:
    """Return the folder of huggingface_hub's downloads, without the library: it may not be installed here."""
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
            f"The Python environment {environment} is in the memory of this machine ({kind}), which "
            "compute nodes cannot read. Install it in a folder that all nodes share."
        )
    elif any(environment.is_relative_to(folder.resolve()) for folder in NODE_FOLDERS):
        log.warning(
            "The Python environment %s is in a folder that nodes of most clusters do not share. "
            "If jobs do not find it, install it in a folder that all nodes share.",
            environment,
        )


def file_system(path: Path, mounts: str) -> str | None:
    """Return the type of the file system that holds ``path``; None where it is unknown.

    Args:
        path: absolute, without symbolic links.
        mounts: the content of /proc/mounts.
    """
    best, kind = -1, None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # Special characters are written as octal codes, a space as \040.
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        # Of two mounts on the same point, the later one hides the earlier one.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind


def _joined(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return one line per problem, which starts with all the rules that have it."""
    rules: dict[str, list[str]] = {}
    for rule, problem in found:
        names = rules.setdefault(problem, [])
        if rule not in names:
            names.append(rule)
    return [f"{', '.join(names)}: {problem}" for problem, names in rules.items()]


def _slurm_problems(requests: list[Request]) -> Iterator[tuple[str, str]]:
    """Yield the rule and the problem of every request that the cluster cannot meet."""
    if not requests:
        return
    groups = partitions()
    own_accounts = accounts() if any(request.account for request in requests) else None
    for request in requests:
        problems = _partition_problem(request, groups), _account_problem(request, own_accounts)
        yield from ((request.rule, problem) for problem in problems if problem)


def _partition_problem(request: Request, groups: list[NodeGroup] | None) -> str | None:
    """Return why no job of a request would start; None if nothing is wrong, or sinfo did not answer."""
    known = list(dict.fromkeys(group.partition for group in groups or []))
    listed = f" sinfo lists: {', '.join(known)}." if known else ""
    if request.partition and "$" in request.partition:
        return _unset_variable("partition", request.partition) + listed
    if groups is None:
        return None
    names = _chosen_partitions(request, groups)
    if not names:
        return (
            "no partition is set, and the cluster has no default partition. "
            f"Set slurm_partition in {PROFILE}.{listed}"
        )
    if unknown := [name for name in names if name not in known]:
        return (
            f"there is no partition {', '.join(map(repr, unknown))}. "
            f"Set slurm_partition in {PROFILE} to another one.{listed}"
        )
    chosen = [group for group in groups if group.partition in names and group.up]
    if not chosen:
        return (
            f"partition {','.join(names)} is not up, so no job starts there. Wait until it is up, "
            f"or set slurm_partition in {PROFILE} to another one.{listed}"
        )
    if any(group.fits(request) for group in chosen):
        return None
    return f"{_excess(request, ','.join(names), chosen)}. {_remedy(request, groups)}"


def _chosen_partitions(request: Request, groups: list[NodeGroup]) -> list[str]:
    """Return the partitions that a request names, or else the default ones, each once."""
    if request.partition:
        names = [name.strip() for name in request.partition.split(",")]
    else:
        names = [group.partition for group in groups if group.default]
    return list(dict.fromkeys(names))


def _excess(request: Request, partition: str, groups: list[NodeGroup]) -> str:
    """Say which parts of a request exceed what the nodes of a partition have."""
    amounts = [
        ("{} CPU(s)", request.cpus, max(group.cpus for group in groups)),
        ("{} MB of memory", request.mem_mb or 0, max(group.mem_mb for group in groups)),
        ("{} GPU(s)", request.gpus, max(group.gpus for group in groups)),
        ("{} minutes", request.minutes or 0, max(group.minutes for group in groups)),
    ]
    above = [amount for amount in amounts if amount[1] > amount[2]]
    requested = ", ".join(unit.format(f"{wanted:,}") for unit, wanted, _ in above or amounts)
    if not above:
        return f"no node of partition {partition} has everything that a job requests ({requested})"
    most = ", ".join(unit.format(f"{limit:,.0f}") for unit, _, limit in above)
    return f"a job requests {requested}, but partition {partition} gives at most {most}"


def _remedy(request: Request, groups: list[NodeGroup]) -> str:
    """Say how a request that fits no node of its partitions can be made to fit."""
    known = [group for group in groups if group.up and group.cpus < math.inf]
    fitting = dict.fromkeys(group.partition for group in known if group.fits(request))
    lower = f"Lower the request with set-resources or set-threads in {PROFILE}"
    if not fitting:
        return f"{lower}: it fits no partition of this cluster."
    return f"{lower}, or set slurm_partition there to one where it fits: {', '.join(fitting)}."


def _account_problem(request: Request, own_accounts: list[str] | None) -> str | None:
    """Return what is wrong with the account of a request; None if nothing is known to be."""
    if not request.account:
        return None
    listed = f" Your accounts: {', '.join(own_accounts)}." if own_accounts else ""
    if "$" in request.account:
        return _unset_variable("account", request.account) + listed
    if own_accounts is None or request.account.lower() in own_accounts:
        return None
    return (
        f"you have no account {request.account!r}. "
        f"Set slurm_account in {PROFILE} to one that you have.{listed}"
    )


def _unset_variable(kind: str, value: str) -> str:
    """Say why a partition or account still contains a "$": Snakemake expands variables that are set."""
    variables = [braced or bare for braced, bare in VARIABLE.findall(value)]
    if variables:
        reason = f"the environment variable {' or '.join(variables)} is not set. Export it"
    else:
        reason = "its '$' names no environment variable. Remove the '$'"
    return f"its {kind} is {value!r}: {reason}, or set slurm_{kind} in {PROFILE}."
