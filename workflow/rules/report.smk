# From the evaluation to pictures, pages and the report. `snakemake report` makes them all;
# `snakemake report --report report.html` then puts them into one file.


localrules:
    report,


def paper_link():
    """What the address of a paper's page begins with; only arXiv's papers have one."""
    arxiv = config["corpus"].get("format", "arxiv") == "arxiv"
    return "https://arxiv.org/abs/" if arxiv else ""


def picture(file, caption, **labels):
    """The output of a picture of a model, with its place in the report."""
    return report(
        f"<results>/{{model}}/evaluation/{file}",
        category="{model}",
        caption=f"../report/{caption}.rst",
        labels=labels,
    )


def comparison(file, caption, **labels):
    """An output about all models, with its place in the report."""
    return report(
        f"<results>/comparison/{file}",
        category="Comparison",
        caption=f"../report/{caption}.rst",
        labels=labels,
    )


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
        mem=growing(4, "GB"),
        runtime=growing(60, "m"),
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
        picture("map-category-0.svg", "map", picture="map", by="category 0"),
        picture("map-category-1.svg", "map", picture="map", by="category 1"),
        picture("confusion.svg", "confusion", picture="clusters", by="category"),
        picture("tokens.svg", "tokens", picture="tokens", by="paper"),
        picture("throughput.svg", "throughput", picture="throughput", by="shard"),
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
        mem=growing(4, "GB"),
        runtime=growing(30, "m"),
    params:
        folder=subpath(output[0], parent=True),
    message:
        "Drawing the pictures of {wildcards.model}"
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
        picture("explorer.html", "explorer", picture="map to explore", by="category"),
    log:
        "<logs>/{model}/make_explorer.log",
    benchmark:
        "<benchmarks>/{model}/make_explorer.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem=growing(4, "GB"),
        runtime=growing(30, "m"),
    params:
        link=paper_link(),
    message:
        "Making the page to explore the map of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/make_explorer.py" --label {wildcards.model} --papers {input.papers:q}'
        " --map {input.map:q} --map-report {input.map_report:q} --link {params.link:q}"
        " --page {output:q} --log {log:q}"


rule draw_comparison:
    input:
        corpus="<results>/papers.parquet",
        # Every model has the same papers.
        sample=f"<results>/{next(iter(MODELS))}/papers.parquet",
        scores="<results>/comparison/scores.parquet",
    output:
        comparison("scores.svg", "scores-picture", shows="scores", **{"as": "picture"}),
        comparison("categories.svg", "categories", shows="papers", **{"as": "picture"}),
        multiext("<results>/comparison/", "scores.png", "categories.png"),
    log:
        "<logs>/draw_comparison.log",
    benchmark:
        "<benchmarks>/draw_comparison.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem=growing(4, "GB"),
        runtime=growing(30, "m"),
    params:
        name=CORPUS,
        folder=subpath(output[0], parent=True),
    message:
        "Drawing the pictures of all models"
    shell:
        'python3 "$SCRIPTS/draw_comparison.py" --name {params.name:q} --corpus {input.corpus:q}'
        " --sample {input.sample:q} --scores {input.scores:q} --folder {params.folder:q} --log {log:q}"


rule write_tables:
    input:
        manifests=expand("<results>/{model}/manifest.json", model=MODELS),
        maps=expand("<results>/{model}/evaluation/map.json", model=MODELS),
        scores="<results>/comparison/scores.parquet",
        differences="<results>/comparison/differences.parquet",
    output:
        scores=comparison("scores.html", "scores-page", shows="scores", **{"as": "page"}),
        provenance=comparison("provenance.html", "provenance", shows="provenance", **{"as": "page"}),
    log:
        "<logs>/write_tables.log",
    benchmark:
        "<benchmarks>/write_tables.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
    params:
        labels=list(MODELS),
    message:
        "Writing the tables of the report"
    shell:
        'python3 "$SCRIPTS/write_tables.py" --labels {params.labels:q} --manifests {input.manifests:q}'
        " --maps {input.maps:q} --scores {input.scores:q} --differences {input.differences:q}"
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
