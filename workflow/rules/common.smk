# Names and helpers for the rules; no rule stands here.

import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

WORKFLOW = Path(workflow.basedir)
SCRIPTS = str(WORKFLOW / "workflow/scripts")
sys.path.insert(0, SCRIPTS)
# For the shell commands. Not a parameter of the rules: a clone that moves would embed everything again.
os.environ.update(SCRIPTS=SCRIPTS)

from arxiv_embeddings.config import derived
from arxiv_embeddings.config.check import (
    check_config,
    check_snapshot,
    find_input,
    find_snapshot,
)
from arxiv_embeddings.common.errors import InputError

# Commands run on the Python that runs Snakemake, also where its environment is not activated. With
# --sdm conda or apptainer the environment of the rule goes in front of it.
os.environ.update(
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
)

# Modules of a site set these for their own software: other packages before those of the environment, a start-up file
# of bash that changes PATH, packages of the user's home folder.
for name in ("PYTHONPATH", "PYTHONHOME", "BASH_ENV"):
    os.environ.pop(name, None)
os.environ.update(PYTHONNOUSERSITE="1")

# The working directory as a relative path, so that inputs keep their names when it moves.
INPUT_FOLDERS = [Path(), WORKFLOW]
SCHEMA = WORKFLOW / "workflow/schemas/config.schema.yaml"


def or_stop(function, *arguments):
    """Call a function of the library; what the user can mend stops the workflow without a traceback."""
    try:
        return function(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


or_stop(check_config, config, SCHEMA, INPUT_FOLDERS)
validate(config, SCHEMA)  # fills in the defaults

CORPUS = config["corpus"]["name"]
# A dry run plans without the snapshot; a run stops before its first job (onstart in the Snakefile).
FORMAT = derived.format_of(config["corpus"])
SNAPSHOT = find_snapshot(config["snapshot"], INPUT_FOLDERS, FORMAT)
# Part of the command, not a parameter, and nothing for arXiv's format: what was made of it before there were
# other formats is not made again. A brace is doubled, as the command's own ones stand for values.
FORMAT_OPTIONS = (
    derived.format_options(config["corpus"]).replace("{", "{{").replace("}", "}}")
)
SAMPLE_SIZE = None if config["sample"]["size"] == "all" else config["sample"]["size"]
SHARD_SIZE = config["shards"]["size"]
MODELS = {model["label"]: model for model in config["models"]}
RESULTS = Path(f"results/{CORPUS}")
FILTER_REPORT = RESULTS / "filter.json"

# A sample that grows beyond the papers there are fails now; while there are none yet, in sample_papers.
if workflow.is_main_process and SNAPSHOT and FILTER_REPORT.is_file():
    filtered = or_stop(derived.read_filter_report, FILTER_REPORT)
    if derived.same_input(filtered, SNAPSHOT, config["corpus"]):
        or_stop(derived.check_size, SAMPLE_SIZE, filtered["records"]["kept"])


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    shard=r"\d+",


def sample_size():
    """Papers in the sample; for size all the filter must have run."""
    return SAMPLE_SIZE or derived.read_filter_report(FILTER_REPORT)["records"]["kept"]


def sampled_shards(wildcards):
    """Vectors and manifests of a model's shards; without a model in the wildcards, of all models'."""
    if SAMPLE_SIZE is None:
        checkpoints.filter_papers.get()  # Snakemake asks again once the filter has run
    return expand(
        "<results>/{model}/shards/{shard}.{kind}",
        model=wildcards.get("model", list(MODELS)),
        shard=derived.shard_ranges(sample_size(), SHARD_SIZE),
        kind=["npy", "json"],
    )


def shard_start(wildcards):
    return int(wildcards.shard) * SHARD_SIZE


def shard_stop(wildcards):
    return min(shard_start(wildcards) + SHARD_SIZE, sample_size())


def encoder_settings(wildcards):
    """The model's encoder settings as one line of JSON."""
    return derived.encoder_settings(MODELS[wildcards.model]).to_json()


def model_source(model):
    """The path of a local checkpoint, else its Hugging Face id."""
    return str(find_input(model["name"], INPUT_FOLDERS, Path.is_dir) or model["name"])


def checkpoint_source(wildcards):
    return model_source(MODELS[wildcards.model])


def revision_option(wildcards):
    """The commit of a checkpoint as an option; a local one needs none. The schema keeps it to hex digits."""
    revision = MODELS[wildcards.model]["revision"]
    return f"--revision {revision}" if revision else ""


def checkpoint_files(wildcards):
    """The files of a local checkpoint, so that a change of them is seen; none for one of a hub."""
    source = Path(checkpoint_source(wildcards))
    return sorted(str(file) for file in source.glob("*") if file.is_file())


def recorded_config(wildcards):
    """What the manifest of a model's embeddings tells of the config, as JSON."""
    parts = {name: config[name] for name in ("snapshot", "corpus", "sample", "shards")}
    return json.dumps({**parts, "model": MODELS[wildcards.model]})


def uses_gpus():
    """Whether shards are embedded on GPUs: on a cluster, and on this machine if it has one.

    A job of the cluster asks again on its node (remote_exec), where a broken driver must not mean the CPU.
    """
    return workflow.non_local_exec or workflow.remote_exec or derived.has_gpu()


def in_report(file, caption, shows):
    """An output that the report shows, under the name of its model or under Comparison."""
    return report(
        file,
        category="{model}" if "{model}" in file else "Comparison",
        caption=f"../report/{caption}.rst",
        labels={"shows": shows},
    )


def device_for_shard(wildcards):
    # A dry run cannot tell for which machine it plans, and shows what a cluster would do.
    return "cuda" if workflow.dryrun or uses_gpus() else "cpu"


def gpus_for_shard(wildcards):
    return int(device_for_shard(wildcards) == "cuda")


def scores_by_model(wildcards, input):
    """The options that hand over the files of scores of every model."""
    options = []
    for model in MODELS:
        files = [file for file in input if Path(file).parts[-3] == model]
        options += ["--model", model, *files]
    return options


def paper_link():
    """What the address of a paper's page begins with; only arXiv's papers have one."""
    return "https://arxiv.org/abs/" if FORMAT == "arxiv" else ""
