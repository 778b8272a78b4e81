# What a run will take, told by every dry run and when a run starts.
from batteryscope.workflow.job_costs import (
    PlannedJob,
    describe_context,
    describe_cost,
    estimate_cost,
    expect_seconds,
    note_context,
)

CONTEXTS = once("contexts", dict)
CONTEXTS |= {
    n: describe_context(PROJECT.scale, s.dataset) for n, s in PROJECT.studies.items()
}


def list_rules():
    return [rule.name for rule in workflow.rules]


def cores_here():
    return min(known_cores(), os.cpu_count() or 1)


def plan_jobs():
    """The jobs that are about to run."""
    dag = workflow.dag
    if dag is None:
        return []  # something was wrong, and has been said
    return [
        PlannedJob(
            job.rule.name,
            str(job.wildcards_dict.get("study", "")),
            str(job.benchmark or ""),
            int(job.threads),
        )
        for job in dag.needrun_jobs(exclude_finished=False)
        if job.benchmark  # targets do no work
    ]


def tell_cost():
    """Print the number of jobs to run and the time that earlier runs suggest; return the jobs."""
    jobs = plan_jobs()
    if jobs:
        estimate = estimate_cost(
            jobs, list_rules(), Path("work"), cores_here(), CONTEXTS
        )
        print(describe_cost(estimate, cores_here()), file=sys.stderr)
    return jobs


# Snakemake has no hook for the end of a dry run.
if workflow.is_main_process and {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
    once("cost", lambda: atexit.register(tell_cost))


def begin_run():
    """Tell the cost, and note at which scale and of which images the coming times are."""
    jobs = tell_cost()
    note_context(Path("work"), {j.study: CONTEXTS[j.study] for j in jobs if j.study})
    if RUN_LOG and RUN_LOG.bars:
        # Beside bars what programs say goes to a file; warnings and errors are told from their logs.
        shown = RUN_LOG.keep_output(Path(".snakemake/log/programs.log"))
        shell.prefix(
            f"set -euo pipefail; {shown}".replace("{", "{{").replace("}", "}}")
        )
        seconds = expect_seconds(jobs, list_rules(), Path("work"), CONTEXTS)
        RUN_LOG.bars.expect(jobs, seconds, cores_here())
