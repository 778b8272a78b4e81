"""User names and passwords in addresses are sent, and neither shown, stored nor logged."""

import base64
import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from batteryscope.config.project import load_project
from batteryscope.core.names import describe_failure, hide_password
from batteryscope.errors import ConfigError
from batteryscope.tracking import address, store
from batteryscope.tracking.address import find_header, pass_credentials, split_credentials
from batteryscope.tracking.study import track_runs
from tests.conftest import ROOT
from tests.small_params import small_params, small_study
from tests.tracking_study import load_script

NAME, SECRET = "ann", "p@ss/wo:rd"
WRITTEN = "p%40ss%2Fwo%3Ard"
BASIC = "Basic " + base64.b64encode(f"{NAME}:{SECRET}".encode()).decode()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    """Tests start without, and leave none behind."""
    for name in (address.USERNAME, address.PASSWORD, address.TOKEN, address.ADDRESS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def server():
    """A tracking server without experiments that answers only whom it knows."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers.get("Authorization")))
            known = self.headers.get("Authorization") == BASIC
            body = b"{}" if known else b"who are you?"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (http.server's name)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        http.asked = []
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http
        http.shutdown()


def spell(server, who: str = f"{NAME}:{WRITTEN}@") -> str:
    return f"http://{who}127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:secret@host:5000/x", "http://***@host:5000/x"),
        ("https://ann@host", "https://***@host"),
        ("postgresql+psycopg2://a:s@e:c@host/db", "postgresql+psycopg2://***@host/db"),
        ("mysql://host/db?user=a&password=s3&x=1", "mysql://host/db?user=a&password=***&x=1"),
        ("https://host/?token=abc#top", "https://host/?token=***#top"),
        ("could not reach http://a:b@h/ (x@y.z)", "could not reach http://***@h/ (x@y.z)"),
        ("sqlite:////data/me@home/x.db", "sqlite:////data/me@home/x.db"),
        ("http://host/a@b", "http://host/a@b"),
        ("mlflow.db", "mlflow.db"),
    ],
)
def test_credentials_are_hidden_wherever_they_stand(text: str, shown: str) -> None:
    assert hide_password(text) == shown
    assert describe_failure(ValueError(f"{text}\nmore")) == shown


def test_address_of_a_server_is_taken_apart() -> None:
    assert split_credentials(f"https://{NAME}:{WRITTEN}@host:1/x?y=1") == (
        "https://host:1/x?y=1",
        NAME,
        SECRET,
    )
    for plain in ("http://host", "sqlite:///mlflow.db", "postgresql://a:b@host/db"):
        assert split_credentials(plain) == (plain, "", "")
    assert pass_credentials("http://host") == "http://host"
    assert find_header() == {}


def test_server_with_a_password_is_reached_and_told_who_asks(server) -> None:
    store.open_client(spell(server))
    paths, headers = zip(*server.asked, strict=True)
    assert paths[0] == "/health"
    assert any("experiments/search" in path for path in paths)
    assert set(headers) == {BASIC}


def test_record_of_a_study_and_its_messages_hold_no_password(server, capsys, caplog) -> None:
    logger = logging.getLogger("batteryscope")
    before, logger.propagate = logger.propagate, True
    caplog.set_level(logging.INFO, logger="batteryscope")
    gone = spell(server).replace(str(server.server_port), "9")
    command = ["track_study.py", "--study", "x", "--uri", gone, f"--uri={gone}"]
    tracked = track_runs("x", list, gone, True, command)
    logger.propagate = before
    assert tracked["status"] == "pending"
    assert tracked["arguments"] == ["--study", "x"]
    assert tracked["uri"] == "http://127.0.0.1:9"
    told = json.dumps(tracked) + caplog.text + "".join(capsys.readouterr())
    assert "127.0.0.1:9" in caplog.text
    for secret in (SECRET, WRITTEN, NAME + ":"):
        assert secret not in told


def test_upload_finds_the_password_where_the_user_keeps_it(tmp_path, monkeypatch) -> None:
    upload = load_script("upload_runs")
    path, params = tmp_path / "tracked.json", tmp_path / "params.yaml"
    find = lambda noted: upload.find_store({"uri": noted}, path, params)  # noqa: E731
    assert find("http://host") == "http://host"
    with pytest.raises(upload.BatteryscopeError, match="MLFLOW_TRACKING_URI, or say it with --uri"):
        find("postgresql://***@host/db")
    monkeypatch.setenv(address.ADDRESS, "postgresql://a:b@host/db")
    assert find("postgresql://***@host/db") == "postgresql://a:b@host/db"
    settings = small_params(check=small_study()) | {"tracking": {"uri": "http://a@host"}}
    params.write_text(yaml.safe_dump(settings))
    assert find("http://host") == "http://a@host"


@pytest.mark.parametrize(
    ("overlay", "told"),
    [
        (
            {"tracking": {"uri": f"https://ann:{WRITTEN}@host"}},
            r"tracking.uri: https://\*\*\*@host holds a password, .* set MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI",
        ),
        (
            {"studies": {"check": {"search": {"storage": f"postgresql://ann:{WRITTEN}@h/db"}}}},
            r"search.storage: postgresql://\*\*\*@h/db holds a password, .* ~/.pgpass, .*PGPASS",
        ),
        (
            {"studies": {"check": {"search": {"storage": f"mysql://h/db?password={WRITTEN}"}}}},
            "search.storage: .* holds a password, which git and DVC would keep",
        ),
    ],
)
def test_settings_hold_no_password_that_others_would_copy(overlay, told, tmp_path) -> None:
    params = tmp_path / "params.yaml"
    search = {"space": {"train.learning_rate": [1e-3, 1e-2]}}
    params.write_text(yaml.safe_dump(small_params(check=small_study(search=search))))
    load_project(params, {"tracking": {"uri": "https://ann@host"}})  # a name is no secret
    with pytest.raises(ConfigError, match=told) as error:
        load_project(params, overlay)
    assert WRITTEN not in str(error.value)
    assert "\n" not in str(error.value)


def test_user_interface_gets_its_database_by_the_environment(tmp_path, monkeypatch) -> None:
    program = load_script("open_page")
    started = []
    monkeypatch.setattr(program.os, "execvpe", lambda *words: started.append(words))
    monkeypatch.setenv(address.ADDRESS, "postgresql://a:b@host/db")
    assert program.main(["runs", "--params", str(tmp_path / "none.yaml")]) == 0
    [(_, command, environment)] = started
    assert "a:b" not in " ".join(command)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert environment["DO_NOT_TRACK"] == environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://a:b@host/db"


def test_programs_take_the_store_from_the_environment() -> None:
    for path in (ROOT / "rules").glob("*.smk"):
        assert "--uri" not in path.read_text(encoding="utf-8"), path
    code = (
        "from workflow_scripts.track_study import *; p = make_parser(''); add_tracking_uri(p);"
        "print(p.parse_args([]).uri)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {address.ADDRESS: "http://x", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "http://x"
