"""The command ``batteryscope``. Every word of it is thin: it prints what it runs, and runs that."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from batteryscope import __version__
from batteryscope.command.arguments import (
    find_page,
    find_profile,
    list_names,
    list_params_studies,
    plan_check,
    plan_data,
    plan_prediction,
    plan_run,
)
from batteryscope.command.hand_over import (
    ask_snakemake,
    check_project_folder,
    hand_over,
    plan_program,
    plan_snakemake,
)
from batteryscope.core.safe_text import show_controls
from batteryscope.errors import BatteryscopeError, InputError

NAME = "batteryscope"
# What a command does not know is for the program that it starts.
PASSES_ON = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
NOTHING_LEFT = "Nothing to be done"  # as Snakemake says it
SHELLS = ("bash", "zsh", "fish")


def complete_study(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the studies of the project whose names begin so, for the shell."""
    return [name for name in list_names(Path()) if name.startswith(begun)]


Command = Callable[..., None]


def _words(name: str, help_metavar: str, studies: bool = False) -> Callable[[Command], Command]:
    """Add an argument that takes all words, those for the started program included."""
    return click.argument(
        name,
        nargs=-1,
        type=click.UNPROCESSED,
        metavar=help_metavar,
        shell_complete=complete_study if studies else None,
    )


class InOrder(click.Group):
    """Lists its commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were defined."""
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=NAME)
def cli() -> None:
    """Learn the state of a battery from pictures, scans and tables of it.

    Begin with: batteryscope new FOLDER. All other commands are typed in that folder, or in a
    clone. Each prints the command that it runs ($ …), and passes on to it what it does not know.
    """


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Make a project folder.

    It is for your data, settings, models and reports: params.yaml, dvc.yaml, a Snakefile of two
    lines, data/raw, .gitignore and a README, under git and DVC.
    """
    from batteryscope.command.new_project import make_project

    for line in make_project(folder):
        click.echo(line)


@cli.command(context_settings=PASSES_ON)
@_words("words", "[DATA] [OPTIONS]")
def check(words: tuple[str, ...]) -> None:
    """Report what is wrong with data or settings.

    DATA: a folder or a table; options are those of start. Without DATA: read the settings of
    all studies, those with a file NAME.yaml included, and say what a run would do.
    """
    check_project_folder()
    if given := plan_data(words):
        hand_over(plan_program("start_study", [*given, "--check"]))
    hand_over(plan_snakemake(plan_check(words, Path())))


@cli.command(context_settings=PASSES_ON)
@_words("words", "DATA [OPTIONS]")
def start(words: tuple[str, ...]) -> None:
    """Look at data, and write a study that fits.

    The study goes to NAME.yaml, every choice with its reason. DATA: a folder of pictures in
    one folder per class, or a table. CT scans: start --scans FOLDER. Numbers instead of classes:
    --targets COLUMN. Further options: --name, --replace, --domain, --out.
    """
    check_project_folder()
    if words and not (words[0].startswith("-") or Path(words[0]).exists()):
        raise InputError(f"{words[0]}: there is no such folder or table.")
    planned = plan_data(words)
    if not planned:
        raise click.UsageError("name a folder of pictures or a table: batteryscope start DATA")
    hand_over(plan_program("start_study", planned))


@cli.command(context_settings=PASSES_ON)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--scale", type=click.Choice(["demo", "paper"]), help="Replace scale of params.yaml.")
@click.option("--profile", help="slurm, cluster-generic, kubernetes, or one of your own.")
@_words("words", "[STUDY]... [OPTIONS]", studies=True)
def run(words: tuple[str, ...], dry_run: bool, scale: str | None, profile: str | None) -> None:
    """Run studies; what is done is kept.

    By default all of params.yaml. A killed run goes on when it is typed again. A study that
    start has written to NAME.yaml is run by its name. Further options are Snakemake's, such as
    --cores 4, --configfile FILE, --config sweeps=all.
    """
    check_project_folder()
    options = ["--dry-run"] if dry_run else []
    options += ["--workflow-profile", find_profile(profile, Path())] if profile else []
    settings = [f"scale={scale}"] if scale else []
    hand_over(plan_snakemake(plan_run(words, Path(), options, settings)))


@cli.command(context_settings=PASSES_ON)
@_words("words", "MODEL DATA [OPTIONS]", studies=True)
def predict(words: tuple[str, ...]) -> None:
    """Apply a published model to new data.

    MODEL: a study of this project, or a folder with a model. DATA: a folder of pictures or scans,
    one of them, or a table. Further options: --out FILE, --answer-anyway, --slices, --device.
    """
    hand_over(plan_program("predict_images", plan_prediction(words, Path())))


@cli.command()
@click.argument("study", default="", shell_complete=complete_study)
@click.option("--no-open", is_flag=True, help="Only print where it is.")
def report(study: str, no_open: bool) -> None:
    """Open a report in the browser.

    By default the list of all reports.
    """
    import webbrowser

    check_project_folder()
    page = find_page(study, Path())
    click.echo(page)
    if not no_open:
        webbrowser.open(page.absolute().as_uri())


@cli.command(context_settings=PASSES_ON)
@_words("words", "A B [OPTIONS]", studies=True)
def compare(words: tuple[str, ...]) -> None:
    """Put two studies, or two versions of one, side by side.

    Metrics with a paired test on the samples that both tested, and which answers changed: here,
    and as a page. A and B: a published study, a folder of a report or of models, or a study of an
    earlier commit (cathode_state@HEAD~1). Further options: --out FOLDER.
    """
    check_project_folder()
    if len(words) < 2 and not any(word in ("-h", "--help") for word in words):
        raise click.UsageError("name two studies or versions: batteryscope compare A B.")
    hand_over(plan_program("compare_studies", words))


@cli.command(context_settings=PASSES_ON)
@_words("words", "[OPTIONS]")
def ui(words: tuple[str, ...]) -> None:
    """Compare all runs in MLflow's pages.

    On this machine alone; --port 5000 is the default.
    """
    check_project_folder()
    hand_over(plan_program("open_page", ["runs", *words]))


@cli.command(name="upload-runs", context_settings=PASSES_ON)
@_words("words", "[OPTIONS]")
def upload_runs(words: tuple[str, ...]) -> None:
    """Send runs to MLflow that it did not get.

    Those of studies that were finished while MLflow could not be reached.
    """
    check_project_folder()
    hand_over(plan_program("upload_runs", words))


@cli.command(context_settings=PASSES_ON)
@_words("words", "STUDY [OPTIONS]", studies=True)
def promote(words: tuple[str, ...]) -> None:
    """Make a model the one that MLflow serves, if it is better.

    The published model of STUDY becomes a version of the registered one. --dry-run: only say
    what would happen; --bundle, --uri, --fail-unless-promoted.
    """
    check_project_folder()
    hand_over(plan_program("promote_model", words))


@cli.command(context_settings=PASSES_ON)
@_words("words", "[OPTIONS]")
def app(words: tuple[str, ...]) -> None:
    """Open a page to drop pictures on.

    On this machine alone; --port 7860 is the default. It needs Gradio: pip install
    "batteryscope[app]", or make app in a clone.
    """
    check_project_folder()
    hand_over(plan_program("open_page", ["app", *words]))


@cli.command(context_settings=PASSES_ON)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be done.")
@click.argument("study", shell_complete=complete_study)
@click.argument("sweep")
@_words("words", "[OPTIONS]")
def sweep(study: str, sweep: str, words: tuple[str, ...], dry_run: bool) -> None:
    """Take a setting value by value.

    SWEEP: names of sweeps of STUDY (crop_size,backbone), or all.
    """
    check_project_folder()
    options = ["--dry-run"] if dry_run else []
    settings = [f"sweeps={sweep}"]
    hand_over(plan_snakemake(plan_run([study, *words], Path(), options, settings)))


@cli.command(context_settings=PASSES_ON)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be done.")
@click.argument("study", shell_complete=complete_study)
@_words("words", "[OPTIONS]")
def search(study: str, words: tuple[str, ...], dry_run: bool) -> None:
    """Look for the best settings of a study.

    On its validation data alone.
    """
    check_project_folder()
    options = ["--dry-run"] if dry_run else []
    hand_over(plan_snakemake(plan_run([f"search_{study}", *words], Path(), options)))


@cli.command(context_settings=PASSES_ON)
@_words("words", "[STUDY]... [OPTIONS]", studies=True)
def status(words: tuple[str, ...]) -> None:
    """Say what is done, running, and still to do.

    By default of all studies that were begun. The last line says how long the rest takes, judged
    by earlier runs; give the options of that run, such as --configfile FILE.
    """
    from batteryscope.command.status import describe_status, list_begun

    check_project_folder()
    for line in describe_status(Path()):
        click.echo(show_controls(line))
    sys.stdout.flush()
    named = words and not words[0].startswith("-")
    begun = [] if named else list_begun(Path())
    if not (named or begun) and not list_params_studies(Path()):
        from batteryscope.config.project import load_project

        load_project(Path("params.yaml"))  # says what is wrong with it; else Snakemake does
    if named or begun:
        planned = plan_run([*begun, *words], Path(), ["--dry-run", "--quiet", "all"])
        status, said = ask_snakemake(plan_snakemake(planned))
        if status != 0:
            click.echo(show_controls(said), err=True)
        elif NOTHING_LEFT in said:
            click.echo("Nothing is left to do.")
        sys.exit(status)


@cli.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Say what this machine has and lacks.

    Versions, disk, GPU, weights, settings, databases. Exit status: 1 if there is a problem.
    """
    from batteryscope.command.doctor import examine

    problems = 0
    for finding in examine(Path()):
        problems += not finding.is_fine
        click.echo(show_controls(finding.line))
    context.exit(1 if problems else 0)


@cli.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what completes words in a shell.

    bash: add  eval "$(batteryscope completion bash)"  to ~/.bashrc; zsh: the same in ~/.zshrc;
    fish: batteryscope completion fish > ~/.config/fish/completions/batteryscope.fish
    """
    from click.shell_completion import get_completion_class

    make = get_completion_class(shell)
    assert make is not None
    click.echo(make(cli, {}, NAME, f"_{NAME.upper()}_COMPLETE").source())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; an error is one sentence."""
    try:
        status = cli.main(args=argv, prog_name=NAME, standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" See: {context.command_path} --help" if context else ""
        print(f"ERROR: {show_controls(error.format_message())}{hint}", file=sys.stderr)
        return error.exit_code
    except click.Abort:
        return 130
    except BatteryscopeError as error:
        print(f"ERROR: {show_controls(str(error))}", file=sys.stderr)
        return 1
    except OSError as error:  # of a disk or its rights
        place = f"{error.filename}: " if error.filename else ""
        print(f"ERROR: {show_controls(place + (error.strerror or str(error)))}", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
