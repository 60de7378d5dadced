"""How the results of the models were made, as an HTML table."""

from typing import Any

from .html import HtmlTable, together

Manifest = dict[str, Any]

ORDERS = {"pandas": "as pandas draws it", "hash": "by a hash of seed and id"}
CHANGES = {
    "new": "new",
    "gone": "gone",
    "other_text": "with another text",
    "other_label": "with another label",
}


def provenance_table(
    manifests: dict[str, Manifest], map_reports: dict[str, dict[str, Any]]
) -> HtmlTable:
    """Return one row per fact and one column per model.

    Args:
        manifests: of the models' embeddings, by label.
        map_reports: ``map.json`` of the models, by label.
    """
    facts = [
        _facts(manifest) | _map_facts(map_reports[label]) for label, manifest in manifests.items()
    ]
    names = list(dict.fromkeys(name for own in facts for name in own))
    return HtmlTable(
        heading="Provenance",
        text="From manifest.json of each model, which also holds the checksums of every piece of vectors.",
        columns=["", *manifests],
        rows=[[name, *(own.get(name, "") for own in facts)] for name in names],
    )


def _facts(manifest: Manifest) -> dict[str, str]:
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


def _map_facts(map_report: dict[str, Any]) -> dict[str, str]:
    facts = {
        f"map: {name}": _text(value)
        for name, value in map_report.items()
        if not isinstance(value, dict | list)
    }
    return {**facts, "versions, map": _versions(map_report.get("versions", {}))}


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _text(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
