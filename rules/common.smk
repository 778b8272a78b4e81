# What all rules share: the configuration, the plan of every study, and the code each rule runs.
import atexit
import gc
import io
import json
import os
import sys
import tempfile
import time
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

from snakemake.cli import get_argument_parser, parse_args
from snakemake.logging import logger as snakemake_logger

# Every `use rule` of a module reads these files anew, in the same run.
DONE = vars(workflow).setdefault("batteryscope_done", {})


def once(name, act):
    """What an act gives that is done once in a run, however often these files are read."""
    if name not in DONE:
        DONE[name] = act()
    return DONE[name]


def tell(line):
    """Print a line for people, once in a run."""
    once(f"tell {line}", lambda: print(show_controls(line), file=sys.stderr))


def find_fetched():
    """The workflow of the installed package, where Snakemake fetches rules from a repository, and no programs."""
    try:
        from batteryscope.errors import BatteryscopeError
        from batteryscope.workflow.job_code import find_installed
    except ImportError:
        sys.exit(
            "ERROR: Batteryscope's rules are fetched from a repository, its programs are not; "
            "install the package of that version: pip install git+https://…@TAG"
        )
    try:
        return find_installed(
            lambda file: Path(workflow.source_path(file)).read_text(encoding="utf-8")
        )
    except BatteryscopeError as error:
        sys.exit(f"ERROR: {error}")


# Python looks through all that lives again and again while Snakemake makes thousands of jobs, of which
# hardly any dies: with 400 studies an eighth of a dry run.
gc.set_threshold(50_000)
# The workflow's own files lie beside the Snakefile, wherever that is; data, settings and results in the
# folder in which it runs. In a clone these are one folder; elsewhere the package has been installed.
HOME = Path(str(workflow.current_basedir)).resolve().parent
if (HOME / "batteryscope").is_dir():
    sys.path.insert(0, str(HOME))
    os.environ.update(PYTHONPATH=str(HOME))
elif not (HOME / "workflow_scripts").is_dir():
    HOME = find_fetched()
HERE = Path.cwd()
PARAMS = (HERE if (HERE / "params.yaml").is_file() else HOME) / "params.yaml"
# Jobs keep compiled modules: compiling those of PyTorch anew takes each of them seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from batteryscope.answers.study_modules import (
    COMPARE_SWEEPS,
    TRACK_SEARCH,
    TRACK_SWEEPS,
)
from batteryscope.config.source import name_source, read_overlays
from batteryscope.core.process_end import RUN_PROCESS
from batteryscope.core.run_options import RUN_OPTIONS, describe_options
from batteryscope.core.safe_text import show_controls
from batteryscope.errors import BatteryscopeError
from batteryscope.planning.check_run import check_run
from batteryscope.planning.job_inputs import list_weights, match_names, open_project
from batteryscope.planning.study_layout import MODELS, REPORTS, StudyLayout
from batteryscope.readers.folder import fingerprint_folder
from batteryscope.search.job_inputs import find_searches
from batteryscope.tracking.address import ADDRESS, pass_credentials
from batteryscope.workflow.job_code import JobCode
from batteryscope.workflow.job_costs import describe_context
from batteryscope.workflow.job_requests import JobRequests, measure_jobs, share_cores
from batteryscope.workflow.kinds_of_run import may_publish, shows_only
from batteryscope.workflow.publication import forget_stale_publication
from batteryscope.workflow.report_figures import find_group
from batteryscope.workflow.run_log import shorten_run_log
from batteryscope.workflow.run_start import start_run

ASKED = get_argument_parser().parse_known_args()[0]


def runs_here():
    """Whether jobs run on this machine. Snakemake itself knows that only after it has read this file."""
    if not workflow.is_main_process:
        return True
    with redirect_stderr(io.StringIO()):  # it tells of profiles, as before
        executor = parse_args(sys.argv[1:])[1].executor
    return executor in (None, "local", "dryrun", "touch")


IS_LOCAL = runs_here()
IS_RUN = workflow.is_main_process and not shows_only(ASKED)
MAY_PUBLISH = workflow.is_main_process and may_publish(ASKED)
# Training uses every core that it is given; Snakemake reduces this to what there is.
ALL_CORES = 64
# What a job asks for at most where Snakemake knows nothing of the nodes.
CORES_OF_A_NODE = 8
STARTED = once("started", time.time)
os.environ[RUN_PROCESS] = str(os.getpid())
if IS_RUN:
    SHOWN = workflow.output_settings
    RUN_LOG = once("log", lambda: shorten_run_log(snakemake_logger, SHOWN))
else:
    RUN_LOG = None
FOR_REPORTS = "caption_of"
# An earlier reading may have left there what the templates of reports call.
OVERLAY = {key: value for key, value in config.items() if key != FOR_REPORTS}


def refuse(error):
    """Stop with a sentence for each mistake, without lines of these files, as an exception has."""
    given = workflow.config_settings
    # Those of the command line win over those that the workflow around this one names.
    own = [Path(p).resolve() for p in workflow.configfiles[len(given.configfiles) :]]
    overlays = read_overlays([*own, *given.configfiles], given.config)
    named = [name_source(line, PARAMS, overlays) for line in str(error).splitlines()]
    sys.exit("\n".join(f"ERROR: {show_controls(line)}" for line in named))


try:
    # Snakemake looks for its lock after it has read this file.
    RUN = once(
        "run",
        lambda: start_run(
            (MODELS, REPORTS),
            does_work=IS_RUN,
            takes_claim=IS_RUN and not ASKED.nolock,
            on_cluster=not IS_LOCAL,
            releases_all=ASKED.unlock,
        ),
    )
    for line in RUN.told:
        tell(line)
    JOBS = open_project(PARAMS, OVERLAY, Path("work"), tell, workflow.is_main_process)
    PROJECT, LAYOUTS = JOBS.project, JOBS.layouts
    SEARCHES = find_searches(JOBS)
    if workflow.is_main_process:
        # Snakemake itself has not looked at the targets yet.
        told = check_run(
            PROJECT,
            config.get("studies") or {},
            workflow.config_settings.config.get("sweeps"),
            ASKED.targets,
            REPORTS if MAY_PUBLISH else None,
        )
        for line in told:
            tell(line)
except BatteryscopeError as error:
    refuse(error)


def move_temporary():
    """Let temporary files of Snakemake lie in the folder that goes with the run."""
    # Snakemake made one before it came here, which a kill would leave behind.
    if held := getattr(workflow, "_snakemake_tmp_dir", None):
        held.cleanup()
        workflow._snakemake_tmp_dir = tempfile.TemporaryDirectory(prefix="snakemake")
    atexit.register(RUN.scratch.remove)


if RUN.scratch:
    once("temporary", move_temporary)

STUDIES = sorted(PROJECT.studies)
IMAGE_STUDIES, TABLE_STUDIES = JOBS.learning_from("tiles"), JOBS.learning_from("rows")
# The same as patterns of the rules.
WORK = StudyLayout(Path("work/{study}"))
CONTEXTS = once("contexts", dict)
CONTEXTS |= {
    n: describe_context(PROJECT.scale, s.dataset) for n, s in PROJECT.studies.items()
}

# Where runs are recorded is no input of any result, so it travels in the environment. An address
# that is already set there wins: `dvc exp run --temp` and shared servers use that.
if PROJECT.tracking.enabled:
    address = os.environ.get(ADDRESS, PROJECT.tracking.uri)
    os.environ[ADDRESS] = pass_credentials(address)
else:
    os.environ[ADDRESS] = ""

# Reports say how to repeat a run; other words for the same settings make no report anew.
if workflow.is_main_process:
    os.environ[RUN_OPTIONS] = describe_options(
        workflow.config_settings.configfiles, ASKED.config or [], Path.cwd()
    )

for study_name in STUDIES:
    forget_stale_publication(
        LAYOUTS[study_name].published,
        [MODELS / study_name, REPORTS / study_name],
    )


# Rules that only studies of one kind have say so themselves.
wildcard_constraints:
    study=match_names(STUDIES),
    source="data|external",
    tiles="[0-9a-f]{8}",
    split="[0-9a-f]{8}",
    check="[0-9a-f]{8}",
    balance="[a-z0-9_]+-[0-9a-f]{8}",
    chain=r"[a-z0-9_.]+-[0-9a-f]{8}",
    arm="[a-z0-9_]+",
    part="[0-9]+",


# Short names for what most rules ask. No study can have the name of the folder of the lists.
CODE = JobCode(HOME, HERE, Path("work/code-lists"))
program_of, code_of, module_code = CODE.program_of, CODE.code_of, CODE.module_code
layout_of, plan_of, study_of = JOBS.layout_of, JOBS.plan_of, JOBS.study_of
setting_of, settings_without = JOBS.setting_of, JOBS.settings_without


def doer_code(verb):
    """The module that does a verb for the kind of study, and all that it imports."""
    return lambda wildcards: module_code(getattr(layout_of(wildcards).modules, verb))


def known_cores():
    """The cores of this machine that the run may use, or those of a node of a cluster."""
    return (workflow.cores or ALL_CORES) if IS_LOCAL else CORES_OF_A_NODE


def fair_cores(wildcards):
    """All cores in a run of one study; a share of them beside others."""
    cores = known_cores()
    return share_cores(cores, ASKED.targets, STUDIES) if IS_LOCAL else cores


def few_cores(wildcards):
    return min(2, fair_cores(wildcards))


def training_threads(wildcards):
    """As many as the settings say; else all cores, divided among the jobs of a stage."""
    train = JOBS.stage_of(wildcards).settings.train
    cores = known_cores()
    return min(cores, train.threads or max(1, cores // train.parallel_jobs))


def search_threads(wildcards):
    """All cores, divided among the workers."""
    return max(1, known_cores() // SEARCHES.plan_of(wildcards).settings.workers)


def find_measured():
    """What earlier jobs took; a job inside a cluster asks for nothing."""
    if not workflow.is_main_process:
        return {}
    return measure_jobs(Path("work"), [rule.name for rule in workflow.rules], CONTEXTS)


REQUESTS = JobRequests(find_measured, on_cluster=not IS_LOCAL)
ask_memory, ask_minutes = REQUESTS.ask_memory, REQUESTS.ask_minutes


def caption_of(study, figure):
    """The whole caption of a figure."""
    return JOBS.spell_caption(study, figure)


# A template of Snakemake's report knows the configuration and nothing else of this file.
config[FOR_REPORTS] = caption_of
