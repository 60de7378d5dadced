# Fetch the checkpoints of the models.


def checkpoint_files(wildcards):
    return rule_values.checkpoint_files(model_source(MODELS[wildcards.model]))


def checkpoint_source(wildcards):
    return model_source(MODELS[wildcards.model])


def revision_option(wildcards):
    """Return the commit of a checkpoint as an option (the schema allows only hexadecimal digits); none if local."""
    revision = MODELS[wildcards.model]["revision"]
    return f"--revision {revision}" if revision else ""


rule fetch_model:
    input:
        # Files of a local checkpoint are inputs, so that changed weights are noticed.
        checkpoint_files,
    output:
        directory("resources/models/{model}"),
    log:
        "<logs>/{model}/fetch_model.log",
    # Local, because compute nodes often have no internet access.
    localrule: True
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
