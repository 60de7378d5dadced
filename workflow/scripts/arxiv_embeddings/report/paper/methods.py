"""A text on the methods, to paste into a paper, with the settings and versions of these results filled in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..names import METHODS, metric_name

Report = dict[str, Any]

# The entries that the text cites.
REFERENCES = Path(__file__).with_name("references.bib")

CITATIONS = {
    "pca": "pedregosa2011",
    "phate": "moon2019",
    "umap": "mcinnes2018",
    "tsne": "vandermaaten2008; @policar2024",
    "pacmap": "wang2021",
    "trimap": "amid2019",
    "kmeans": "pedregosa2011",
    "ward": "ward1963",
    "average": "pedregosa2011",
    "hdbscan": "campello2013",
    "diffusion_condensation": "brugnone2019",
}


def methods_text(
    manifests: Mapping[str, dict[str, Any]],
    reductions: Sequence[Report],
    clusterings: Sequence[Report],
    *,
    papers: int,
    levels: Sequence[str],
    best_by: str,
) -> str:
    """Return the text in Markdown, with the keys of references.bib as citations.

    Args:
        manifests: ``manifest.json`` of every model, by label.
        reductions: the reports of one model's reductions.
        clusterings: the reports of its clusterings.
        papers: how many papers take part in the evaluation.
        levels: of the hierarchy, the coarsest first.
        best_by: the score that ranks the cells.
    """
    first = next(iter(manifests.values()))
    sample, snapshot = first["sample"], first["snapshot"]
    paragraphs = [
        f"From the snapshot {snapshot['name']} (sha256 {snapshot['sha256'][:12]}…) we drew {sample['size']:,} of "
        f"{sample['drawn_from']:,} papers with seed {sample['seed']}. The workflow is written in Snakemake [@molder2021].",
        *(_model(label, manifest) for label, manifest in manifests.items()),
        f"The first {papers:,} papers of the sample took part in the evaluation. Vectors were scaled to length 1. "
        f"They were reduced by: {_list(reductions)}. Each reduction was clustered by: {_list(clusterings)}, into as "
        f"many clusters as each of the {len(levels)} levels of the hierarchy has classes.",
        "Clusterings were compared with the classes by the adjusted Rand index [@hubert1985], adjusted mutual information "
        "[@vinh2010], V-measure, homogeneity and completeness [@rosenberg2007], the Rand index and the Fowlkes-Mallows "
        "index; trees also by dendrogram purity [@heller2005], LCA-F1 and the normalised cost of Dasgupta "
        "[@dasgupta2016]; maps by trustworthiness and continuity [@venna2001] and DEMaP [@moon2019]. "
        f"Configurations are ranked by {metric_name(best_by)} at {levels[-1]}. Intervals are 95 % intervals from "
        "subsamples in which clusters and neighbours were found again; differences are paired by subsample and corrected for the number of "
        "comparisons [@holm1979].",
        f"Versions: {_versions([*reductions, *clusterings])}.",
    ]
    return "# Methods\n\n" + "\n\n".join(paragraphs) + "\n"


def _model(label: str, manifest: dict[str, Any]) -> str:
    encoder, checkpoint = manifest["encoder"], manifest["checkpoint"]
    rows, dimensions = manifest["embeddings"]["shape"]
    revision = f", revision {checkpoint['revision']}" if checkpoint["revision"] else ""
    return (
        f"Model {label}: {checkpoint['name']}{revision}, {encoder['pooling']} pooling, at most {encoder['max_length']:,} "
        f"tokens, {encoder['dtype']}; {rows:,} vectors of {dimensions:,} dimensions."
    )


def _list(reports: Sequence[Report]) -> str:
    return "; ".join(map(_method, reports))


def _method(report: Report) -> str:
    method = report["method"]
    name = METHODS[method]
    if method == "none":
        return "no reduction"
    if "omitted" in report:
        return f"{name} (omitted: {report['omitted']})"
    settings = ", ".join(f"{key} {value}" for key, value in report["settings"].items())
    dimensions = f" to {report['dimensions']} dimensions" if "dimensions" in report else ""
    inside = f"; {settings}" if settings else ""
    return f"{name}{dimensions} ([@{CITATIONS[method]}]{inside})"


def _versions(reports: Sequence[Report]) -> str:
    versions = {
        name: version for report in reports for name, version in report.get("versions", {}).items()
    }
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
