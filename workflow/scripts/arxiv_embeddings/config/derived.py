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
# The first bytes of gzip, zstd, zip and Parquet files.
PACKED_STARTS = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK", b"PAR1")


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


def snapshot_files(path: Path, corpus_format: str) -> list[Path]:
    """Return the files of the snapshot ``path``: three in a folder for the format wos, else ``path``."""
    return [path / name for name in WOS_FILES] if corpus_format == "wos" else [path]


def snapshot_bytes(path: Path, corpus: dict[str, Any]) -> int:
    """Return the total size of the snapshot's files in bytes."""
    return sum(file.stat().st_size for file in snapshot_files(path, corpus["format"]))


def most_papers(path: Path, corpus_format: str) -> int | None:
    """Return a number of papers that the snapshot cannot exceed, from its size alone; None where it is packed.

    A record of arXiv needs at least its four keys and their quotes, one of a Web of Science set a letter and a line end
    in each of three files, one of a CSV a comma and a line end.
    """
    sizes = [file.stat().st_size for file in snapshot_files(path, corpus_format)]
    with snapshot_files(path, corpus_format)[0].open("rb") as file:
        if file.read(4).startswith(PACKED_STARTS):
            return None
    return min(sizes) // BYTES_OF_A_RECORD[corpus_format]


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


def summary(config: dict[str, Any], snapshot: Path, folder: str, gpu: bool) -> str:
    """Return a few lines that summarise the inputs, the settings and the results folder of a run.

    Args:
        config: the config with all defaults.
        snapshot: the path of the snapshot.
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
        f"Snapshot  {snapshot} ({gigabytes}{kind})",
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
