# Filter the snapshot and put its papers in drawing order.


rule filter_papers:
    input:
        begin_run,
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
        # Not an input, because its path and its modification time do not matter. Why it is a resource: see common.smk.
        snapshot=lambda wildcards: rule_values.snapshot_argument(SNAPSHOT),
    params:
        categories=derived.category_prefixes(config["corpus"]),
        max_bad_records=config["corpus"]["max_bad_records"],
        format=FORMAT,
        # Column names may contain braces; Snakemake does not parse the result of a function for wildcards.
        columns=lambda wildcards: json.dumps(config["corpus"].get("columns")),
    message:
        "Filtering the snapshot"
    shell:
        'python3 "$SCRIPTS/filter_papers.py" --snapshot {resources.snapshot:q} --format {params.format}'
        " --columns {params.columns:q}"
        " --categories {params.categories:q} --max-bad-records {params.max_bad_records}"
        " --papers {output.papers:q} --report {output.report:q} --log {log:q}"


rule sample_papers:
    input:
        papers="<results>/papers.parquet",
        report="<results>/filter.json",
    output:
        drawn="<results>/drawn.parquet",
        report="<results>/drawn.json",
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
        # It is only compared with the number of papers. Why it is not a parameter: see common.smk.
        sample_size=config["sample"]["size"],
    params:
        seed=config["sample"]["seed"],
        order=config["sample"]["order"],
    message:
        "Putting the papers in drawing order"
    shell:
        'python3 "$SCRIPTS/sample_papers.py" --papers {input.papers:q} --filter-report {input.report:q}'
        " --seed {params.seed} --order {params.order} --size {resources.sample_size}"
        " --drawn {output.drawn:q} --report {output.report:q} --log {log:q}"
