# Every run ends with a look at what it leaves: Snakemake counts jobs, people want files.
import signal
import threading
from contextlib import suppress

from batteryscope.workflow.file_dates import bring_to_present, describe_change
from batteryscope.workflow.result_ledger import forget_results, note_results
from batteryscope.workflow.run_outcome import JobOutcome, explain_gaps

GRACE_S = 5


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
    # With --until a step counts that had to run: of what is finished, pieces between may be missing.
    targets = [job for job in dag.targetjobs if not ASKED.until or dag.needrun(job)]
    asked = [
        str(path)
        for job in targets
        for path in job.output or job.input
        if not path.is_temp
    ]
    return explain_gaps(jobs, asked)


def list_outputs(jobs):
    return [str(p) for job in jobs for p in job.output if not p.is_temp]


def list_fits():
    """Fits that training keeps for itself, so that they outlive a killed job."""
    return [path.parent for path in Path("work").glob("*/state/*/*/fit.json")]


def renew_dates():
    """Let no input be dated later than the clock, which Snakemake takes for a failure of its job."""
    dag = workflow.dag
    read = [str(path) for job in dag.needrun_jobs() for path in job.input]
    kept = [str(path) for job in dag.jobs for path in (*job.input, *job.output)]
    try:
        if changed := bring_to_present(read, kept=kept):
            print(show_controls(describe_change(changed)), file=sys.stderr)
    except BatteryscopeError as error:
        sys.exit(f"ERROR: {show_controls(str(error))}")


def pass_on_interrupts():
    """Let the programs of a run end that alone was interrupted (`kill -INT`).

    Snakemake would wait until they are done. Ctrl-C in a terminal reaches them too: what still
    runs after a moment was not told, and gets SIGTERM, at which trainings keep what they have;
    what starts in that moment gets it later.
    """

    told, tell = os.pipe()
    os.set_blocking(tell, False)
    heard = []

    def end_programs():
        while os.read(told, 1) != bytes([signal.SIGINT]):
            pass
        # A signal that comes just before the main thread begins to wait does not wake it.
        for _ in range(GRACE_S):
            time.sleep(1)
            if not heard:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        for times in range(10):
            for job in list(workflow.scheduler.running):
                shell.terminate(job.jobid)
            time.sleep(GRACE_S * (2 + times))

    def interrupt(number, frame):
        # No lock may be asked for here: what is interrupted may hold it, as when a thread begins.
        heard.append(number)
        signal.default_int_handler(number, frame)

    threading.Thread(target=end_programs, daemon=True).start()

    with suppress(ValueError):  # only a main thread hears of signals
        signal.signal(signal.SIGINT, interrupt)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)


def note_start():
    """Forget what is about to be written; note what is kept, where nothing is known of it yet."""
    renew_dates()
    pass_on_interrupts()
    if CLAIM is not None:
        dag = workflow.dag
        forget_results(list_outputs(dag.needrun_jobs()) + list_fits())
        kept = [job for job in dag.jobs if not dag.needrun(job)]
        note_results(list_outputs(kept), renew=False)


def end_bars():
    """Leave bars as they are, so that what is said of the whole run stands below them."""
    if RUN_LOG and RUN_LOG.bars:
        RUN_LOG.bars.close()


def note_end():
    """Note what the jobs of this run have left."""
    if CLAIM is not None and workflow.dag is not None:
        with suppress(OSError):  # a full disk has been told of
            note_results(list_outputs(workflow.dag.finished_jobs) + list_fits())


def list_pages():
    """What a person reads of all that was asked for: reports of studies, pages of searches."""
    pages = []
    for job in workflow.dag.jobs:
        if job.rule.name.endswith("publish_study"):  # a module may put a word before it
            pages.append(REPORTS / job.wildcards.study / "report.html")
        elif job.rule.name.endswith("summarise_search"):
            pages.append(Path(job.output.summary) / "search.html")
    return [page for page in sorted(pages) if page.is_file()]


SUCCEEDED = once("succeeded", list)  # filled by a run that did its work


def finish_run():
    """End a run that seems to have succeeded with a sentence and a status if it has not."""
    note_end()
    if gaps := find_gaps():
        sys.exit(f"ERROR: {gaps}")
    SUCCEEDED.append(True)


def tell_pages():
    """Name the pages, after everything that Snakemake says: the last line is what people want."""
    # `snakemake --report` and others of its own chores say where their results are.
    pages = list_pages() if MAY_PUBLISH else []
    if len(pages) > 1 and (REPORTS / "index.html").is_file():
        pages.append(REPORTS / "index.html")
    for page in pages:
        print(f"Report: {show_controls(page.as_posix())}", file=sys.stderr, flush=True)


def finish_idle_run():
    """The same where nothing had to be done, for which Snakemake has no hook."""
    dag = workflow.dag
    if SUCCEEDED and os.getpid() == MAIN_PROCESS:
        return tell_pages()
    idle = dag is not None and not any(dag.needrun_jobs(exclude_finished=False))
    if not idle or os.getpid() != MAIN_PROCESS:
        return
    note_end()
    if gaps := find_gaps():
        print(f"ERROR: {gaps}", file=sys.stderr, flush=True)
        os._exit(1)  # the status is decided already
    tell_pages()


def hook_into_parent():
    """Let the blocks onstart, onsuccess and onerror of the Snakefile run where it is a module, too.

    Snakemake leaves those of a module out. Blocks of the workflow around it that stand above it are
    run first; below it they replace these, and can call `batteryscope.onstart()`.
    """
    for name in ("onstart", "onsuccess", "onerror"):
        own, earlier = globals()[name], getattr(workflow, f"_{name}")
        setattr(workflow, f"_{name}", lambda log, a=earlier, b=own: (a(log), b()))


MAIN_PROCESS = os.getpid()
if IS_RUN:
    once("finish", lambda: atexit.register(finish_idle_run))
