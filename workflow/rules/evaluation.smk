# The benchmark grid: from the embeddings to reductions, clusterings, maps and scores. Rule all needs none of this:
# `snakemake report` runs it. Which reductions, maps and cells there are: arxiv_embeddings/config/grid.py.


# A checkpoint: its result decides by content, not by time, what is computed again. All later rules take its sha256 as a
# parameter and the embeddings as ancient, so a larger sample whose first papers stay the same changes no cell.
checkpoint select_papers:
    input:
        embeddings="<results>/{model}/embeddings.npy",
        papers="<results>/{model}/papers.parquet",
    output:
        "<results>/{model}/evaluation/selection.json",
    log:
        "<logs>/{model}/select_papers.log",
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    params:
        most=EVALUATION["papers"],
    message:
        "Selecting the papers of {wildcards.model} that take part in the evaluation"
    shell:
        'python3 "$SCRIPTS/select_papers.py" --embeddings {input.embeddings:q} --papers {input.papers:q}'
        " --most {params.most} --selection {output:q} --log {log:q}"


rule reduce_embeddings:
    input:
        selection=ancient(selection_of),
        embeddings=ancient("<results>/{model}/embeddings.npy"),
    output:
        reduction="<results>/{model}/evaluation/reductions/{reduction}.npy",
        report="<results>/{model}/evaluation/reductions/{reduction}.json",
    log:
        "<logs>/{model}/reduce_embeddings/{reduction}.log",
    benchmark:
        "<benchmarks>/{model}/reduce_embeddings/{reduction}.tsv"
    conda:
        "../../envs/reduce.yaml"
    threads: 2
    resources:
        mem="8GB",
        runtime="120m",
    params:
        selection=selection_sum,
        method=lambda wildcards: grid.method_of(wildcards.reduction),
        dimensions=lambda wildcards: grid.dimensions_of(wildcards.reduction),
        seed=EVALUATION["seed"],
        settings=lambda wildcards: grid.settings_json(
            EVALUATION, grid.method_of(wildcards.reduction)
        ),
        # A cell that was omitted runs once its library is installed.
        installed=lambda wildcards: grid.is_installed(
            grid.method_of(wildcards.reduction)
        ),
    message:
        "Reducing the embeddings of {wildcards.model}: {wildcards.reduction}"
    shell:
        'python3 "$SCRIPTS/reduce_embeddings.py" --embeddings {input.embeddings:q} --selection {input.selection:q}'
        " --method {params.method} --dimensions {params.dimensions} --seed {params.seed} --settings {params.settings:q}"
        " --threads {threads} --reduction {output.reduction:q} --report {output.report:q} --log {log:q}"


# Maps, the space and the page to explore use the same neighbours.
rule find_neighbours:
    input:
        selection=ancient(selection_of),
        vectors="<results>/{model}/evaluation/reductions/none.npy",
    output:
        "<results>/{model}/evaluation/neighbours.npy",
    log:
        "<logs>/{model}/find_neighbours.log",
    benchmark:
        "<benchmarks>/{model}/find_neighbours.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 2
    resources:
        mem="4GB",
        runtime="60m",
    params:
        selection=selection_sum,
    message:
        "Finding the nearest papers of each paper of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/find_neighbours.py" --vectors {input.vectors:q} --neighbours {output:q} --log {log:q}'


# A cell of the grid: a clustering of a reduction, and its scores at every level.
rule cluster_papers:
    input:
        selection=ancient(selection_of),
        papers=ancient("<results>/{model}/papers.parquet"),
        reduction="<results>/{model}/evaluation/reductions/{reduction}.npy",
        reduction_report="<results>/{model}/evaluation/reductions/{reduction}.json",
    output:
        clusters="<results>/{model}/evaluation/cells/{reduction}/{clustering}.parquet",
        tree="<results>/{model}/evaluation/cells/{reduction}/{clustering}-tree.npy",
        report="<results>/{model}/evaluation/cells/{reduction}/{clustering}.json",
        scores="<results>/{model}/evaluation/cells/{reduction}/{clustering}-scores.parquet",
    log:
        "<logs>/{model}/cluster_papers/{reduction}-{clustering}.log",
    benchmark:
        "<benchmarks>/{model}/cluster_papers/{reduction}-{clustering}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 2
    resources:
        mem="8GB",
        runtime="120m",
    params:
        selection=selection_sum,
        seed=EVALUATION["seed"],
        settings=lambda wildcards: grid.settings_json(EVALUATION, wildcards.clustering),
    message:
        "Clustering and scoring {wildcards.model}: {wildcards.reduction}, {wildcards.clustering}"
    shell:
        'python3 "$SCRIPTS/cluster_papers.py" --reduction {input.reduction:q}'
        " --reduction-report {input.reduction_report:q} --papers {input.papers:q} --method {wildcards.clustering}"
        " --seed {params.seed} --settings {params.settings:q} --threads {threads} --clusters {output.clusters:q}"
        " --tree {output.tree:q} --report {output.report:q} --scores {output.scores:q} --log {log:q}"


rule score_map:
    input:
        selection=ancient(selection_of),
        papers=ancient("<results>/{model}/papers.parquet"),
        vectors="<results>/{model}/evaluation/reductions/none.npy",
        neighbours="<results>/{model}/evaluation/neighbours.npy",
        map="<results>/{model}/evaluation/reductions/{reduction}.npy",
        map_report="<results>/{model}/evaluation/reductions/{reduction}.json",
    output:
        scores="<results>/{model}/evaluation/maps/{reduction}-scores.parquet",
        shepard="<results>/{model}/evaluation/maps/{reduction}-shepard.parquet",
    log:
        "<logs>/{model}/score_map/{reduction}.log",
    benchmark:
        "<benchmarks>/{model}/score_map/{reduction}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 2
    resources:
        mem="8GB",
        runtime="60m",
    params:
        selection=selection_sum,
    message:
        "Scoring the map of {wildcards.model}: {wildcards.reduction}"
    shell:
        'python3 "$SCRIPTS/score_map.py" --vectors {input.vectors:q} --papers {input.papers:q} --map {input.map:q}'
        " --map-report {input.map_report:q} --neighbours {input.neighbours:q} --scores {output.scores:q} --shepard {output.shepard:q} --log {log:q}"


rule score_space:
    input:
        selection=ancient(selection_of),
        embeddings=ancient("<results>/{model}/embeddings.npy"),
        papers=ancient("<results>/{model}/papers.parquet"),
        neighbours="<results>/{model}/evaluation/neighbours.npy",
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
        mem="8GB",
        runtime="60m",
    params:
        selection=selection_sum,
    message:
        "Scoring the space of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/score_space.py" --embeddings {input.embeddings:q} --papers {input.papers:q}'
        " --selection {input.selection:q} --neighbours {input.neighbours:q} --scores {output:q} --log {log:q}"


rule compare_models:
    input:
        [options[-1] for options in GRID_OPTIONS],
    output:
        grid=[
            "<results>/comparison/grid.parquet",
            in_report("<results>/comparison/grid.csv", "grid", "all scores as CSV"),
            "<results>/comparison/grid.json",
        ],
        differences=[
            "<results>/comparison/differences.parquet",
            in_report(
                "<results>/comparison/differences.csv",
                "differences",
                "differences between models as CSV",
            ),
            "<results>/comparison/differences.json",
        ],
        cell_differences=[
            "<results>/comparison/cell-differences.parquet",
            in_report(
                "<results>/comparison/cell-differences.csv",
                "cell-differences",
                "differences between cells as CSV",
            ),
            "<results>/comparison/cell-differences.json",
        ],
    log:
        "<logs>/compare_models.log",
    benchmark:
        "<benchmarks>/compare_models.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="30m",
    params:
        scores=[option for options in GRID_OPTIONS for option in options],
        best_by=EVALUATION["best_by"],
    message:
        "Comparing the scores of the cells and the models"
    shell:
        'python3 "$SCRIPTS/compare_models.py" {params.scores:q} --best-by {params.best_by} --grid {output.grid:q}'
        " --differences {output.differences:q} --cell-differences {output.cell_differences:q} --log {log:q}"
