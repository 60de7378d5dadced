"""What follows from the config: shards, settings, files, sizes. The rules use it; it needs no Snakemake."""

import json
import shlex
from pathlib import Path
from typing import Any

from ..common.errors import InputError
from .encoder_settings import EncoderSettings

WOS_FILES = ("X.txt", "YL1.txt", "YL2.txt")


def shard_ranges(papers: int, size: int) -> dict[str, tuple[int, int]]:
    """Return the shards of ``papers`` drawn papers: name to (first row, row after the last)."""
    return {
        f"{number:05d}": (start, min(start + size, papers))
        for number, start in enumerate(range(0, papers, size))
    }


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


def corpus_format(corpus: dict[str, Any]) -> str:
    """Return ``corpus.format``, by default arxiv. The default is not added to configs in manifests."""
    return str(corpus.get("format", "arxiv"))


def format_options(corpus: dict[str, Any]) -> str:
    """Return the options of ``filter_papers.py`` for the corpus format, quoted for a shell; none for arXiv."""
    if corpus_format(corpus) == "arxiv":
        return ""
    options = ["--format", corpus_format(corpus)]
    if "columns" in corpus:
        options += ["--columns", json.dumps(corpus["columns"])]
    return "".join(f" {shlex.quote(option)}" for option in options)


def category_prefixes(corpus: dict[str, Any]) -> list[str]:
    """Return the prefixes of the wanted categories; an empty list if all are wanted."""
    wanted = corpus.get("categories", "all")
    return [] if wanted == "all" else list(wanted)


def snapshot_files(path: Path, corpus_format: str) -> list[Path]:
    """Return the files of the snapshot ``path``: three in a folder for the format wos, else ``path``."""
    return [path / name for name in WOS_FILES] if corpus_format == "wos" else [path]


def snapshot_bytes(path: Path, corpus: dict[str, Any]) -> int:
    """Return the total size of the snapshot's files in bytes."""
    return sum(file.stat().st_size for file in snapshot_files(path, corpus_format(corpus)))


def report_matches(report: dict[str, Any], snapshot: Path, corpus: dict[str, Any]) -> bool:
    """Return whether the filter's ``report`` is about this snapshot (by its size) and these categories."""
    current = snapshot_bytes(snapshot, corpus), category_prefixes(corpus)
    return current == (report["snapshot"]["bytes"], report["categories"])


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
        papers, shards = "all papers", f"shards of {size:,}"
    else:
        papers = f"{sample['size']:,} papers"
        shards = f"{len(shard_ranges(sample['size'], size)):,} shard(s) of up to {size:,}"
    gigabytes = f"{snapshot_bytes(snapshot, corpus) / 1e9:.2f} GB"
    kind = "" if corpus_format(corpus) == "arxiv" else f", format {corpus_format(corpus)}"
    categories = ", ".join(category_prefixes(corpus)) or "all categories"
    lines = [
        f"Snapshot  {snapshot} ({gigabytes}{kind})",
        f"Papers    {papers} of {categories}, drawn with seed {sample['seed']}, in {shards}",
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
