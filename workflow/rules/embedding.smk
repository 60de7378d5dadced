# Embed the drawn papers in shards, and merge the shards.


rule embed_shard:
    input:
        papers="<results>/drawn.parquet",
        model="resources/models/{model}",
    output:
        vectors="<results>/{model}/shards/{shard}.npy",
        manifest="<results>/{model}/shards/{shard}.json",
    log:
        "<logs>/{model}/embed_shard/{shard}.log",
    benchmark:
        "<benchmarks>/{model}/embed_shard/{shard}.tsv"
    conda:
        "../../envs/embed.yaml"
    threads: 8
    resources:
        # Why the device, the GPUs and the tokens per batch are not parameters: see common.smk.
        gpu=lambda wildcards: int(shard_device() == "cuda"),
        device=lambda wildcards: shard_device(),
        mem=growing(16, "GB"),
        runtime=growing(120, "m"),
        tokens_per_batch="auto",
    params:
        start=lambda wildcards: int(wildcards.shard) * SHARD_SIZE,
        stop=lambda wildcards: min(
            (int(wildcards.shard) + 1) * SHARD_SIZE, sample_size()
        ),
        encoder=lambda wildcards: rule_values.encoder_json(MODELS[wildcards.model]),
    message:
        "Embedding papers {params.start} to {params.stop} with {wildcards.model} (device: {resources.device}, GPUs: {resources.gpu},"
        " memory: {resources.mem}, minutes: {resources.runtime})"
    shell:
        'HF_HUB_OFFLINE=1 python3 "$SCRIPTS/embed_shard.py" --papers {input.papers:q} --start {params.start} --stop {params.stop}'
        " --model {input.model:q} --encoder {params.encoder:q} --device {resources.device} --gpus {resources.gpu}"
        " --threads {threads} --tokens-per-batch {resources.tokens_per_batch}"
        " --vectors {output.vectors:q} --manifest {output.manifest:q} --log {log:q}"


rule merge_shards:
    input:
        sampled_shards,
        drawn="<results>/drawn.parquet",
        report="<results>/filter.json",
        model="resources/models/{model}",
    output:
        embeddings="<results>/{model}/embeddings.npy",
        papers="<results>/{model}/papers.parquet",
        manifest="<results>/{model}/manifest.json",
    log:
        "<logs>/{model}/merge_shards.log",
    benchmark:
        "<benchmarks>/{model}/merge_shards.tsv"
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        mem=growing(4, "GB"),
        runtime=growing(60, "m"),
    params:
        shards=subpath(output.embeddings, parent=True),
        size=lambda wildcards: sample_size(),
        shard_size=SHARD_SIZE,
        seed=config["sample"]["seed"],
        encoder=lambda wildcards: rule_values.encoder_json(MODELS[wildcards.model]),
        config=lambda wildcards: rule_values.recorded_config(
            config, MODELS[wildcards.model]
        ),
    message:
        "Checking and merging the shards of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/merge_shards.py" --drawn {input.drawn:q} --shards {params.shards:q}/shards'
        " --size {params.size} --shard-size {params.shard_size} --seed {params.seed}"
        " --model {input.model:q} --encoder {params.encoder:q} --filter-report {input.report:q}"
        " --config {params.config:q} --embeddings {output.embeddings:q} --papers {output.papers:q}"
        " --manifest {output.manifest:q} --log {log:q}"
