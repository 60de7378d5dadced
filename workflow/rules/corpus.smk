# From the snapshot to the drawn papers.


# A checkpoint only for sample.size all: how many shards there are is then known after the filter.
checkpoint filter_papers:
    input:
        # A fresh download of the same file changes its time; its size is compared instead.
        snapshot=ancient(SNAPSHOT or []),
    output:
        papers="<results>/papers.parquet",
        report="<results>/filter.json",
    log:
        "<logs>/filter_papers.log",
    benchmark:
        "<benchmarks>/filter_papers.tsv"
    conda:
        "../../envs/corpus.yaml"
    threads: 2
    resources:
        mem="2GB",
        runtime="60m",
    params:
        categories=derived.category_prefixes(config["corpus"]),
        max_bad_records=config["corpus"]["max_bad_records"],
        snapshot_bytes=(
            derived.snapshot_bytes(SNAPSHOT, config["corpus"]) if SNAPSHOT else None
        ),
    message:
        "Filtering the snapshot"
    shell:
        'python3 "$SCRIPTS/filter_papers.py" --snapshot {input.snapshot:q}'
        " --categories {params.categories:q} --max-bad-records {params.max_bad_records}"
        " --papers {output.papers:q} --report {output.report:q} --log {log:q}"
        + FORMAT_OPTIONS


rule sample_papers:
    input:
        "<results>/papers.parquet",
    output:
        "<results>/drawn.parquet",
    log:
        "<logs>/sample_papers.log",
    benchmark:
        "<benchmarks>/sample_papers.tsv"
    conda:
        "../../envs/corpus.yaml"
    threads: 2
    resources:
        mem="4GB",
        runtime="60m",
        # Only checked against the papers there are. All papers are written whatever the size, so it is
        # no parameter that would draw, and embed, them again.
        sample_size=config["sample"]["size"],
    params:
        seed=config["sample"]["seed"],
    message:
        "Putting the papers in drawing order"
    shell:
        'python3 "$SCRIPTS/sample_papers.py" --papers {input:q} --seed {params.seed}'
        " --size {resources.sample_size} --drawn {output:q} --log {log:q}"
