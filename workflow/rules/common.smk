# Names and helpers for the rules. This file contains no rules.
#
# Settings that are resources: Snakemake reruns a job when a parameter changes, but not when a resource does. So these
# settings, which do not change what a job writes, are resources: `device`, `gpu`, `tokens_per_batch` and
# `no_progress_minutes` of embed_shard, `sample_size` of sample_papers, which writes all papers whatever the size,
# `shard_size` of find_vectors, and `snapshot` of filter_papers, which is judged by its content (run.smk). --set-resources
# or a profile sets them.

import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# Not workflow.basedir: inside a module that is the folder of the workflow that uses the module.
CLONE = Path(workflow.current_basedir).parents[1]
SCRIPTS = str(CLONE / "workflow/scripts")
sys.path.insert(0, SCRIPTS)

from arxiv_embeddings.config import derived, grid, rule_values, run_config
from arxiv_embeddings.config.check import check_config, check_snapshot, find_snapshot
from arxiv_embeddings.common.errors import InputError

# The environment of the shell commands. SCRIPTS is not a parameter of the rules: moving the clone would rerun all jobs.
# PATH starts with the Python that runs Snakemake, so that its environment need not be activated. --sdm conda puts the
# environment of the rule in front of it; shell.prefix() would take effect after that, and override conda's Python.
os.environ.update(SCRIPTS=SCRIPTS)
os.environ.update(PATH=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
# Modules of a site set these for other software: foreign packages, a start-up file of bash that changes PATH, packages in
# the user's home folder.
for name in ("PYTHONPATH", "PYTHONHOME", "BASH_ENV"):
    os.environ.pop(name, None)
os.environ.update(PYTHONNOUSERSITE="1")

# The working folder as a relative path, so that inputs keep their names when it moves.
INPUT_FOLDERS = [Path(), CLONE]
# The environment variable that tells jobs where the config of their run is.
RUN_CONFIGS = "ARXIV_EMBEDDINGS_RUN_CONFIGS"
SCHEMA = CLONE / "workflow/schemas/config.schema.yaml"


def or_stop(function, *arguments):
    """Call a function of the library; an error that the user can fix stops the workflow without a traceback."""
    try:
        return function(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


if not workflow.is_main_process:
    # A job may wait for hours; an edit of the config meanwhile must not change it.
    began_with = or_stop(run_config.of_job, os.environ.get(RUN_CONFIGS, ""), config)
    config.clear()
    config.update(began_with)
or_stop(check_config, config, SCHEMA, INPUT_FOLDERS)
# Adds the defaults of the schema.
validate(config, SCHEMA)

CORPUS = config["corpus"]["name"]
FORMAT = config["corpus"]["format"]
# None if it is missing: a dry run does not need it, and a run stops before its first job (onstart in the Snakefile).
SNAPSHOT = find_snapshot(config["snapshot"], INPUT_FOLDERS, FORMAT)
SAMPLE_SIZE = None if config["sample"]["size"] == "all" else config["sample"]["size"]
SHARD_SIZE = config["shards"]["size"]
MODELS = {model["label"]: model for model in config["models"]}
EVALUATION = config["evaluation"]
RESULTS = Path(f"results/{CORPUS}")
REDUCTIONS = grid.reduction_names(EVALUATION)
MAPS = grid.map_names(EVALUATION)
CELLS = grid.cells(EVALUATION)
LEVELS = derived.levels(config["corpus"])
GRID_OPTIONS = grid.grid_options(list(MODELS), EVALUATION, str(RESULTS))
MAP_OPTIONS = grid.map_options(list(MODELS), EVALUATION, str(RESULTS))
FILTER_REPORT = RESULTS / "filter.json"
# Of a model, without its ending: the map of its figures, its page to explore and its dataset.
FIRST_MAP = f"<results>/{{model}}/evaluation/reductions/{MAPS[0]}"
# Of a model, in the order of the cells.
CLUSTERS = [
    f"<results>/{{model}}/evaluation/cells/{reduction}/{clustering}.parquet"
    for reduction, clustering in CELLS
]


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    shard=r"[0-9a-f]+-\d+",
    reduction=r"[a-z]+(-\d+)?",
    clustering=r"[a-z_]+",


def lookup_of(wildcards):
    """Return what find_vectors wrote for the model: which texts are missing, and how they are embedded."""
    files = checkpoints.find_vectors.get(model=wildcards.model).output
    return json.loads(Path(files.lookup).read_text())


def missing_shards(wildcards):
    """Return the files that the jobs for the model's missing texts leave; known once find_vectors has run."""
    names = rule_values.shard_names(lookup_of(wildcards))
    return [f"{RESULTS}/{wildcards.model}/shards/{name}.json" for name in names]


def shard_bounds(wildcards):
    """Return where a shard begins and ends among the missing texts."""
    return rule_values.shard_bounds(lookup_of(wildcards), wildcards.shard)


def selection_of(wildcards):
    """Return what select_papers wrote for the model: which papers take part in its evaluation."""
    return checkpoints.select_papers.get(model=wildcards.model).output[0]


def selection_sum(wildcards):
    """Return the sha256 of the vectors and labels that take part in the evaluation of the model."""
    return json.loads(Path(selection_of(wildcards)).read_text())["sha256"]


def cluster_options(separator):
    """Return a function for the options of a script that takes the names and the clusters of all cells."""
    return lambda wildcards, input: [
        option
        for cell, file in zip(CELLS, input.clusters)
        for option in ("--clusters", separator.join(cell), file)
    ]


def model_source(model):
    """Return where a model's checkpoint comes from: a local folder, else its Hugging Face id."""
    return rule_values.model_source(model["name"], INPUT_FOLDERS)


def uses_gpus():
    """Return whether shards are embedded on GPUs: on a cluster always, on one machine if it has a GPU."""
    # A job on a compute node (remote_exec) evaluates this again; there a broken driver must not mean the CPU.
    return workflow.non_local_exec or workflow.remote_exec or derived.has_gpu()


def shard_device():
    """Return the device of embed_shard. A dry run shows what a run on a cluster would do."""
    return "cuda" if workflow.dryrun or uses_gpus() else "cpu"


def in_report(file, caption, shows):
    """Return an output that the report shows, under the label of its model or under Comparison."""
    return report(
        file,
        category="{model}" if "{model}" in file else "Comparison",
        caption=f"../report/{caption}.rst",
        labels={"shows": shows},
    )


def figure(folder, name, shows, caption=None):
    """Return the files of a figure: its SVG, which the report shows, PNG and PDF."""
    drawn = in_report(f"{folder}/{name}.svg", caption or name, shows)
    return [drawn, f"{folder}/{name}.png", f"{folder}/{name}.pdf"]


def by_level(folder, name, shows):
    """Return the files of a figure that is drawn for each level of the hierarchy."""
    return [
        file
        for level in LEVELS
        for file in figure(
            folder, f"{name}-{level.replace(' ', '-')}", f"{shows} by {level}", name
        )
    ]
