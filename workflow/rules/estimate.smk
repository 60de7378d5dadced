# Estimate the cost of a run before it is started: `snakemake estimate`.


# It has no output, so it always runs: computed vectors improve the estimate.
rule estimate:
    input:
        drawn="<results>/drawn.parquet",
        models=expand("resources/models/{model}", model=MODELS),
    log:
        "<logs>/estimate.log",
    localrule: True
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        # The rate of a device that you know: --set-resources estimate:tokens_per_second=400000
        tokens_per_second="measured",
    params:
        size=config["sample"]["size"],
        shard_size=SHARD_SIZE,
        encoders=[
            derived.encoder_settings(model).to_json() for model in MODELS.values()
        ],
        stores=[f"{RESULTS}/{model}/vectors" for model in MODELS],
    message:
        "Estimating the cost of the run"
    shell:
        'python3 "$SCRIPTS/estimate_cost.py" --drawn {input.drawn:q} --size {params.size} --shard-size {params.shard_size}'
        " --models {input.models:q} --encoders {params.encoders:q} --stores {params.stores:q}"
        " --tokens-per-second {resources.tokens_per_second} --log {log:q}"
