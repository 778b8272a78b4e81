# What a run will take, told by every dry run and when a run starts.
from batteryscope.workflow.job_costs import (
    PlannedJob,
    describe_context,
    describe_cost,
    estimate_cost,
    note_context,
)

CONTEXTS = {
    n: describe_context(PROJECT.scale, s.dataset) for n, s in PROJECT.studies.items()
}


def tell_cost():
    """Print the number of jobs to run and the time that earlier runs suggest; return the studies."""
    dag = workflow.dag
    if dag is None:
        return set()  # something was wrong, and has been said
    jobs = [
        PlannedJob(
            job.rule.name,
            str(job.wildcards_dict.get("study", "")),
            str(job.benchmark or ""),
            int(job.threads),
        )
        for job in dag.needrun_jobs(exclude_finished=False)
        if job.benchmark  # targets do no work
    ]
    if jobs:
        cores = min(known_cores(), os.cpu_count() or 1)
        rules = [rule.name for rule in workflow.rules]
        estimate = estimate_cost(jobs, rules, Path("work"), cores, CONTEXTS)
        print(describe_cost(estimate, cores), file=sys.stderr)
    return {job.study for job in jobs if job.study}


# Snakemake has no hook for the end of a dry run.
if workflow.is_main_process and {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
    atexit.register(tell_cost)


def begin_run():
    """Tell the cost, and note at which scale and of which images the coming times are."""
    note_context(Path("work"), {n: CONTEXTS[n] for n in tell_cost()})
