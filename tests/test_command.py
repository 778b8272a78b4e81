"""The command ``batteryscope``: what it hands over, what it makes, what it says."""

import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import click
import pytest
import yaml
from click.shell_completion import shell_complete

from batteryscope.command import doctor, new_project
from batteryscope.command.arguments import (
    find_page,
    find_profile,
    list_names,
    plan_check,
    plan_data,
    plan_prediction,
    plan_run,
)
from batteryscope.command.doctor import examine
from batteryscope.command.hand_over import plan_snakemake, set_environment, show_command
from batteryscope.command.main import cli, main
from batteryscope.command.new_project import make_project
from batteryscope.command.status import describe_status, list_begun
from batteryscope.core.run_options import STARTED_BY_COMMAND, describe_program, describe_run
from batteryscope.errors import InputError
from batteryscope.workflow.running_jobs import RunningJob, list_running
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a study in params.yaml, and one in a file of its own."""
    (tmp_path / "params.yaml").write_text("studies:\n  cathode_state: {}\n")
    own = "studies:\n  my_cells: # your name\n    title: mine\n"
    (tmp_path / "my_cells.yaml").write_text(own)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["cathode_state"], ["--", "cathode_state"]),
        (["my_cells"], ["--configfile", "my_cells.yaml", "--", "my_cells"]),
        (["search_my_cells"], ["--configfile", "my_cells.yaml", "--", "search_my_cells"]),
        (["cathode_state", "--cores", "4"], ["--cores", "4", "--", "cathode_state"]),
        (
            ["my_cells", "--configfile", "small.yaml"],
            ["--configfile", "my_cells.yaml", "small.yaml", "--", "my_cells"],
        ),
        (["other", "--configfile", "a.yaml"], ["--configfile", "a.yaml", "--", "other"]),
        (
            ["my_cells", "--configfile=a.yaml"],
            ["--configfile", "my_cells.yaml", "a.yaml", "--", "my_cells"],
        ),
        (
            ["my_cells", "-n", "--configfile", "configs/cell_scans.yaml", "small.yaml"],
            [
                *("-n", "--configfile", "my_cells.yaml"),
                *(str(ROOT / "configs/cell_scans.yaml"), "small.yaml", "--", "my_cells"),
            ],
        ),
        (["--cores", "4", "cathode_state"], ["--cores", "4", "cathode_state"]),
        (["work/x/comparison", "all"], ["--", "work/x/comparison", "all"]),
    ],
)
def test_words_of_a_run_become_those_of_snakemake(project, words, expected):
    assert plan_run(words, Path()) == expected


def test_overlays_of_the_project_come_before_those_of_the_workflow(project):
    (project / "configs").mkdir()
    (project / "configs" / "cell_scans.yaml").touch()
    words = ["--configfile", "configs/cell_scans.yaml"]
    assert plan_run(words, Path()) == words


def test_settings_join_those_that_were_given(project):
    given = ["cathode_state", "--config", "sweeps=all"]
    planned = plan_run(given, Path(), ["-n"], ["scale=paper"])
    assert planned == ["-n", "--config", "scale=paper", "sweeps=all", "--", "cathode_state"]


def test_profiles_are_those_of_the_project_or_of_the_workflow(project):
    assert find_profile("slurm", Path()) == str(ROOT / "profiles" / "slurm")
    (project / "profiles" / "slurm").mkdir(parents=True)
    (project / "profiles" / "slurm" / "config.yaml").touch()
    assert find_profile("slurm", Path()) == "profiles/slurm"
    assert find_profile("of_my_institute", Path()) == "of_my_institute"


def test_unknown_study_is_one_sentence_with_the_nearest_name(project, capsys):
    assert main(["run", "my_cell"]) == 1
    assert capsys.readouterr().err == (
        "ERROR: my_cell: no study of params.yaml, and my_cell.yaml is not here; "
        "did you mean my_cells?\n"
    )
    assert list_names(Path()) == ["cathode_state", "my_cells"]


def test_data_are_pictures_or_a_table(project):
    (project / "rows.CSV").write_text("a,b\n1,2\n")
    assert plan_data(["rows.CSV", "--targets", "b"]) == ["--table", "rows.CSV", "--targets", "b"]
    assert plan_data(["."]) == ["--images", "."]
    assert plan_data(["--scans", "x"]) == ["--scans", "x"]
    assert plan_data(["--name", "x", "."]) == ["--images", ".", "--name", "x"]
    assert plan_data(["--out", "rows.CSV", "."]) == ["--images", ".", "--out", "rows.CSV"]
    assert plan_data(["--replace", "."]) == ["--images", ".", "--replace"]
    assert plan_data(["--images=x"]) == ["--images=x"]
    assert plan_data(["cathode_state"]) == plan_data(["--cores", "2"]) == []


def test_check_looks_at_all_studies_and_refuses_what_is_not_there(project):
    options = ["--dry-run", "--quiet", "all"]
    assert plan_check([], Path()) == [*options, "--configfile", "my_cells.yaml"]
    assert plan_check(["cathode_state"], Path()) == [*options, "--", "cathode_state"]
    with pytest.raises(InputError, match=r"^data/raw/typo: there is no such folder or table\.$"):
        plan_check(["data/raw/typo"], Path())
    with pytest.raises(InputError, match=r"^my_cell: no study of params\.yaml"):
        plan_check(["my_cell"], Path())


def test_prediction_takes_published_studies_and_folders(project):
    model = project / "models" / "cathode_state"
    model.mkdir(parents=True)
    (model / "bundle.json").touch()
    (project / "new.csv").touch()
    planned = plan_prediction(["cathode_state", "new.csv", "--out", "a.csv"], Path())
    assert planned == [
        *("--bundle", "models/cathode_state", "--table", "new.csv", "--out", "a.csv"),
    ]
    assert plan_prediction([str(model), "FRAMES"], Path()) == [
        *("--bundle", str(model), "--images", "FRAMES"),
    ]
    assert plan_prediction(["--bundle", "b"], Path()) == ["--bundle", "b"]
    assert plan_prediction(["cathode_state", "--images=F"], Path())[2:] == ["--images=F"]
    with pytest.raises(InputError, match=r"other: no folder .*; published here: cathode_state$"):
        plan_prediction(["other", "FRAMES"], Path())
    with pytest.raises(InputError, match=r"^say which model and which data"):
        plan_prediction(["cathode_state"], Path())


def test_report_is_found_or_a_sentence_says_what_there_is(project):
    with pytest.raises(InputError, match="no report yet"):
        find_page("", Path())
    for name in ("a", "b"):
        (project / "reports" / name).mkdir(parents=True)
        (project / "reports" / name / "report.html").touch()
    assert find_page("b", Path()) == Path("reports/b/report.html")
    with pytest.raises(InputError, match=r"^c: no report of that name; published here: a, b$"):
        find_page("c", Path())
    (project / "reports" / "index.html").touch()
    assert find_page("", Path()) == Path("reports/index.html")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "No such command 'nothing'. See: batteryscope --help"),
        (["sweep", "x"], "Missing argument 'SWEEP'. See: batteryscope sweep --help"),
        (["start", "nowhere"], "nowhere: there is no such folder or table."),
        (
            ["compare", "x"],
            "name two studies or versions: batteryscope compare A B. "
            "See: batteryscope compare --help",
        ),
    ],
)
def test_errors_are_one_sentence(project, capsys, words, said):
    assert main(words) != 0
    assert capsys.readouterr().err == f"ERROR: {said}\n"


def test_other_folders_are_no_projects(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 1
    assert "no project, since params.yaml is not here" in capsys.readouterr().err


def test_commands_are_shown_as_typed(project):
    command = plan_snakemake(["-n", "a b"])
    assert show_command(command) == f"snakemake --snakefile {ROOT / 'Snakefile'} -n 'a b'"
    (project / "Snakefile").touch()
    assert show_command(plan_snakemake(["-n"])) == "snakemake -n"
    assert set_environment({})["PATH"] == str(Path(sys.executable).parent)


def test_hints_name_the_command_where_it_is_in_use(monkeypatch):
    file = Path("my_cells.yaml")
    monkeypatch.delenv(STARTED_BY_COMMAND, raising=False)
    assert describe_run(file, "my_cells") == "snakemake --configfile my_cells.yaml -- my_cells"
    assert describe_program("start_study") == "python workflow_scripts/start_study.py"
    monkeypatch.setenv(STARTED_BY_COMMAND, "1")
    assert describe_run(file, "my_cells") == "batteryscope run my_cells"
    assert describe_run(Path("a/my_cells.yaml"), "my_cells").startswith("snakemake ")
    assert describe_program("start_study") == "batteryscope start"


def test_help_is_quick_and_every_command_explains_itself():
    code = (
        "import sys; from batteryscope.command.main import main; main(['--help'])\n"
        "heavy = {'torch', 'pandas', 'numpy', 'mlflow', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for name, command in cli.commands.items():
        assert f"\n  {name} " in done.stdout
        assert "..." not in command.get_short_help_str(60), name


def test_page_of_the_command_has_every_command_and_option():
    page = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
    for name, command in cli.commands.items():
        assert f"`batteryscope {name}" in page, name
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert all(option.opts[-1] in page for option in options), name


def test_pages_type_words_that_the_command_has():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    typed = re.compile(r"(?:^ {4}(?:\$ )?|`)batteryscope ([a-z-]+)", re.MULTILINE)
    found = {word for page in pages for word in typed.findall(page.read_text(encoding="utf-8"))}
    assert {"new", "start", "run", "report", "predict"} <= found <= set(cli.commands)


def test_readme_is_one_screen_and_says_how_to_test():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert sum(1 for line in text.splitlines() if line.strip()) <= 45
    assert re.search(r"^ {4}make test ", text, re.MULTILINE)  # what .ci/run does


def test_new_project_holds_what_a_run_needs(tmp_path):
    folder = tmp_path / "my project"
    lines = make_project(folder)
    assert lines[1] == "It is under git and DVC; nothing is committed yet."
    assert (folder / "params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    stages, ours = (
        yaml.safe_load((place / "dvc.yaml").read_text())["stages"] for place in (folder, ROOT)
    )
    code = {"rules", "workflow_scripts", "batteryscope"}
    assert stages["study"]["do"].pop("deps") == ["Snakefile", "data/raw"]
    assert code < set(ours["study"]["do"].pop("deps"))
    assert (stages["study"].pop("foreach"), len(ours["study"].pop("foreach"))) == ([], 6)
    assert stages == ours  # no study of the demo, all else as in a clone
    assert f"  cd '{folder}'" in lines
    assert {".git", ".dvc", ".gitignore", "data", "models", "reports", "README.md"} <= {
        path.name for path in folder.iterdir()
    }
    assert "analytics = false" in (folder / ".dvc" / "config").read_text()
    with pytest.raises(InputError, match="there is something already"):
        make_project(folder)
    (folder / "data/raw/mine").mkdir()
    for name in ("mine/frame.tif", "rows.csv", "mine.dvc"):
        (folder / "data/raw" / name).touch()
    call = {"cwd": folder, "capture_output": True, "text": True, "check": True}
    subprocess.run(["git", "add", "-A"], **call)
    staged = subprocess.run(["git", "ls-files", "data"], **call).stdout.split()
    assert staged == ["data/raw/.gitkeep", "data/raw/mine.dvc"]


def test_project_in_a_repository_stages_nothing(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    lines = make_project(tmp_path / "mine")
    assert lines[1] == f"It is part of the repository {tmp_path}, and under DVC; nothing is staged."
    listed = subprocess.run(["git", "-C", tmp_path, "ls-files"], capture_output=True, check=True)
    assert listed.stdout == b""


def test_project_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(new_project, "COPIED", ("params.yaml", "no_such_file"))
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new"):
        assert main(["new", str(tmp_path / name)]) == 1
        assert "no_such_file: this file of Batteryscope is missing" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]

    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert main(["new", str(tmp_path / "empty")]) == 1
    assert "cannot be read (Permission denied)." in capsys.readouterr().err


def test_status_tells_what_stands_and_what_was_begun(project):
    page = project / "reports" / "my_cells" / "report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    lines = list(describe_status(Path()))
    assert lines[0] == "cathode_state  not begun"
    assert lines[1].startswith("my_cells       published 20")
    assert lines[2:] == ["No run is at work."]
    assert list_begun(Path()) == []
    (project / "work" / "cathode_state" / "logs").mkdir(parents=True)
    assert list_begun(Path()) == ["cathode_state"]
    assert next(describe_status(Path())) == "cathode_state  begun"


def test_status_and_unreadable_files_are_one_sentence(project, monkeypatch, capsys):
    (project / "my_cells.yaml").unlink()
    (project / "params.yaml").write_text("studies: [\n")
    assert main(["status"]) == 1
    said = capsys.readouterr()
    assert said.out == "No run is at work.\n"
    assert said.err.startswith("ERROR: params.yaml: ")

    def fail(_project):
        raise PermissionError(13, "Permission denied", "params.yaml")

    monkeypatch.setattr("batteryscope.command.status.describe_status", fail)
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "ERROR: params.yaml: Permission denied\n"


@pytest.mark.parametrize(
    ("said", "code", "out"),
    [
        ("rule train:", 0, ""),
        ("Nothing to be done (all", 0, "Nothing is left to do.\n"),
        ("rule train:", 1, ""),
    ],
)
def test_status_leaves_out_what_a_dry_run_lists(project, monkeypatch, capfd, said, code, out):
    (project / "work/cathode_state/logs").mkdir(parents=True)
    program = f"import sys; print({said!r}); print('Expected', file=sys.stderr); sys.exit({code})"
    stub = [sys.executable, "-c", program]
    monkeypatch.setattr("batteryscope.command.main.plan_snakemake", lambda _words: stub)
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    assert ended.value.code == code
    told = capfd.readouterr()
    assert told.out.endswith(f"No run is at work.\n{out}")
    assert "Expected\n" in told.err
    assert (said in told.err.partition("\n")[2]) == bool(code)  # behind the command's own line


def test_running_jobs_are_those_whose_logs_have_no_end(tmp_path):
    logs = tmp_path / "cells" / "logs"
    logs.mkdir(parents=True)
    (logs.parent / "benchmarks").mkdir()
    began = datetime(2026, 1, 2, 10, 0, 0)
    (logs / "before.log").write_text("2026-01-02 09:00:00,000 INFO started\n")
    (logs / "done.log").write_text(
        "2026-01-02 10:00:01,000 INFO started\n"
        "2026-01-02 10:00:02,000 INFO finished after 1.0 s of CPU time, 9 MB of memory at most\n"
    )
    (logs / "train.log").write_text("2026-01-02 10:01:00,000 INFO started\n")
    (logs.parent / "benchmarks" / "train.tsv").write_text("s\th:m:s\n75.5\t0:01:15\n")
    found = list_running(tmp_path, began, began + timedelta(minutes=2))
    assert found == [RunningJob("cells", "train", 60.0, 75.5)]


def test_doctor_makes_nothing_and_tells_what_drivers_raise(project, monkeypatch):
    def break_driver():
        raise RuntimeError("CUDA driver error\ndetails")

    monkeypatch.setattr(doctor, "_look_at_processors", break_driver)
    monkeypatch.setattr(doctor, "_list_weights", lambda: "")
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    settings = yaml.safe_load((project / "params.yaml").read_text())
    settings["studies"]["cathode_state"]["search"]["storage"] = "sqlite:///new/searches.db"
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    before = sorted(project.rglob("*"))
    lines = [finding.line for finding in examine(Path())]
    assert "PROBLEM  processors    CUDA driver error" in lines
    assert any("sqlite:///new/searches.db (the first search makes it)" in line for line in lines)
    assert sorted(project.rglob("*")) == before
    (project / "new").mkdir()
    (project / "new" / "searches.db").write_text("no database " * 99)
    assert "file is not a database" in list(examine(Path()))[-1].line


def test_doctor_says_what_is_missing(project, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "ENGINES", ("click", "no-such-package"))
    monkeypatch.setattr(doctor, "_list_weights", lambda: "of ImageNet: none")
    (project / "params.yaml").write_text("studies: 3\n")
    findings = list(examine(Path()))
    wrong = [f.line for f in findings if not f.is_fine]
    assert "no-such-package not installed; type: pip install no-such-package" in wrong[0]
    assert ["params.yaml: studies is missing" in line for line in wrong] == [False, True]
    assert any(f.line.startswith("ok       disk ") for f in findings)
    assert main(["doctor"]) == 1
    assert "PROBLEM  no-such-package" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["batteryscope", "swe"], {"sweep"}),
        (["batteryscope", "run", "my_"], {"my_cells"}),
        (["batteryscope", "predict", "cath"], {"cathode_state"}),
        (["batteryscope", "report", ""], {"cathode_state", "my_cells"}),
    ],
)
def test_a_shell_completes_commands_and_studies(project, capsys, shell, typed, expected):
    given = {"COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
    if shell == "fish":
        given["COMP_CWORD"] = typed[-1]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        shell_complete(cli, {}, "batteryscope", "_BATTERYSCOPE_COMPLETE", f"{shell}_complete")
    words = re.split(r"[,\t\n]", capsys.readouterr().out)
    assert expected <= set(words)
    assert "doctor" not in words
