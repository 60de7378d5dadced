# The result of each model as a dataset to load, to share and to publish: `snakemake dataset`. It needs the map and the
# clusters, but no score.


rule make_dataset:
    input:
        papers="<results>/{model}/papers.parquet",
        embeddings="<results>/{model}/embeddings.npy",
        manifest="<results>/{model}/manifest.json",
        map=f"{FIRST_MAP}.npy",
        map_report=f"{FIRST_MAP}.json",
        clusters=CLUSTERS,
    output:
        dataset="<results>/{model}/dataset/papers.parquet",
        card="<results>/{model}/dataset/README.md",
    log:
        "<logs>/{model}/make_dataset.log",
    benchmark:
        "<benchmarks>/{model}/make_dataset.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="60m",
    params:
        name=CORPUS,
        clusters=cluster_options(" "),
    message:
        "Writing the dataset of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/make_dataset.py" --name {params.name:q} --label {wildcards.model} --papers {input.papers:q}'
        " --vectors {input.embeddings:q} --manifest {input.manifest:q} --map {input.map:q}"
        " --map-report {input.map_report:q} {params.clusters:q} --dataset {output.dataset:q} --card {output.card:q}"
        " --log {log:q}"


rule dataset:
    input:
        expand(rules.make_dataset.output, model=MODELS),
