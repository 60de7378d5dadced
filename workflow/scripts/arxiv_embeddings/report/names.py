"""How methods and scores are called in figures, pages and tables, and which direction of a score is better."""

METHODS = {
    "none": "none",
    "pca": "PCA",
    "phate": "PHATE",
    "umap": "UMAP",
    "tsne": "t-SNE",
    "pacmap": "PaCMAP",
    "trimap": "TriMAP",
    "kmeans": "k-means",
    "ward": "Ward",
    "average": "average linkage",
    "hdbscan": "HDBSCAN",
    "diffusion_condensation": "diffusion condensation",
}
# Names of scores that are not just the metric's name with spaces.
METRICS = {
    "v_measure": "V-measure",
    "ami": "AMI",
    "ari": "ARI",
    "fowlkes_mallows": "Fowlkes-Mallows",
    "rand": "Rand",
    "demap": "DEMaP",
    "lca_f1": "LCA-F1",
    "dasgupta_cost": "Dasgupta cost",
    "ndcg_at_10": "nDCG@10",
    "macro_f1_at_10": "macro-F1 at 10",
    "any_listed_accuracy_at_10": "accuracy at 10, any listed category",
    "probe_accuracy": "linear probe",
    "probe_hierarchical_f1": "linear probe, hierarchical F1",
}


def method_name(name: str) -> str:
    """Return the display name of a method or a reduction, such as "PCA, 300" for ``pca-300``."""
    method, _, dimensions = name.partition("-")
    shown = METHODS.get(method, method)
    return f"{shown}, {dimensions}" if dimensions else shown


def metric_name(metric: str) -> str:
    """Return the display name of a metric."""
    return METRICS.get(metric, metric.replace("_", " "))
