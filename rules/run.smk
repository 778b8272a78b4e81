# Every run begins with what it will take and ends with a look at what it leaves.
from batteryscope.workflow.fork_client import start_server
from batteryscope.workflow.run_interrupts import pass_on_interrupts
from batteryscope.workflow.run_watch import RunJob, RunWatch, find_failures, find_gaps


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


def list_jobs():
    """The jobs behind what the run was asked for; none if something was wrong, and has been said."""
    dag = workflow.dag
    jobs = (
        [] if dag is None else dag.jobs
    )  # one in which nothing has to run counts as false
    return [
        RunJob(
            job.rule.name,
            str(job.wildcards_dict.get("study", "")),
            tuple(map(str, job.input)),
            tuple(str(path) for path in job.output if not path.is_temp),
            str(job.benchmark or ""),
            cores=int(job.threads) if dag.needrun(job) else 1,
            is_needed=dag.needrun(job),
            has_run=dag.finished(job),
            is_asked=job in dag.targetjobs,
            is_outdated=partial(is_outdated, job),
        )
        for job in jobs
    ]


WATCH = once(
    "watch",
    lambda: RunWatch(
        list_jobs,
        list_rules=lambda: [rule.name for rule in workflow.rules],
        count_cores=lambda: min(known_cores(), os.cpu_count() or 1),
        reports=REPORTS,
        log=RUN_LOG,
        keeps_notes=RUN.claim is not None,
        publishes=MAY_PUBLISH,
        contexts=CONTEXTS,
    ),
)
SUCCEEDED = once("succeeded", list)  # filled by a run that did its work
MAIN_PROCESS = os.getpid()


def begin_run():
    """Tell the cost, prepare what jobs find, and let an interrupt reach them."""
    if shown := WATCH.begin():
        shell.prefix(
            f"set -euo pipefail; {shown}".replace("{", "{{").replace("}", "}}")
        )
    try:
        WATCH.note_start()
    except BatteryscopeError as error:
        sys.exit(f"ERROR: {show_controls(str(error))}")
    pass_on_interrupts(
        lambda: [shell.terminate(j.jobid) for j in list(workflow.scheduler.running)]
    )


def look_for_gaps():
    """Note what jobs have left; say what is missing or old, if all of it was asked for."""
    WATCH.note_end()
    is_whole = not workflow.touch and workflow.dag.batch is None
    return find_gaps(list_jobs(), bool(ASKED.until)) if is_whole else ""


def finish_run():
    """End a run that seems to have succeeded with a sentence and a status if it has not."""
    if gaps := look_for_gaps():
        sys.exit(f"ERROR: {gaps}")
    SUCCEEDED.append(True)


def finish_idle_run():
    """The same where nothing had to be done, for which Snakemake has no hook; then name the pages."""
    dag = workflow.dag
    if os.getpid() != MAIN_PROCESS:
        return
    if not SUCCEEDED:
        if dag is None or any(dag.needrun_jobs(exclude_finished=False)):
            return
        if gaps := look_for_gaps():
            print(f"ERROR: {gaps}", file=sys.stderr, flush=True)
            os._exit(1)  # the status is decided already
    WATCH.tell_pages()


def hook_into_parent():
    """Let the blocks onstart, onsuccess and onerror of the Snakefile run where it is a module, too.

    Snakemake leaves those of a module out. Blocks of the workflow around it that stand above it are
    run first; below it they replace these, and can call `batteryscope.onstart()`.
    """
    for name in ("onstart", "onsuccess", "onerror"):
        own, earlier = globals()[name], getattr(workflow, f"_{name}")
        setattr(workflow, f"_{name}", lambda log, a=earlier, b=own: (a(log), b()))


if IS_RUN:
    once("finish", lambda: atexit.register(finish_idle_run))
# Snakemake has no hook for the end of a dry run.
elif workflow.is_main_process and ASKED.dryrun:
    once("cost", lambda: atexit.register(WATCH.tell_cost))
