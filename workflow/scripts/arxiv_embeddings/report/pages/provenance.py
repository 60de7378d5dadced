"""Where the results of the models come from, as a table to read."""

from typing import Any

from ...config.derived import category_prefixes
from .table import Table, together

Manifest = dict[str, Any]


def provenance_table(manifests: dict[str, Manifest], maps: dict[str, Manifest]) -> Table:
    """Return one row a fact and one column a model.

    Args:
        manifests: of the models' embeddings, by label.
        maps: ``map.json`` of the models, by label.
    """
    facts = [_facts(manifest) | _map_facts(maps[label]) for label, manifest in manifests.items()]
    names = list(dict.fromkeys(name for own in facts for name in own))
    return Table(
        heading="Provenance",
        text="From the manifests beside the embeddings, which also hold the checksums of every shard.",
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
        "revision": checkpoint["revision"] or "a local directory",
        "checkpoint sha256": checkpoint["sha256"],
        **{f"encoder: {name}": _text(value) for name, value in manifest["encoder"].items()},
        "embeddings": f"{rows:,} × {dimensions:,}, {manifest['embeddings']['dtype']}",
        "vectors sha256": manifest["embeddings"]["vectors_sha256"],
        "tokens": f"{manifest['tokens']:,}",
        "shards": f"{len(shards):,}",
        "devices": together(shard["device"]["name"] for shard in shards),
        "versions, embedding": together(_versions(shard["versions"]) for shard in shards),
        "versions, merging": _versions(manifest["versions"]),
        "commit": manifest["commit"] or "not known: no git checkout",
    }


def _map_facts(about: Manifest) -> dict[str, str]:
    plain = {
        name: value
        for name, value in about.items()
        if name not in ("versions",) and not isinstance(value, dict | list)
    }
    facts = {f"map: {name}": _text(value) for name, value in plain.items()}
    return {**facts, "versions, map": _versions(about.get("versions", {}))}


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _text(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
