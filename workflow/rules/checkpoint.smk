# Fetch the checkpoints of the models.


rule fetch_model:
    input:
        begin_run,
        # Files of a local checkpoint are inputs, so that changed weights are noticed.
        lambda wildcards: rule_values.checkpoint_files(
            model_source(MODELS[wildcards.model])
        ),
    output:
        directory("resources/models/{model}"),
    log:
        "<logs>/{model}/fetch_model.log",
    # Local, because compute nodes often have no internet access.
    localrule: True
    conda:
        "../../envs/embed.yaml"
    resources:
        # Not a parameter: changed settings of the model do not fetch its checkpoint again. Jobs judge them too.
        encoder=lambda wildcards: rule_values.encoder_json(MODELS[wildcards.model]),
    params:
        source=lambda wildcards: model_source(MODELS[wildcards.model]),
        revision=lambda wildcards: rule_values.revision_option(MODELS[wildcards.model]),
    message:
        "Fetching {params.source}"
    shell:
        'python3 "$SCRIPTS/fetch_model.py" --name {params.source:q} {params.revision}'
        " --encoder {resources.encoder:q} --folder {output:q} --log {log:q}"
