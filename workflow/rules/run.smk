# One run, one config; and results are judged by their content. This file contains no rules.

from arxiv_embeddings.config import currency

# The config with all defaults, as this run began. Its jobs read this file and no other (common.smk).
RUN_CONFIG = run_config.path_of(config, RESULTS / "runs")

if workflow.is_main_process:
    begun = os.environ.get(RUN_CONFIGS, "") if workflow.modifier.skip_configfile else ""
    os.environ[RUN_CONFIGS] = f"{begun}{os.pathsep}{RUN_CONFIG.absolute()}"
    CONFIG_SUMS = run_config.file_sums(map(Path, workflow.configfiles))
    if not workflow.modifier.skip_configfile:
        # Snakemake would hand these to the jobs as --configfile.
        workflow.config_settings.configfiles = []
    # Outputs that are not what the config asks for, as the files beside them say.
    OUTDATED = currency.outdated(
        config,
        snapshot=SNAPSHOT,
        results=RESULTS,
        models=Path("resources/models"),
        sources={label: model_source(model) for label, model in MODELS.items()},
    )
    or_stop(currency.check_size, SAMPLE_SIZE, SNAPSHOT, FORMAT, FILTER_REPORT, OUTDATED)


def begin_run(wildcards):
    """Make Snakemake run the jobs of outdated outputs; an input function without an input.

    Snakemake judges by times, and by what it remembers in .snakemake; people copy, touch and delete both.
    """
    if workflow.is_main_process:
        workflow.dag.forcefiles.update(map(str, OUTDATED))
        if not workflow.dryrun:
            if future := currency.end_future(RESULTS, Path("resources/models")):
                print(
                    f"{future} results were dated in the future; they are dated now.",
                    file=sys.stderr,
                )
            run_config.save(config, RUN_CONFIG.parent)
    return []


def report_edits():
    """Print which config files were edited during the run, which had no effect on it."""
    if files := run_config.edited(CONFIG_SUMS):
        print(
            f"{', '.join(map(str, files))} was edited during this run. The run used the config that it began with: "
            f"{RUN_CONFIG}",
            file=sys.stderr,
        )
