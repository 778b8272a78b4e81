"""Programs that continue in a fork of a server which has imported the libraries."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batteryscope.workflow import fork_client
from batteryscope.workflow.fork_client import ADDRESS, start_server

PROGRAM = """
import argparse, json, os, signal, sys, time
from pathlib import Path

from batteryscope.workflow.command_line import make_parser, run_program
from batteryscope.errors import InputError

def work(arguments):
    import colorsys  # which the server has imported

    if arguments.wait:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        Path("number").write_text(str(os.getpid()))
        time.sleep(60)
    if arguments.fail:
        raise InputError("no images.")
    print(json.dumps({
        "parent": os.getppid(), "folder": os.getcwd(), "word": arguments.word,
        "mine": os.environ.get("MINE"), "loaded_at": colorsys.__dict__.get("loaded_at"),
    }))

parser = make_parser("A program.")
parser.add_argument("--word")
parser.add_argument("--wait", action="store_true")
parser.add_argument("--fail", action="store_true")
parser.add_argument("--light", action="store_true")
heavy = "--light" not in sys.argv
sys.exit(run_program(work, parser, heavy=heavy))
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    address = tmp_path / "server" / "s"
    command = [sys.executable, "-m", "batteryscope.workflow.fork_server", str(address), "colorsys"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    wait_for(address.exists)
    yield process, address
    process.stdin.close()
    assert process.wait(10) == 0
    assert not address.parent.exists()


def wait_for(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def start(program, address, *words, python=sys.executable):
    environment = os.environ | {ADDRESS: str(address), "MINE": "yes"}
    command = [str(python), str(program), *words]
    return subprocess.Popen(
        command, env=environment, cwd=program.parent, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(program, address, *words, **options):
    process = start(program, address, *words, **options)
    said, complained = process.communicate(timeout=30)
    return process.returncode, said, complained


def is_alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is asked
        return False
    return state != "Z"


def test_a_program_continues_in_a_fork_with_all_that_is_its_own(program, server):
    process, address = server
    status, said, complained = run(program, address, "--word", "a b", "--log", "a.log")
    assert (status, complained) == (0, "")
    assert json.loads(said) == {
        "parent": process.pid, "folder": str(program.parent), "word": "a b", "mine": "yes",
        "loaded_at": None,
    }  # fmt: skip
    assert "s of CPU time" in (program.parent / "a.log").read_text().splitlines()[-1]


def test_a_python_of_another_name_is_the_same_one(program, server, tmp_path):
    process, address = server
    link = tmp_path / "linked_environment"
    link.symlink_to(sys.prefix)
    said = run(program, address, python=link / "bin" / "python3")[1]
    assert json.loads(said)["parent"] == process.pid


def test_another_installation_is_not_the_same_one(program, server, tmp_path):
    _, address = server
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    other = next((tmp_path / "other").glob("lib/*/site-packages"))
    (other / "packages.pth").write_text(f"{packages}\n{Path(__file__).parents[1]}\n")
    said = run(program, address, python=tmp_path / "other" / "bin" / "python")[1]
    assert json.loads(said)["parent"] == os.getpid()


def test_changed_code_counts_at_once(program, server):
    _, address = server
    assert run(program, address)[0] == 0
    program.write_text(PROGRAM.replace("arguments.word,", "'new',"))
    assert '"new"' in run(program, address)[1]


def test_errors_and_statuses_come_back(program, server):
    _, address = server
    assert run(program, address, "--fail")[::2] == (1, "ERROR: no images.\n")
    assert run(program, address, "--unknown")[0] == 2


def test_signals_reach_the_fork(program, server):
    _, address = server
    number = program.parent / "number"
    asked = start(program, address, "--wait")
    wait_for(lambda: number.exists() and number.read_text())
    asked.send_signal(signal.SIGTERM)
    assert asked.wait(10) == 7
    number.unlink()
    asked = start(program, address, "--wait")
    wait_for(lambda: number.exists() and number.read_text())
    os.kill(int(number.read_text()), signal.SIGKILL)  # as the kernel does without memory
    assert asked.wait(10) == -signal.SIGKILL


def test_a_fork_does_not_outlive_its_program_or_its_server(program, server):
    process, address = server
    number = program.parent / "number"
    for killed in ("program", "server"):
        asked = start(program, address, "--wait")
        wait_for(lambda: number.exists() and number.read_text())
        fork = int(number.read_text())
        number.unlink()
        if killed == "program":
            asked.kill()
            asked.wait(10)
        else:
            process.stdin.close()  # the fork may finish
            time.sleep(0.2)
            assert is_alive(fork)
            asked.terminate()
            assert asked.wait(10) == 7
        wait_for(lambda fork=fork: not is_alive(fork))


def test_programs_run_by_themselves_where_no_server_can_help(program, server, tmp_path):
    process, address = server

    def runs_alone(where, *words):
        status, said, complained = run(program, where, *words)
        assert (status, complained) == (0, "")
        return f'"parent": {process.pid},' not in said

    assert runs_alone(address, "--light")  # which does not wait until the libraries are there
    assert not runs_alone(address)
    assert not runs_alone(address, "--light")
    assert runs_alone(tmp_path / "nowhere")


def test_a_server_without_its_libraries_leaves_the_work_to_the_program(program, tmp_path):
    (tmp_path / "server").mkdir()
    address = tmp_path / "server" / "s"
    command = [
        sys.executable,
        "-m",
        "batteryscope.workflow.fork_server",
        str(address),
        "no_such_library",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        wait_for(address.exists)
        assert run(program, address)[0] == 0
        process.stdin.close()


def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    script = tmp_path / "starter.py"
    script.write_text(
        "import os\n"
        "from batteryscope.workflow.fork_client import ADDRESS, start_server\n"
        "server = start_server()\n"
        "print(server.pid if server else 0, os.environ.get(ADDRESS))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != ADDRESS}
    said = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    number, address = said.split()
    if number == "0":
        pytest.skip("a GPU is here, where programs do not fork")
    wait_for(lambda: not is_alive(int(number)))
    assert not Path(address).parent.exists()


def test_a_second_server_is_not_started(monkeypatch):
    monkeypatch.setenv(ADDRESS, "somewhere")
    assert start_server() is None


def test_a_server_that_cannot_start_costs_one_line_and_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(ADDRESS, raising=False)
    monkeypatch.setattr(fork_client, "GPU_DRIVER", tmp_path / "no driver")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", sys.executable)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert start_server(tmp_path) is None
    said = capsys.readouterr().err
    assert "Permission denied" in said
    assert said.count("\n") == 1
    assert ADDRESS not in os.environ


def test_server_whose_run_is_gone_imports_nothing_more(program, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time; open('begun', 'w').close(); time.sleep(1)", encoding="utf-8"
    )
    (tmp_path / "next.py").write_text("open('useless', 'w').close()", encoding="utf-8")
    (tmp_path / "server").mkdir()
    address = tmp_path / "server" / "s"
    command = [sys.executable, "-m", "batteryscope.workflow.fork_server", str(address)]
    paths = os.pathsep.join([str(Path.cwd()), str(tmp_path)])
    process = subprocess.Popen(
        [*command, "slow", "next"], stdin=subprocess.PIPE, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    wait_for(address.exists)
    client = start(program, address)
    wait_for((tmp_path / "begun").exists)
    process.stdin.close()
    client.kill()
    assert process.wait(10) == 0
    client.communicate()
    assert not (tmp_path / "useless").exists()
