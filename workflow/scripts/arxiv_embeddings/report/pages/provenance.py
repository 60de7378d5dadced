"""How the results of the models were made, as an HTML table."""

from collections.abc import Sequence
from typing import Any

from ..names import METHODS
from .html import Cell, HtmlTable, together

Manifest = dict[str, Any]

ORDERS = {"pandas": "as pandas draws it", "hash": "by a hash of seed and id"}
CHANGES = {
    "new": "new",
    "gone": "gone",
    "other_text": "with another text",
    "other_label": "with another label",
}


def provenance_table(manifests: dict[str, Manifest]) -> HtmlTable:
    """Return one row per fact and one column per model.

    Args:
        manifests: of the models' embeddings, by label.
    """
    known = [facts(manifest) for manifest in manifests.values()]
    names = list(dict.fromkeys(name for own in known for name in own))
    return HtmlTable(
        heading="Provenance",
        text="From manifest.json of each model, which also holds the checksums of every piece of vectors.",
        columns=["", *manifests],
        rows=[[name, *(own.get(name, "") for own in known)] for name in names],
    )


def methods_table(reports: Sequence[dict[str, Any]]) -> HtmlTable:
    """Return one row per reduction and clustering of a model: its settings, and what it told of itself.

    Args:
        reports: as the methods wrote them.
    """
    return HtmlTable(
        heading="Methods",
        text="Of the first model; the other models have the same settings. Vectors were scaled to length 1 first.",
        columns=[
            "method",
            "dimensions",
            "seed",
            "settings",
            "told",
            "seconds",
            "memory",
            "versions",
        ],
        rows=[_method(report) for report in reports],
    )


def _method(report: dict[str, Any]) -> list[str | Cell]:
    name = METHODS[report["method"]]
    if reason := report.get("omitted"):
        return [name, *[""] * 3, f"omitted: {reason}", *[""] * 3]
    known = {
        "method",
        "papers",
        "dimensions",
        "seed",
        "settings",
        "seconds",
        "peak_bytes",
        "versions",
    }
    told = {
        key: value
        for key, value in report.items()
        if key not in known and not isinstance(value, dict | list)
    }
    settings, told_text = (
        Cell(", ".join(f"{key} {_text(value)}" for key, value in own.items()), note=True)
        for own in (report["settings"], told)
    )
    return [
        name,
        str(report.get("dimensions", "")),
        str(report["seed"]),
        settings,
        told_text,
        f"{report['seconds']:,.1f}",
        f"{report['peak_bytes'] / 1e9:.1f} GB",
        Cell(_versions(report["versions"]), note=True),
    ]


def facts(manifest: Manifest) -> dict[str, str]:
    """Return how the embeddings of a model were made, as short texts by name."""
    snapshot, records, sample = manifest["snapshot"], manifest["records"], manifest["sample"]
    checkpoint, pieces = manifest["checkpoint"], manifest["pieces"]
    rows, dimensions = manifest["embeddings"]["shape"]
    return {
        "snapshot": f"{snapshot['name']}, {snapshot['bytes']:,} bytes",
        "snapshot sha256": snapshot["sha256"],
        "records": f"{records['read']:,} read, {records['kept']:,} kept",
        "categories": ", ".join(manifest["request"]["corpus"]["categories"]) or "all",
        "sample": f"{sample['size']:,} of {sample['drawn_from']:,} papers, seed {sample['seed']}",
        "order of the sample": ORDERS[sample["order"]],
        **_changes(manifest["changes"]),
        "checkpoint": checkpoint["name"],
        "revision": checkpoint["revision"] or "none: a local folder",
        "checkpoint sha256": checkpoint["sha256"],
        **{f"encoder: {name}": _text(value) for name, value in manifest["encoder"].items()},
        "embeddings": f"{rows:,} × {dimensions:,}, {manifest['embeddings']['dtype']}",
        "vectors sha256": manifest["embeddings"]["vectors_sha256"],
        "tokens": f"{manifest['tokens']:,}",
        "pieces of vectors": f"{len(pieces):,}",
        "devices": together(piece["device"]["name"] for piece in pieces),
        "versions, embedding": together(_versions(piece["versions"]) for piece in pieces),
        "versions, merging": _versions(manifest["versions"]),
        "commit": manifest["commit"] or "unknown: not a git checkout",
    }


def _changes(changes: dict[str, int] | None) -> dict[str, str]:
    """Return how the papers differ from those of the result before; nothing for the first result."""
    if changes is None:
        return {}
    counts = [f"{changes[key]:,} {words}" for key, words in CHANGES.items() if changes[key]]
    return {"papers changed since the last result": ", ".join(counts) or "none"}


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _text(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
