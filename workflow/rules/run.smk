# A run uses one config, and its outputs are checked by their content. This file contains no rules.

import functools

from snakemake.logging import logger

from arxiv_embeddings.common import dry_run
from arxiv_embeddings.config import currency

# The config with all defaults at the start of this run. The jobs read only this file (see common.smk).
RUN_CONFIG = run_config.path_of(config, RESULTS / "runs")

if workflow.is_main_process:
    begun = os.environ.get(RUN_CONFIGS, "") if workflow.modifier.skip_configfile else ""
    os.environ[RUN_CONFIGS] = f"{RUN_CONFIG.absolute()}{os.pathsep}{begun}"
    CONFIG_SUMS = run_config.file_sums(map(Path, workflow.configfiles))
    if not workflow.modifier.skip_configfile:
        # Otherwise Snakemake would pass these files to the jobs with --configfile.
        workflow.config_settings.configfiles = []
    # Outputs that do not match the config according to their records.
    OUTDATED = currency.outdated(
        config,
        snapshot=SNAPSHOT,
        results=RESULTS,
        models=Path("resources/models"),
        sources={label: model_source(model) for label, model in MODELS.items()},
    )
    or_stop(currency.check_size, SAMPLE_SIZE, SNAPSHOT, FORMAT, FILTER_REPORT, OUTDATED)


def begin_run(wildcards):
    """Make Snakemake run the jobs of outdated outputs; this input function returns no input.

    Snakemake itself compares modification times and its records in .snakemake, but people copy, touch and delete
    files and records.
    """
    if workflow.is_main_process:
        workflow.dag.forcefiles.update(map(str, OUTDATED))
        if workflow.dryrun:
            list_jobs()
        else:
            if future := currency.end_future(RESULTS, Path("resources/models")):
                print(
                    f"{future} results were dated in the future. Their times were set to now.",
                    file=sys.stderr,
                )
            run_config.save(config, RUN_CONFIG.parent)
    return []


@functools.cache
def list_jobs():
    """Let a dry run print one line for each job, and why a run would stop before the first one."""
    if workflow.output_settings.printshellcmds:
        # Snakemake prints the jobs with their commands.
        return
    note = ""
    try:
        check_snapshot(config["snapshot"], INPUT_FOLDERS, FORMAT)
    except InputError as error:
        note = f"A run would stop before its first job. {error}"
    names = [rule.name for rule in workflow.rules]
    logger.addFilter(dry_run.JobList(names, note))


def report_edits():
    """Print which config files were edited during the run; the edits had no effect on it."""
    if files := run_config.edited(CONFIG_SUMS):
        print(
            f"{', '.join(map(str, files))} was edited during this run. The run used the config from its start: "
            f"{RUN_CONFIG}",
            file=sys.stderr,
        )
