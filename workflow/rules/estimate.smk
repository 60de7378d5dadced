# The estimate before the money is spent: `snakemake plan`.


# Without an output, so it always runs: finished shards make it better.
rule plan:
    input:
        papers="<results>/drawn.parquet",
        models=expand("resources/models/{model}", model=MODELS),
    log:
        "<logs>/plan.log",
    localrule: True
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        # The rate of a device you know: --set-resources plan:tokens_per_second=400000
        tokens_per_second="measured",
    params:
        size=config["sample"]["size"],
        shard_size=SHARD_SIZE,
        encoders=[
            derived.encoder_settings(model).to_json() for model in MODELS.values()
        ],
        shards=[f"{RESULTS}/{model}/shards" for model in MODELS],
    message:
        "Estimating what the run will cost"
    shell:
        'python3 "$SCRIPTS/plan_run.py" --papers {input.papers:q} --size {params.size} --shard-size {params.shard_size}'
        " --models {input.models:q} --encoders {params.encoders:q} --shards {params.shards:q}"
        " --tokens-per-second {resources.tokens_per_second} --log {log:q}"
