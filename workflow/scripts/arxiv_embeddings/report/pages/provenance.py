"""How the results of the models were made, as an HTML table."""

from typing import Any

from ...config.derived import category_prefixes
from .html import HtmlTable, together

Manifest = dict[str, Any]


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
        text="From manifest.json of each model, which also holds the checksums of every shard.",
        columns=["", *manifests],
        rows=[[name, *(own.get(name, "") for own in facts)] for name in names],
    )


def _facts(manifest: Manifest) -> dict[str, str]:
    snapshot, records, sample = manifest["snapshot"], manifest["records"], manifest["sample"]
    checkpoint, shards = manifest["checkpoint"], manifest["shards"]
    rows, dimensions = manifest["embeddings"]["shape"]
    return {
        "snapshot": f"{snapshot['name']}, {snapshot['bytes']:,} bytes",
        "snapshot sha256": snapshot["sha256"],
        "records": f"{records['read']:,} read, {records['kept']:,} kept",
        "categories": ", ".join(category_prefixes(manifest["config"]["corpus"])) or "all",
        "sample": f"{sample['size']:,} of {sample['drawn_from']:,} papers, seed {sample['seed']}",
        "checkpoint": checkpoint["name"],
        "revision": checkpoint["revision"] or "none: a local folder",
        "checkpoint sha256": checkpoint["sha256"],
        **{f"encoder: {name}": _text(value) for name, value in manifest["encoder"].items()},
        "embeddings": f"{rows:,} × {dimensions:,}, {manifest['embeddings']['dtype']}",
        "vectors sha256": manifest["embeddings"]["vectors_sha256"],
        "tokens": f"{manifest['tokens']:,}",
        "shards": f"{len(shards):,}",
        "devices": together(shard["device"]["name"] for shard in shards),
        "versions, embedding": together(_versions(shard["versions"]) for shard in shards),
        "versions, merging": _versions(manifest["versions"]),
        "commit": manifest["commit"] or "unknown: not a git checkout",
    }


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
