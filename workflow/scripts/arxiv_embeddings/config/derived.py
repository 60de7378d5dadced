"""What follows from the config: shards, settings, files, sizes. The rules use it; it needs no Snakemake."""

import json
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from .encoder_settings import EncoderSettings

WOS_FILES = ("X.txt", "YL1.txt", "YL2.txt")
# The shortest possible records, line end included.
BYTES_OF_A_RECORD = {
    "arxiv": len('{"id":"","title":"","abstract":"","categories":""}'),
    "wos": 2,
    "table": 4,
}
# The packing of a file by its first four bytes; a file with any other start is plain. A zstd file may begin with a
# skippable frame, as pzstd writes it (RFC 8878, section 3.1.2).
PACKINGS = {
    **{bytes([0x50 + number]) + b"\x2a\x4d\x18": "zstd" for number in range(16)},
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PAR1": "parquet",
}
PACKED_STARTS = tuple(PACKINGS)

# A file or folder, or several files of a table.
Snapshot = Path | list[Path]


def encoder_settings(model: dict[str, Any]) -> EncoderSettings:
    """Return the encoder settings of ``model``, an entry of ``models`` in the config."""
    names = ("pooling", "max_length", "normalize", "dtype", "prompt", "dimensions")
    # The default of architecture is not added to configs, so that older manifests still fit.
    architecture = model.get("architecture", EncoderSettings.architecture)
    return EncoderSettings(**{name: model[name] for name in names}, architecture=architecture)


def read_filter_report(path: Path) -> dict[str, Any]:
    """Return the report that ``filter_papers`` wrote.

    Raises:
        FileNotFoundError: the filter has not run yet. Snakemake takes this as "not known yet".
        InputError: the file is damaged.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        report["snapshot"]["bytes"], report["records"]["kept"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}). Delete it and run snakemake again."
        ) from error
    return report


def category_prefixes(corpus: dict[str, Any]) -> list[str]:
    """Return the prefixes of the wanted categories; an empty list if all are wanted."""
    wanted = corpus.get("categories", "all")
    return [] if wanted == "all" else list(wanted)


def levels(corpus: dict[str, Any]) -> list[str]:
    """Return the levels of the corpus's hierarchy, the coarsest first: two, unless a table names others."""
    named = (name for name in corpus.get("columns") or {} if name.startswith("category "))
    finest = max((int(name.removeprefix("category ")) for name in named), default=1)
    return [f"category {depth}" for depth in range(finest + 1)]


def snapshot_files(snapshot: Snapshot, corpus_format: str) -> list[Path]:
    """Return the files of the snapshot: three in a folder for the format wos, else those that it names."""
    if isinstance(snapshot, list):
        return snapshot
    return [snapshot / name for name in WOS_FILES] if corpus_format == "wos" else [snapshot]


def snapshot_name(snapshot: Snapshot) -> str:
    """Return the path or paths of the snapshot for a message."""
    return ", ".join(map(str, snapshot)) if isinstance(snapshot, list) else str(snapshot)


def snapshot_bytes(snapshot: Snapshot, corpus: dict[str, Any]) -> int:
    """Return the total size of the snapshot's files in bytes."""
    return sum(file.stat().st_size for file in snapshot_files(snapshot, corpus["format"]))


def most_papers(snapshot: Snapshot, corpus_format: str) -> int | None:
    """Return a number of papers that the snapshot cannot exceed, from its size alone; None where it is packed.

    A record of arXiv needs at least its four keys and their quotes, one of a Web of Science set a letter and a line end
    in each of three files, one of a CSV a comma and a line end.
    """
    files = snapshot_files(snapshot, corpus_format)
    if any(map(is_packed, files)):
        return None
    sizes = [file.stat().st_size for file in files]
    # Each file of a Web of Science set describes all papers.
    size = min(sizes) if corpus_format == "wos" else sum(sizes)
    return size // BYTES_OF_A_RECORD[corpus_format]


def is_packed(path: Path) -> bool:
    """Return whether a file is packed, so that its size says little of its content."""
    with path.open("rb") as file:
        return file.read(4).startswith(PACKED_STARTS)


def check_sample_size(size: int | None, papers: int) -> None:
    """Fail if a sample of ``size`` papers (None: all) cannot be drawn from ``papers``."""
    if size is not None and size > papers:
        raise InputError(
            f"sample.size asks for {size:,} papers, but only {papers:,} passed the filter. "
            "Lower sample.size, set it to all, or widen corpus.categories."
        )


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Return whether this machine has an NVIDIA or AMD GPU, judged by the device files in ``devices``."""
    return any(devices.glob("nvidia[0-9]*")) or (devices / "kfd").exists()


def summary(config: dict[str, Any], snapshot: Snapshot, folder: str, gpu: bool) -> str:
    """Return a few lines that summarise the inputs, the settings and the results folder of a run.

    Args:
        config: the config with all defaults.
        snapshot: the snapshot.
        folder: the folder of the results.
        gpu: whether shards are embedded on GPUs.
    """
    corpus, sample, size = config["corpus"], config["sample"], config["shards"]["size"]
    if sample["size"] == "all":
        papers, shards = "all papers", f"shards of up to {size:,}"
    else:
        papers = f"{sample['size']:,} papers"
        shards = f"at most {-(-sample['size'] // size):,} shard(s) of up to {size:,}"
    gigabytes = f"{snapshot_bytes(snapshot, corpus) / 1e9:.2f} GB"
    kind = "" if corpus["format"] == "arxiv" else f", format {corpus['format']}"
    categories = ", ".join(category_prefixes(corpus)) or "all categories"
    lines = [
        f"Snapshot  {snapshot_name(snapshot)} ({gigabytes}{kind})",
        f"Papers    {papers} of {categories}, drawn with seed {sample['seed']}",
        f"Jobs      {shards}; papers whose vectors are in the vector store need none",
    ]
    for model in config["models"]:
        asked = encoder_settings(model).to_dict()
        settings = ", ".join(
            f"{name} {asked[name]}" for name in ("pooling", "max_length", "normalize", "dtype")
        )
        lines.append(f"Model     {model['label']}: {model['name']} ({settings})")
    lines.append(
        f"Device    {'GPU' if gpu else 'CPU (this machine has no GPU): fine for a demo, slow for a corpus'}"
    )
    lines.append(f"Results   {folder}")
    return "\n".join(lines)
