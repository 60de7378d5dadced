# Verified text embeddings of the arXiv metadata snapshot, or of another corpus with hierarchical labels.
#
# Another workflow can use this one as a module:
#
#     module arxiv:
#         snakefile: "arxiv-embeddings/Snakefile"
#         config: config["arxiv"]
#
#     use rule * from arxiv as arxiv_*
#
#     onstart:
#         arxiv.onstart()
#
#     onsuccess:
#         arxiv.onsuccess()
#
#     onerror:
#         arxiv.onerror()
#
# - The module needs a clone on this machine: the rules call its scripts. All modules of one workflow must use one clone.
# - `config:` gives the whole config. As in every module, config/config.yaml is then not read: settings that the
#   user did not choose would cost GPU hours. Only keys that have a default in config/README.md may be left out.
# - Snakemake runs only the handlers of the main workflow. The three calls above check the snapshot and the cluster
#   before the first job, record the run for `make status`, and print the summary.
# - Results are in results/<corpus.name>/ and checkpoints in resources/models/ of the working folder, also in a module:
#   `prefix:` and `pathvars:` of the module statement are not supported.
# - With `as arxiv_*`, a profile names the rules arxiv_embed_shard and so on.

import os
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")

if not isinstance(workflow.current_basedir, os.PathLike):
    raise WorkflowError(
        f"{workflow.current_basedir} is not a folder of this machine, and the rules call scripts that are in it. "
        "Clone the repository, and give the path of its Snakefile."
    )


# The jobs of a run use the config that it began with (run.smk).
if workflow.is_main_process:

    configfile: Path(workflow.current_basedir) / "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/slurm.smk"


pathvars:
    results=str(RESULTS),
    logs=f"logs/{CORPUS}",
    benchmarks=f"benchmarks/{CORPUS}",


include: "workflow/rules/corpus.smk"
include: "workflow/rules/checkpoint.smk"
include: "workflow/rules/estimate.smk"
include: "workflow/rules/embedding.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/dataset.smk"


# What write_tables found; before that, there is no report to open.
report: RESULTS.absolute() / "comparison/summary.rst"


rule all:
    default_target: True
    input:
        expand(
            "<results>/{model}/{file}",
            model=MODELS,
            file=["embeddings.npy", "papers.parquet", "manifest.json"],
        ),


onstart:
    or_stop(check_snapshot, config["snapshot"], INPUT_FOLDERS, FORMAT)
    print(
        derived.summary(config, SNAPSHOT, RESULTS.absolute(), uses_gpus()),
        file=sys.stderr,
    )
    if workflow.non_local_exec:
        check_before_submission()
    write_run_record()


onsuccess:
    end_run(succeeded=True)


onerror:
    end_run(succeeded=False)
