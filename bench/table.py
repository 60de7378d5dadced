"""The table that bench/encode.py writes, as Markdown."""

from typing import Any

from arxiv_embeddings.common.progress import scaled
from contenders import DEFAULT_BATCH

REFERENCE = "ours, float32"
NOTEBOOK = "the notebook's loop"


def markdown(result: dict[str, Any]) -> str:
    """Return the table and the notes that are needed to read and reproduce it."""
    speeds = {row["contender"]: row["papers_per_second"] for row in result["rows"]}
    base = f"sentence-transformers, float32, batch {DEFAULT_BATCH}"
    if base not in speeds:  # it is not installed
        base = NOTEBOOK
    rates = ", ".join(
        f"{dtype} {scaled(rate)}FLOP/s" for dtype, rate in result["matmul_flop_per_second"].items()
    )
    job, device, processor = result["job"], result["device"], result["processor"]
    lines = [
        "| contender | papers/s | × | tokens/s | FLOP/s | share | memory | cosine: mean, least |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(row, speeds[base]) for row in result["rows"]),
        "",
        *_ratios(speeds),
        f"- {result['papers']:,} papers of {result['papers_file']}, {result['tokens'] / result['papers']:.0f} tokens on "
        f"average, at most {result['max_length']}; {result['model']}; medians of {result['rounds']} round(s); the contenders take turns within one run.",
        f"- Matrix products of the model's shapes alone: {rates}.",
        f"- A whole job of {job['papers']:,} papers ({job['dtype']}; attention: {job['attention']}), from start to end of its process: "
        f"{job['seconds']:.1f} s, of which {job['embedding_seconds']:.1f} s embedding "
        f"({job['papers'] / job['embedding_seconds']:,.1f} papers/s, tokenizing in parallel to the forward pass); "
        f"at most {scaled(job['main_memory_bytes'])}B of main memory.",
        f"- {device['name']}; CPU {processor['name']}, {processor['threads']} threads; "
        + ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        + ".",
        f"- {result['date']}, commit {result['commit']}: `{result['command']}`",
        "",
        f"×: speed relative to {base}. FLOP/s: of the model's matrix products for the texts' tokens, without padding. "
        "share: FLOP/s divided by those of the matrix products alone, in the contender's dtype. memory: peak during "
        f"encoding, without the loaded models. cosine: to {REFERENCE}; mean and minimum.",
    ]
    return "\n".join(lines)


def _line(row: dict[str, Any], base: float) -> str:
    memory = "–" if row["memory_bytes"] is None else f"{scaled(row['memory_bytes'])}B"
    cells = [
        row["contender"],
        f"{row['papers_per_second']:,.1f}",
        f"{row['papers_per_second'] / base:.2f}",
        scaled(row["tokens_per_second"]),
        scaled(row["flop_per_second"]),
        f"{row['share_of_matmul_rate']:.0%}",
        memory,
        f"{row['cosine_mean']:.7f}, {row['cosine_least']:.7f}",
    ]
    return f"| {' | '.join(cells)} |"


def _ratios(speeds: dict[str, float]) -> list[str]:
    """Return the encoder's speed against the fastest of sentence-transformers and the notebook's loop."""
    theirs = {name: speed for name, speed in speeds.items() if name.startswith("sentence-")}
    best = max(theirs, key=theirs.__getitem__, default=NOTEBOOK)
    own = max(theirs, key=lambda name: theirs[name] * ("float32" in name), default=NOTEBOOK)
    lines = []
    for name, speed in speeds.items():
        if name.startswith("ours"):
            rivals = {own if name == REFERENCE else best, NOTEBOOK}
            times = (f"{speed / speeds[rival]:.2f} × {rival}" for rival in sorted(rivals))
            lines.append(f"- {name}: {', '.join(times)}.")
    return lines
