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
        map="<results>/{model}/evaluation/map.parquet",
        map_report="<results>/{model}/evaluation/map.json",
        clusters="<results>/{model}/evaluation/clusters.parquet",
        tokens="<results>/{model}/evaluation/tokens.parquet",
    output:
        in_report(
            "<results>/{model}/evaluation/map-category-0.svg",
            "map",
            "map by category 0",
        ),
        in_report(
            "<results>/{model}/evaluation/map-category-1.svg",
            "map",
            "map by category 1",
        ),
        in_report(
            "<results>/{model}/evaluation/confusion.svg",
            "confusion",
            "clusters and categories",
        ),
        in_report(
            "<results>/{model}/evaluation/tokens.svg", "tokens", "tokens by paper"
        ),
        in_report(
            "<results>/{model}/evaluation/throughput.svg",
            "throughput",
            "throughput by shard",
        ),
        multiext(
            "<results>/{model}/evaluation/",
            *("map-category-0.png", "map-category-1.png", "confusion.png"),
            *("tokens.png", "throughput.png"),
        ),
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
    message:
        "Drawing the figures of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/draw_model.py" --label {wildcards.model} --papers {input.papers:q}'
        " --manifest {input.manifest:q} --map {input.map:q} --map-report {input.map_report:q}"
        " --clusters {input.clusters:q} --tokens {input.tokens:q} --folder {params.folder:q} --log {log:q}"


rule make_explorer:
    input:
        papers="<results>/{model}/papers.parquet",
        map="<results>/{model}/evaluation/map.parquet",
        map_report="<results>/{model}/evaluation/map.json",
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
    message:
        "Making the interactive map of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/make_explorer.py" --label {wildcards.model} --papers {input.papers:q}'
        " --map {input.map:q} --map-report {input.map_report:q} --link {params.link:q}"
        " --page {output:q} --log {log:q}"


rule draw_comparison:
    input:
        corpus="<results>/papers.parquet",
        # All models have the same papers.
        sample=f"<results>/{next(iter(MODELS))}/papers.parquet",
        scores="<results>/comparison/scores.parquet",
    output:
        in_report("<results>/comparison/scores.svg", "scores-figure", "scores"),
        in_report(
            "<results>/comparison/categories.svg", "categories", "papers by category"
        ),
        multiext("<results>/comparison/", "scores.png", "categories.png"),
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
        folder=subpath(output[0], parent=True),
    message:
        "Drawing the figures of all models"
    shell:
        'python3 "$SCRIPTS/draw_comparison.py" --name {params.name:q} --corpus {input.corpus:q}'
        " --sample {input.sample:q} --scores {input.scores:q} --folder {params.folder:q} --log {log:q}"


rule write_tables:
    input:
        manifests=expand("<results>/{model}/manifest.json", model=MODELS),
        map_reports=expand("<results>/{model}/evaluation/map.json", model=MODELS),
        scores="<results>/comparison/scores.parquet",
        differences="<results>/comparison/differences.parquet",
    output:
        scores=in_report(
            "<results>/comparison/scores.html",
            "scores-page",
            "table of scores and differences",
        ),
        provenance=in_report(
            "<results>/comparison/provenance.html", "provenance", "provenance"
        ),
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
        labels=list(MODELS),
    message:
        "Writing the tables of the report"
    shell:
        'python3 "$SCRIPTS/write_tables.py" --labels {params.labels:q} --manifests {input.manifests:q}'
        " --map-reports {input.map_reports:q} --scores {input.scores:q} --differences {input.differences:q}"
        " --scores-page {output.scores:q} --provenance-page {output.provenance:q} --log {log:q}"


rule report:
    input:
        rules.draw_comparison.output,
        rules.write_tables.output,
        multiext("<results>/comparison/", "scores.csv", "differences.csv"),
        expand(
            [*rules.draw_model.output, *rules.make_explorer.output],
            model=MODELS,
        ),
