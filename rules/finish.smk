# Every run ends with a look at what it leaves: Snakemake counts jobs, people want files.
from batteryscope.workflow.run_outcome import JobOutcome, explain_gaps


def is_outdated(job):
    """Whether Snakemake's notes say that the outputs of a job come from another state of things."""
    notes = workflow.persistence
    triggers = {trigger.name for trigger in workflow.rerun_triggers}
    if not notes.has_metadata(job) or notes.has_outdated_metadata(job):
        return False  # nothing is known
    return (
        ("PARAMS" in triggers and bool(notes.params_changed(job)))
        or ("INPUT" in triggers and any(notes.input_changed(job)))
        or ("CODE" in triggers and any(notes.code_changed(job)))
    )


def find_gaps():
    """What of all that was asked for is missing or old; empty if nothing is."""
    dag = workflow.dag
    if dag is None or workflow.touch or dag.batch is not None:
        return ""
    jobs = [
        JobOutcome(
            tuple(map(str, job.input)),
            tuple(str(path) for path in job.output if not path.is_temp),
            ran=dag.finished(job),
            is_outdated=not dag.finished(job) and is_outdated(job),
        )
        for job in dag.jobs
        if job.output
    ]
    asked = [
        str(path)
        for job in dag.targetjobs
        for path in job.output or job.input
        if not path.is_temp
    ]
    return explain_gaps(jobs, asked)


def finish_run():
    """End a run that seems to have succeeded with a sentence and a status if it has not."""
    if gaps := find_gaps():
        sys.exit(f"ERROR: {gaps}")


def finish_idle_run():
    """The same where nothing had to be done, for which Snakemake has no hook."""
    dag = workflow.dag
    idle = dag is not None and not any(dag.needrun_jobs(exclude_finished=False))
    if idle and os.getpid() == MAIN_PROCESS and (gaps := find_gaps()):
        print(f"ERROR: {gaps}", file=sys.stderr, flush=True)
        os._exit(1)  # the status is decided already


MAIN_PROCESS = os.getpid()
if IS_RUN:
    atexit.register(finish_idle_run)
