# Look up which texts have vectors, embed the other texts in shards, and merge the vectors of the sample.


# A checkpoint, because the number of shards depends on the result. A local rule, so that it does not wait in a queue.
checkpoint find_vectors:
    input:
        drawn="<results>/drawn.parquet",
        model="resources/models/{model}",
    output:
        missing="<results>/{model}/missing.npy",
        lookup="<results>/{model}/lookup.json",
    log:
        "<logs>/{model}/find_vectors.log",
    localrule: True
    conda:
        "../../envs/embed.yaml"
    resources:
        # Why these are not parameters: see common.smk.
        device=lambda wildcards: shard_device(),
        shard_size=SHARD_SIZE,
    params:
        size=config["sample"]["size"],
        encoder=lambda wildcards: rule_values.encoder_json(MODELS[wildcards.model]),
        folder=subpath(output.lookup, parent=True),
    message:
        "Looking up the vectors of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/find_vectors.py" --drawn {input.drawn:q} --size {params.size}'
        " --shard-size {resources.shard_size} --model {input.model:q} --encoder {params.encoder:q}"
        " --device {resources.device} --store {params.folder:q}/vectors --old-shards {params.folder:q}/shards"
        " --missing {output.missing:q} --lookup {output.lookup:q} --log {log:q}"


rule embed_shard:
    input:
        # The name of the shard contains a hash of its texts and settings, so modification times do not matter.
        papers=ancient("<results>/drawn.parquet"),
        missing=ancient("<results>/{model}/missing.npy"),
        model=ancient("resources/models/{model}"),
    output:
        "<results>/{model}/shards/{shard}.json",
    log:
        "<logs>/{model}/embed_shard/{shard}.log",
    benchmark:
        "<benchmarks>/{model}/embed_shard/{shard}.tsv"
    conda:
        "../../envs/embed.yaml"
    threads: 8
    resources:
        # Why these settings are not parameters: see common.smk.
        gpu=lambda wildcards: int(shard_device() == "cuda"),
        gpu_jobs=lambda wildcards: int(shard_device() == "cuda"),
        device=lambda wildcards: shard_device(),
        mem="16GB",
        runtime="120m",
        tokens_per_batch="auto",
        no_progress_minutes=30,
    params:
        start=lambda wildcards: shard_bounds(wildcards)[0],
        stop=lambda wildcards: shard_bounds(wildcards)[1],
        encoder=lambda wildcards: json.dumps(lookup_of(wildcards)["encoder"]),
        store=lambda wildcards: f"{RESULTS}/{wildcards.model}/vectors",
    message:
        "Embedding texts {params.start} to {params.stop} of the texts without vectors with {wildcards.model}"
        " (device: {resources.device}, GPUs: {resources.gpu}, memory: {resources.mem_mb} MB, minutes: {resources.runtime})"
    shell:
        'HF_HUB_OFFLINE=1 python3 "$SCRIPTS/embed_shard.py" --papers {input.papers:q} --rows {input.missing:q}'
        " --start {params.start} --stop {params.stop} --shard {wildcards.shard} --model {input.model:q}"
        " --encoder {params.encoder:q} --device {resources.device} --gpus {resources.gpu}"
        " --threads {threads} --tokens-per-batch {resources.tokens_per_batch}"
        " --no-progress-minutes {resources.no_progress_minutes}"
        " --compiled resources/compiled/{wildcards.model}"
        " --store {params.store:q} --done {output:q} --log {log:q}"


rule merge_vectors:
    input:
        missing_shards,
        drawn="<results>/drawn.parquet",
        drawn_report="<results>/drawn.json",
        filter_report="<results>/filter.json",
        lookup="<results>/{model}/lookup.json",
        model="resources/models/{model}",
    output:
        embeddings="<results>/{model}/embeddings.npy",
        papers="<results>/{model}/papers.parquet",
        manifest="<results>/{model}/manifest.json",
    log:
        "<logs>/{model}/merge_vectors.log",
    benchmark:
        "<benchmarks>/{model}/merge_vectors.tsv"
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        mem="4GB",
        runtime="60m",
        vector_store=str(config["vector_store"]).lower(),
    params:
        folder=subpath(output.embeddings, parent=True),
        request=lambda wildcards: json.dumps(
            currency.request_of(config, wildcards.model)
        ),
    message:
        "Verifying and merging the vectors of {wildcards.model}"
    shell:
        'python3 "$SCRIPTS/merge_vectors.py" --drawn {input.drawn:q} --drawn-report {input.drawn_report:q}'
        " --filter-report {input.filter_report:q} --lookup {input.lookup:q} --model {input.model:q}"
        " --store {params.folder:q}/vectors --history {params.folder:q}/history --vector-store {resources.vector_store}"
        " --request {params.request:q} --embeddings {output.embeddings:q} --papers {output.papers:q}"
        " --manifest {output.manifest:q} --log {log:q}"
