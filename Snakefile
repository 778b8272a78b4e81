# Batteryscope: from pictures of batteries to models and reports.
#
#   snakemake                      build every study of params.yaml
#   snakemake cathode_state        build one study
#   snakemake -n                   show what would be done
#   snakemake --config scale=paper the full design instead of the demo


include: "rules/common.smk"
include: "rules/physics.smk"
include: "rules/generate.smk"
include: "rules/ingest.smk"
include: "rules/preprocess.smk"
include: "rules/split.smk"
include: "rules/train.smk"
include: "rules/propose.smk"
include: "rules/evaluate.smk"
include: "rules/explain.smk"
include: "rules/sweep.smk"
include: "rules/search.smk"
include: "rules/report.smk"
include: "rules/track.smk"
include: "rules/publish.smk"
include: "rules/run.smk"


# Snakemake keeps one such block; another one would replace this.
onstart:
    begin_run()
    if workflow.local_exec:
        # The limit of jobs per second is for clusters. Every finished job leaves a clock that wakes
        # Snakemake up each second until the end: after 100 jobs it looks for work 100 times a second.
        workflow.scheduler.job_rate_limiter = None
        once("server", lambda: start_server(RUN.scratch and RUN.scratch.folder))


onsuccess:
    WATCH.end_bars()
    finish_run()


onerror:
    WATCH.note_end()
    WATCH.end_bars()
    print(show_controls(find_failures(STARTED)), file=sys.stderr)


if not workflow.modifier.is_main_snakefile():
    once("hooks", hook_into_parent)


rule all:
    default_target: True
    input:
        [LAYOUTS[name].published for name in STUDIES],


for study_name in STUDIES:

    rule:
        name:
            study_name
        input:
            LAYOUTS[study_name].published,

    # Snakemake keeps the body of every rule among the names of this file and copies all of them several
    # times for each job. These rules run nothing; with 1,000 studies it was a ninth of a dry run.
    globals().pop(f"__{study_name}", None)
