# From the drawn papers to the embeddings.


localrules:
    fetch_model,


rule fetch_model:
    input:
        checkpoint_files,
    output:
        directory("resources/models/{model}"),
    log:
        "<logs>/{model}/fetch_model.log",
    conda:
        "../../envs/embed.yaml"
    params:
        source=checkpoint_source,
        revision=revision_option,
    message:
        "Fetching {params.source}"
    shell:
        'python3 "$SCRIPTS/fetch_model.py" --name {params.source:q} {params.revision}'
        " --folder {output:q} --log {log:q}"


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
        gpu=gpus_for_shard,
        gpu_jobs=gpus_for_shard,
        device=device_for_shard,
        mem="16GB",
        runtime="120m",
        tokens_per_batch="auto",
    params:
        start=shard_start,
        stop=shard_stop,
        encoder=encoder_settings,
    message:
        "Embedding papers {params.start} to {params.stop} with {wildcards.model} (device: {resources.device}, GPUs: {resources.gpu},"
        " memory: {resources.mem_mb} MB, minutes: {resources.runtime})"
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
        mem="4GB",
        runtime="60m",
    params:
        shards=subpath(output.embeddings, parent=True),
        size=lambda wildcards: sample_size(),
        shard_size=SHARD_SIZE,
        seed=config["sample"]["seed"],
        encoder=encoder_settings,
        config=recorded_config,
    message:
        "Checking and merging the shards of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/merge_shards.py" --drawn {input.drawn:q} --shards {params.shards:q}/shards'
        " --size {params.size} --shard-size {params.shard_size} --seed {params.seed}"
        " --model {input.model:q} --encoder {params.encoder:q} --filter-report {input.report:q}"
        " --config {params.config:q} --embeddings {output.embeddings:q} --papers {output.papers:q}"
        " --manifest {output.manifest:q} --log {log:q}"
