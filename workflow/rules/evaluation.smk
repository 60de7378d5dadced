# From the embeddings to clusterings, maps and scores. Rule all needs none of this: `snakemake report` runs it.


rule cluster_embeddings:
    input:
        embeddings="<results>/{model}/embeddings.npy",
        papers="<results>/{model}/papers.parquet",
    output:
        clusters="<results>/{model}/evaluation/clusters.parquet",
        scores="<results>/{model}/evaluation/clustering-scores.parquet",
    log:
        "<logs>/{model}/cluster_embeddings.log",
    benchmark:
        "<benchmarks>/{model}/cluster_embeddings.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 2
    resources:
        # Enough for any number of papers; see arxiv_embeddings/evaluation/clustering.py.
        mem="4GB",
        runtime="60m",
    message:
        "Clustering the embeddings of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/cluster_embeddings.py" --embeddings {input.embeddings:q} --papers {input.papers:q}'
        " --clusters {output.clusters:q} --scores {output.scores:q} --log {log:q}"


rule score_space:
    input:
        embeddings="<results>/{model}/embeddings.npy",
        papers="<results>/{model}/papers.parquet",
    output:
        "<results>/{model}/evaluation/space-scores.parquet",
    log:
        "<logs>/{model}/score_space.log",
    benchmark:
        "<benchmarks>/{model}/score_space.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 2
    resources:
        # Enough for any number of papers; see arxiv_embeddings/evaluation/geometry.py.
        mem="4GB",
        runtime="60m",
    message:
        "Scoring the space of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/score_space.py" --embeddings {input.embeddings:q} --papers {input.papers:q}'
        " --scores {output:q} --log {log:q}"


rule map_embeddings:
    input:
        "<results>/{model}/embeddings.npy",
    output:
        map="<results>/{model}/evaluation/map.parquet",
        map_report="<results>/{model}/evaluation/map.json",
    log:
        "<logs>/{model}/map_embeddings.log",
    benchmark:
        "<benchmarks>/{model}/map_embeddings.tsv"
    conda:
        "../../envs/phate.yaml"
    threads: 2
    resources:
        # Enough for any number of papers; see arxiv_embeddings/evaluation/maps.py.
        mem="4GB",
        runtime="60m",
    message:
        "Mapping the embeddings of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/map_embeddings.py" --embeddings {input:q} --threads {threads}'
        " --map {output.map:q} --map-report {output.map_report:q} --log {log:q}"


rule score_map:
    input:
        embeddings="<results>/{model}/embeddings.npy",
        papers="<results>/{model}/papers.parquet",
        map="<results>/{model}/evaluation/map.parquet",
        map_report="<results>/{model}/evaluation/map.json",
    output:
        "<results>/{model}/evaluation/map-scores.parquet",
    log:
        "<logs>/{model}/score_map.log",
    benchmark:
        "<benchmarks>/{model}/score_map.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 2
    resources:
        mem="4GB",
        runtime="60m",
    message:
        "Scoring the map of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/score_map.py" --embeddings {input.embeddings:q} --papers {input.papers:q}'
        " --map {input.map:q} --map-report {input.map_report:q} --scores {output:q} --log {log:q}"


rule compare_models:
    input:
        expand(
            "<results>/{model}/evaluation/{kind}-scores.parquet",
            model=MODELS,
            kind=["clustering", "space", "map"],
        ),
    output:
        scores=[
            "<results>/comparison/scores.parquet",
            in_report("<results>/comparison/scores.csv", "scores", "scores as CSV"),
            "<results>/comparison/scores.json",
        ],
        differences=[
            "<results>/comparison/differences.parquet",
            in_report(
                "<results>/comparison/differences.csv",
                "differences",
                "differences as CSV",
            ),
            "<results>/comparison/differences.json",
        ],
    log:
        "<logs>/compare_models.log",
    benchmark:
        "<benchmarks>/compare_models.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        models=lambda wildcards, input: rule_values.scores_by_model(MODELS, input),
    message:
        "Comparing the scores of the models"
    shell:
        'python3 "$SCRIPTS/compare_models.py" {params.models:q}'
        " --scores {output.scores:q} --differences {output.differences:q} --log {log:q}"
