# The arXiv metadata snapshot as labelled, verified text embeddings: the table of contents.

from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/slurm.smk"


pathvars:
    results=str(RESULTS),
    logs=f"logs/{CORPUS}",
    benchmarks=f"benchmarks/{CORPUS}",


include: "workflow/rules/corpus.smk"
include: "workflow/rules/estimate.smk"
include: "workflow/rules/embedding.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


localrules:
    all,


rule all:
    default_target: True
    input:
        # The shards are targets too, so that a lost one is made again even when all is merged.
        sampled_shards,
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
    if workflow.non_local_exec:
        print_run_summary()


onerror:
    if workflow.non_local_exec:
        print_run_summary()
