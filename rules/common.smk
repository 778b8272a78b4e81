# What all rules share: the configuration, the plan of every study, and the code each rule runs.
import atexit
import io
import json
import os
import sys
import tempfile
import time
from contextlib import redirect_stderr
from functools import cache
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


def find_installed():
    """The workflow of the installed package, where Snakemake fetches rules from a repository, and no programs."""
    install = "install the package of that version: pip install git+https://…@TAG"
    try:
        from batteryscope.provenance import find_home
    except ImportError:
        sys.exit(
            f"ERROR: Batteryscope's rules are fetched from a repository, its programs are not; {install}"
        )
    home = find_home()
    for file in sorted((home / "rules").glob("*.smk")):
        fetched = Path(workflow.source_path(file.name)).read_text(encoding="utf-8")
        if fetched.strip() != file.read_text(encoding="utf-8").strip():
            sys.exit(
                f"ERROR: {file}: found another version of Batteryscope than that of the rules; {install}"
            )
    return home


# The workflow's own files lie beside the Snakefile, wherever that is; data, settings and results in the
# folder in which it runs. In a clone these are one folder; elsewhere the package has been installed.
HOME = Path(str(workflow.current_basedir)).resolve().parent
if (HOME / "batteryscope").is_dir():
    sys.path.insert(0, str(HOME))
    os.environ.update(PYTHONPATH=str(HOME))
elif not (HOME / "workflow_scripts").is_dir():
    HOME = find_installed()
HERE = Path.cwd()
PARAMS = (HERE if (HERE / "params.yaml").is_file() else HOME) / "params.yaml"
# Jobs keep compiled modules: compiling those of PyTorch anew takes each of them seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from batteryscope.config.base import leave_out
from batteryscope.planning.checks import check_project
from batteryscope.config.choose_sweeps import check_targets
from batteryscope.planning.grey_mismatches import list_mismatches
from batteryscope.planning.study_layout import (
    MODELS,
    REPORTS,
    StudyLayout,
)
from batteryscope.planning.layout import lay_out_study
from batteryscope.answers.study_modules import TRACK_SEARCH, TRACK_SWEEPS
from batteryscope.config.own_study import check_recipes
from batteryscope.config.project import load_project
from batteryscope.config.source import name_source, read_overlays
from batteryscope.core.run_options import RUN_OPTIONS, describe_options
from batteryscope.core.safe_text import show_controls
from batteryscope.core.disk_space import (
    check_free_space,
    check_writable,
    explain_full_disk,
    is_disk_full,
)
from batteryscope.errors import BatteryscopeError
from batteryscope.manifest.picture_states import (
    describe_replaced,
    describe_state,
    find_replaced,
    read_mark,
)
from batteryscope.workflow.fork_client import start_server
from batteryscope.readers.folder import fingerprint_folder
from batteryscope.provenance import (
    PROJECT_ROOT,
    digest_file,
    find_imported_files,
    look_at_code,
    write_code_list,
    write_settings,
)
from batteryscope.core.process_end import RUN_PROCESS
from batteryscope.workflow.result_ledger import describe_removal, remove_damaged
from batteryscope.workflow.run_claim import claim_folder, describe_release
from batteryscope.workflow.run_scratch import claim_scratch
from batteryscope.workflow.publication import forget_stale_publication
from batteryscope.workflow.replaced_results import Publication, check_replaced
from batteryscope.workflow.report_figures import (
    find_group,
    label_figure,
    read_captions,
    spell_caption,
)
from batteryscope.workflow.kinds_of_run import may_publish, shows_only
from batteryscope.workflow.run_log import shorten_run_log
from batteryscope.tracking.address import ADDRESS, pass_credentials

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
RUN_LOG = once(
    "log",
    lambda: (
        shorten_run_log(snakemake_logger, workflow.output_settings) if IS_RUN else None
    ),
)
MAY_PUBLISH = workflow.is_main_process and may_publish(ASKED)
# Training uses every core that it is given; Snakemake reduces this to what there is.
ALL_CORES = 64
# What a job asks for at most where Snakemake knows nothing of the nodes.
CORES_OF_A_NODE = 8
# No study can have this name.
CODE_LISTS = Path("work/code-lists")
STARTED = once("started", time.time)
os.environ[RUN_PROCESS] = str(os.getpid())


def refuse(error):
    """Stop with a sentence for each mistake, without lines of these files, as an exception has."""
    given = workflow.config_settings
    # Those of the command line win over those that the workflow around this one names.
    own = [Path(p).resolve() for p in workflow.configfiles[len(given.configfiles) :]]
    overlays = read_overlays([*own, *given.configfiles], given.config)
    named = [name_source(line, PARAMS, overlays) for line in str(error).splitlines()]
    sys.exit("\n".join(f"ERROR: {show_controls(line)}" for line in named))


WORKPLACES = (Path("work"), Path(".snakemake"), Path(tempfile.gettempdir()))
try:
    for place in WORKPLACES:
        check_free_space(place)
    for place in (Path("work"), MODELS, REPORTS) if IS_RUN else ():
        check_writable(place)
    # Snakemake looks for its lock after it has read this file.
    # On a cluster jobs outlive a killed run: its lock stays, and says so.
    is_ours = IS_RUN and not ASKED.nolock
    CLAIM = once(
        "claim",
        lambda: (
            claim_folder(Path(".snakemake"), not IS_LOCAL, ASKED.unlock)
            if is_ours
            else None
        ),
    )
    # Nodes do not see the temporary files of this machine.
    SCRATCH = once("scratch", lambda: claim_scratch() if CLAIM and IS_LOCAL else None)
    if CLAIM and CLAIM.released:
        tell(describe_release(CLAIM.released))
    for damaged in once("damaged", remove_damaged) if CLAIM else []:
        tell(describe_removal(damaged))
except BatteryscopeError as error:
    sys.exit(f"ERROR: {show_controls(str(error))}")


def move_temporary():
    """Let temporary files of Snakemake lie in the folder that goes with the run."""
    # Snakemake made one before it came here, which a kill would leave behind.
    if held := getattr(workflow, "_snakemake_tmp_dir", None):
        held.cleanup()
        workflow._snakemake_tmp_dir = tempfile.TemporaryDirectory(prefix="snakemake")
    atexit.register(SCRATCH.remove)


if SCRATCH:
    once("temporary", move_temporary)

FOR_REPORTS = "caption_of"
try:
    # An earlier reading may have left there what the templates of reports call.
    PROJECT = load_project(
        PARAMS, {key: value for key, value in config.items() if key != FOR_REPORTS}
    )
    # Where everything lies, and what each study has.
    LAYOUTS = {
        n: lay_out_study(Path("work") / n, n, s) for n, s in PROJECT.studies.items()
    }
    check_project(PROJECT, {n: LAYOUTS[n].plan for n in PROJECT.image_studies})
    DATA_VERSIONS = {n: layout.data_version for n, layout in LAYOUTS.items()}
    if workflow.is_main_process:
        designs = {name: study.based_on for name, study in PROJECT.studies.items()}
        check_recipes(config.get("studies") or {}, designs, ASKED.targets)
    wanted = workflow.config_settings.config.get("sweeps")
    if wanted and workflow.is_main_process:
        # Snakemake itself has not looked at the targets yet.
        check_targets(
            {name: study.run_sweeps for name, study in PROJECT.studies.items()},
            wanted,
            ASKED.targets,
        )
    if MAY_PUBLISH:
        origins = {
            name: Publication(
                study.data_origin, study.paper_role == "source", study.based_on
            )
            for name, study in PROJECT.studies.items()
        }
        for told in check_replaced(REPORTS, origins, ASKED.targets, PROJECT.replace):
            tell(told)
except BatteryscopeError as error:
    refuse(error)

STUDIES = sorted(PROJECT.studies)


@cache
def mark_replaced(study, source):
    """Text that changes when a picture was replaced though size and date of its file stayed."""
    file = LAYOUTS[study].state(f"ingest_{source}.sqlite")
    settings = PROJECT.studies[study]
    folder = (settings.dataset if source == "data" else settings.external).path
    if folder is None:
        return ""
    mark = read_mark(file)
    if workflow.is_main_process:
        replaced, mark = find_replaced(file, Path(folder), describe_once)
        if replaced:
            tell(describe_replaced(study, replaced))
    return f"-{mark}" if mark else ""


def pattern_of(names):
    """A pattern of names of studies, which no name fits if there is none."""
    return "|".join(sorted(names)) or "(?!)"


def learning_from(trained_on):
    """A pattern of the studies whose networks are trained on ``tiles`` or on ``rows``."""
    found = [n for n in STUDIES if LAYOUTS[n].samples.learnt_from == trained_on]
    return pattern_of(found)


IMAGE_STUDIES, TABLE_STUDIES = learning_from("tiles"), learning_from("rows")
SIMULATED_STUDIES = pattern_of(n for n in STUDIES if LAYOUTS[n].simulated)
ALL_STUDIES = pattern_of(STUDIES)
# The same as patterns of the rules.
WORK = StudyLayout(Path("work/{study}"))

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
    study=ALL_STUDIES,
    source="data|external",
    tiles="[0-9a-f]{8}",
    split="[0-9a-f]{8}",
    check="[0-9a-f]{8}",
    balance="[a-z0-9_]+-[0-9a-f]{8}",
    chain=r"[a-z0-9_.]+-[0-9a-f]{8}",
    arm="[a-z0-9_]+",
    part="[0-9]+",


@cache
def name_file(path):
    """How jobs know a file of the workflow: from this folder if it lies in it, as in a clone."""
    return (path.relative_to(HERE) if path.is_relative_to(HERE) else path).as_posix()


def program_of(name):
    """The program of a rule."""
    return name_file(HOME / "workflow_scripts" / f"{name}.py")


@cache
def code_of(program, leave_out=None):
    """All library modules that the program of a rule imports, but for those of a room."""
    file = HOME / "workflow_scripts" / f"{program}.py"
    unused = PROJECT_ROOT / "batteryscope" / leave_out if leave_out else file
    found = find_imported_files(file)
    return list_code(
        program, [p for p in found if p != file and unused not in p.parents]
    )


def doer_code(verb):
    """The module that does a verb for the kind of study, and all that it imports."""

    return lambda wildcards: module_code(getattr(layout_of(wildcards).modules, verb))


@cache
def module_code(name):
    """A module that a program loads by its name, and all that it imports."""
    file = PROJECT_ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return list_code(file.stem, find_imported_files(file))


def list_code(name, files):
    """A file that lists modules with their digests, as an input in place of them all."""
    named = {name_file(path): path for path in files}
    return write_code_list(CODE_LISTS, name, named, look_once).as_posix()


look_once = cache(look_at_code)
fingerprint_once = cache(fingerprint_folder)
describe_once = cache(describe_state)


def plan_of(wildcards):
    return LAYOUTS[wildcards.study].plan


def stage_of(wildcards):
    return plan_of(wildcards).stages[wildcards.chain]


def layout_of(wildcards):
    return LAYOUTS[wildcards.study]


def settings_file(study, name, settings):
    """A file with the settings of one job, named after its content: a change re-runs the job."""
    return write_settings(LAYOUTS[study].settings, name, settings).as_posix()


def table_study(wildcards):
    return PROJECT.studies[wildcards.study]


def table_settings(wildcards, *sections):
    """A file with those sections of a study of tables that a job depends on."""
    kept = table_study(wildcards).keep_sections(*sections)
    return settings_file(wildcards.study, "-".join(["table", *sections[-1:]]), kept)


def table_files(wildcards):
    """The tables of a study: the user's, or the folder with the generated one."""
    files = table_study(wildcards).dataset.files
    return [file.path for file in files] or layout_of(wildcards).data.table


def digest_tables(wildcards):
    """What the user's own tables hold."""
    files = [Path(file.path) for file in table_study(wildcards).dataset.files]
    return [digest_file(file) for file in files if file.is_file()]


def dataset_settings(wildcards):
    """Settings of the study's own data set, or of its external one."""
    study = PROJECT.studies[wildcards.study]
    return study.dataset if wildcards.source == "data" else study.external


def reading_settings(wildcards):
    """Settings of a data set without what does not decide how its files are read."""
    settings = dataset_settings(wildcards)
    unused = {"name": "data", "masks": None, "masks_show": ""} | (
        {"generator": None} if settings.path else {}
    )
    return settings.model_copy(update=unused)


def dataset_folder(study, source="data"):
    """The folder of the pictures as text, for a program."""
    return LAYOUTS[study].find_dataset(source).as_posix()


def generated_folder(wildcards):
    """The generated images as an input; nothing where the user brings the images."""
    own = dataset_settings(wildcards).path
    return [] if own else layout_of(wildcards).dataset(wildcards.source).images


def generated_images(wildcards):
    """The same of the study's own data set."""
    own = PROJECT.studies[wildcards.study].dataset.path
    return [] if own else layout_of(wildcards).data.images


def arm_parts(wildcards):
    return layout_of(wildcards).list_fits(wildcards.arm)


def learnt_networks(wildcards):
    """The folders with all that was trained."""
    return layout_of(wildcards).list_learnt()


def arm_splits(wildcards):
    """The divisions of all arms, each once."""
    splits = layout_of(wildcards).list_splits().values()
    return sorted({split.roles for split in splits})


def study_file(wildcards):
    """A file with all settings of a study."""
    return settings_file(wildcards.study, "study", PROJECT.studies[wildcards.study])


def settings_without(*sections):
    """A file with the settings of a study but for sections that a job does not depend on."""

    def write(wildcards):
        kept = leave_out(PROJECT.studies[wildcards.study], *sections)
        return settings_file(wildcards.study, "reduced", kept)

    return write


def published_networks(wildcards):
    """The folders with what is bundled, and with what tells how sure it is."""
    return layout_of(wildcards).list_published()


def data_files(wildcards):
    """What samples are read from beside the manifest: generated pictures and their measurements."""
    return layout_of(wildcards).list_data()


def study_folder(wildcards):
    """Where the pieces of a study lie, as text for a program."""
    return layout_of(wildcards).root.as_posix()


def version_option(wildcards):
    """The version of a study's data for a program; quoting would swallow an empty text."""
    version = DATA_VERSIONS[wildcards.study]
    return [f"--data-version={version}"] if version else []


def find_failures():
    """The sentences that failed jobs left in their logs during this run, for the end of the output."""
    logs = [p for p in Path("work").rglob("logs/*.log") if p.stat().st_mtime >= STARTED]
    lines = [
        line.split(" ERROR ", 1)[1]
        for path in sorted(logs, key=lambda p: p.stat().st_mtime)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if " ERROR " in line
    ]
    if not lines and is_disk_full(Path("work")):
        lines = [explain_full_disk(Path("work"))]  # which the jobs could not even log
    return "\n".join(["", "What went wrong:", *dict.fromkeys(lines)]) if lines else ""


def parent_parts(wildcards):
    parent = stage_of(wildcards).parent
    return layout_of(wildcards).list_parts(parent) if parent else []


def known_cores():
    """The cores of this machine that the run may use, or those of a node of a cluster."""
    if not IS_LOCAL:
        return CORES_OF_A_NODE
    return workflow.cores or ALL_CORES


def fair_cores(wildcards):
    """All cores in a run of one study; a share of them beside others, whose jobs fill the machine better."""
    if not IS_LOCAL:
        return CORES_OF_A_NODE
    named = {
        name for word in ASKED.targets for name in STUDIES if name in word.split("/")
    }
    wanted = named or STUDIES
    return max(1, known_cores() // max(1, len(wanted)))


def training_threads(wildcards):
    """As many as the settings say; else all cores, divided among the jobs of a stage."""
    train = stage_of(wildcards).settings.train
    cores = known_cores()
    return min(cores, train.threads or max(1, cores // train.parallel_jobs))


def external_pieces(wildcards):
    external = layout_of(wildcards).external
    return [external.metrics, external.flat_metrics] if external else []


def measured_tiles(wildcards):
    """The tile store whose slices were measured, where a baseline asks for that."""
    wanted = PROJECT.studies[wildcards.study].evaluate.baselines
    return layout_of(wildcards).main_tiles if "winding" in wanted else []


def local_weights(wildcards):
    """The weights file that a stage starts from, if it is a file of the user's own."""
    return weights_file(stage_of(wildcards).settings.model.weights)


def weights_file(weights):
    return [] if weights in ("imagenet", "random") else weights


def checks_of(wildcards):
    """What has to be checked before training, each network once."""
    return {stage.check_id: stage.check for stage in plan_of(wildcards).stages.values()}


def balances_of(wildcards):
    """What has to be balanced before training; stages that train on the same tiles share it."""
    stages = plan_of(wildcards).stages.values()
    return {stage.balance_id: stage.balance for stage in stages}


def label_simulation(wildcards):
    """The table of the half-cell model where it computes the capacities of a data set; else nothing."""
    wanted = dataset_settings(wildcards).computes_targets
    return layout_of(wildcards).simulated or [] if wanted else []


def label_simulation_options(wildcards, input):
    """That table, and the cell that it describes, for the program that reads the data set."""
    if not input.simulated:
        return []
    physics = PROJECT.studies[wildcards.study].physics
    cell = settings_file(wildcards.study, "physics", physics)
    return ["--simulated", input.simulated, "--physics", cell]


def label_listed(wildcards):
    """The row of a figure in the list of Snakemake's report."""
    return label_figure(wildcards.figure, read_captions(layout_of(wildcards).report))


def caption_of(study, figure):
    """The whole caption of a figure."""
    return spell_caption(figure, read_captions(LAYOUTS[study].report))


# A template of Snakemake's report knows the configuration and nothing else of this file.
config[FOR_REPORTS] = caption_of
