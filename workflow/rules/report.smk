# From the evaluation to figures, pages and the report. `snakemake report` makes them; `snakemake report --report
# report.zip` then packs them, and the unpacked report.html opens in a browser. `--report report.html` would also open,
# but not the interactive map inside it: browsers refuse data: addresses of that size.


rule count_tokens:
    input:
        papers="<results>/{model}/papers.parquet",
        manifest="<results>/{model}/manifest.json",
        model="resources/models/{model}",
    output:
        "<results>/{model}/evaluation/tokens.parquet",
    log:
        "<logs>/{model}/count_tokens.log",
    benchmark:
        "<benchmarks>/{model}/count_tokens.tsv"
    conda:
        "../../envs/embed.yaml"
    threads: 2
    resources:
        mem="4GB",
        runtime="60m",
    message:
        "Counting the tokens of the papers for {wildcards.model}"
    shell:
        'HF_HUB_OFFLINE=1 python3 "$SCRIPTS/count_tokens.py" --papers {input.papers:q}'
        " --model {input.model:q} --manifest {input.manifest:q} --tokens {output:q} --log {log:q}"


rule draw_model:
    input:
        papers="<results>/{model}/papers.parquet",
        manifest="<results>/{model}/manifest.json",
        map=f"{FIRST_MAP}.npy",
        map_report=f"{FIRST_MAP}.json",
        grid="<results>/comparison/grid.parquet",
        tokens="<results>/{model}/evaluation/tokens.parquet",
    output:
        *by_level("<results>/{model}/evaluation", "map", "map"),
        *figure("<results>/{model}/evaluation", "confusion", "clusters and categories"),
        *figure("<results>/{model}/evaluation", "tokens", "tokens by paper"),
        *figure("<results>/{model}/evaluation", "throughput", "throughput by piece"),
    log:
        "<logs>/{model}/draw_model.log",
    benchmark:
        "<benchmarks>/{model}/draw_model.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="30m",
    params:
        folder=subpath(output[0], parent=True),
        best_by=EVALUATION["best_by"],
    message:
        "Drawing the figures of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/draw_model.py" --label {wildcards.model} --papers {input.papers:q}'
        " --manifest {input.manifest:q} --map {input.map:q} --map-report {input.map_report:q} --grid {input.grid:q}"
        " --cells {params.folder:q}/cells --best-by {params.best_by} --tokens {input.tokens:q} --folder {params.folder:q}"
        " --log {log:q}"


rule make_explorer:
    input:
        papers="<results>/{model}/papers.parquet",
        neighbours="<results>/{model}/evaluation/neighbours.npy",
        map=f"{FIRST_MAP}.npy",
        map_report=f"{FIRST_MAP}.json",
        clusters=CLUSTERS,
    output:
        in_report(
            "<results>/{model}/evaluation/explorer.html", "explorer", "interactive map"
        ),
    log:
        "<logs>/{model}/make_explorer.log",
    benchmark:
        "<benchmarks>/{model}/make_explorer.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="30m",
    params:
        link=rule_values.paper_link(FORMAT),
        clusters=cluster_options(", "),
    message:
        "Making the interactive map of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/make_explorer.py" --label {wildcards.model} --papers {input.papers:q}'
        " --neighbours {input.neighbours:q} {params.clusters:q} --map {input.map:q} --map-report {input.map_report:q} --link {params.link:q}"
        " --page {output:q} --log {log:q}"


rule draw_comparison:
    input:
        corpus="<results>/papers.parquet",
        # All models have the same papers.
        sample=f"<results>/{next(iter(MODELS))}/papers.parquet",
        grid="<results>/comparison/grid.parquet",
        maps=[file for options in MAP_OPTIONS for file in options[3:]],
    output:
        *figure("<results>/comparison", "heatmap", "grid of reductions and clusterings"),
        *by_level("<results>/comparison", "maps", "maps side by side"),
        *figure("<results>/comparison", "shepard", "Shepard diagrams"),
        *figure("<results>/comparison", "scores", "scores of the models"),
        *figure("<results>/comparison", "categories", "papers by category"),
        small="<results>/comparison/maps-small.png",
    log:
        "<logs>/draw_comparison.log",
    benchmark:
        "<benchmarks>/draw_comparison.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="30m",
    params:
        name=CORPUS,
        maps=[option for options in MAP_OPTIONS for option in options],
        best_by=EVALUATION["best_by"],
        folder=subpath(output[0], parent=True),
    message:
        "Drawing the figures of all models"
    shell:
        'python3 "$SCRIPTS/draw_comparison.py" --name {params.name:q} --corpus {input.corpus:q}'
        " --sample {input.sample:q} --grid {input.grid:q} --best-by {params.best_by} {params.maps:q}"
        " --folder {params.folder:q} --log {log:q}"


rule write_tables:
    input:
        manifests=expand("<results>/{model}/manifest.json", model=MODELS),
        reductions=[
            f"<results>/{next(iter(MODELS))}/evaluation/reductions/{name}.json"
            for name in REDUCTIONS
        ],
        clusterings=[
            f"<results>/{next(iter(MODELS))}/evaluation/cells/{REDUCTIONS[0]}/{clustering}.json"
            for clustering in EVALUATION["clusterings"]
        ],
        grid="<results>/comparison/grid.parquet",
        differences="<results>/comparison/differences.parquet",
        maps="<results>/comparison/maps-small.png",
    output:
        scores=in_report(
            "<results>/comparison/scores.html", "scores-page", "tables of scores"
        ),
        provenance=in_report(
            "<results>/comparison/provenance.html", "provenance", "provenance"
        ),
        summary="<results>/comparison/summary.rst",
        paper=directory("<results>/comparison/paper"),
    log:
        "<logs>/write_tables.log",
    benchmark:
        "<benchmarks>/write_tables.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        name=CORPUS,
        labels=list(MODELS),
        best_by=EVALUATION["best_by"],
    message:
        "Writing the tables of the report"
    shell:
        'python3 "$SCRIPTS/write_tables.py" --name {params.name:q} --labels {params.labels:q}'
        " --manifests {input.manifests:q} --reductions {input.reductions:q} --clusterings {input.clusterings:q}"
        " --grid {input.grid:q} --differences {input.differences:q} --maps {input.maps:q} --best-by {params.best_by}"
        " --scores-page {output.scores:q} --provenance-page {output.provenance:q} --summary {output.summary:q}"
        " --paper {output.paper:q} --log {log:q}"


rule report:
    input:
        rules.draw_comparison.output,
        rules.write_tables.output,
        rules.compare_models.output,
        expand(
            [*rules.draw_model.output, *rules.make_explorer.output],
            model=MODELS,
        ),
