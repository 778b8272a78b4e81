"""Names and titles of strangers command no terminal, no spreadsheet and no page."""

import csv
import logging

import pandas as pd
import pytest

from batteryscope.bundle.card import render_card
from batteryscope.bundle.output import write_rows
from batteryscope.bundle.predict_program import main as predict_table
from batteryscope.bundle.record import read_record
from batteryscope.core.safe_text import disarm_html, guard_cell, guard_table, show_controls
from batteryscope.tracking import store
from batteryscope.workflow.command_line import configure_logging
from tests.test_bundle_integrity import BUNDLES

ESCAPE = "a\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe"


def test_escape_sequences_are_shown_and_not_obeyed() -> None:
    shown = show_controls(ESCAPE + "\r\udcfc\tend\nnext")
    assert shown == ("a\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202egnp.exe\\r\\udcfc\tend\nnext")
    assert show_controls("틀 ü, µm ±5 “x”") == "틀 ü, µm ±5 “x”"


def test_messages_hold_no_escape_sequences(tmp_path, capsys) -> None:
    log = logging.getLogger("batteryscope")
    before = list(log.handlers)
    configure_logging(tmp_path / "log")
    log.warning("%s: cannot be read", ESCAPE)
    log.handlers[:] = before
    for text in (capsys.readouterr().err, (tmp_path / "log").read_text(encoding="utf-8")):
        assert "\\x1b[2J" in text
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)


@pytest.mark.parametrize(
    "text", ['=HYPERLINK("http://x","y")', "+1+cmd|' /C calc'!A0", "-x", "@SUM(1)", "\t=1", "\r=1"]
)
def test_formulas_are_guarded(text: str) -> None:
    assert guard_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-5", "+1e3", "a=b", "", "-inf", -5, None, 1.5, True])
def test_numbers_and_other_texts_stay(value) -> None:
    assert guard_cell(value) == value


def test_tables_are_guarded(tmp_path) -> None:
    table = pd.DataFrame({"file": ["=1+1", "a.png"], "n": [-1, 2], "none": [None, "@x"]})
    guarded = guard_table(table)
    assert guarded["file"].tolist() == ["'=1+1", "a.png"]
    assert guarded["n"].tolist() == [-1, 2]
    assert pd.isna(guarded["none"][0])
    assert guarded["none"][1] == "'@x"
    assert table["file"].tolist() == ["=1+1", "a.png"]


def test_predictions_are_guarded(tmp_path) -> None:
    row = {"file": '=HYPERLINK("x")', "p": -0.5, "status": "ok", "reason": "", "note": ""}
    row |= {"seen_in_training": False}
    write_rows(tmp_path / "out.csv", list(row), [row])
    with (tmp_path / "out.csv").open(newline="") as stream:
        [written] = csv.DictReader(stream)
    assert written["file"] == '\'=HYPERLINK("x")'
    assert written["p"] == "-0.5"


def test_model_card_holds_no_tag_of_a_title() -> None:
    record = read_record(BUNDLES / "classes_of_images" / "bundle")
    nasty = record.model_copy(update={"title": "<script>alert(1)</script><img src=x> A & B, p < 1"})
    card = render_card(nasty, "resnet18")
    assert "<script" not in card
    assert "<img" not in card
    assert "A & B, p < 1" in card
    assert render_card(record, "resnet18") == render_card(record, "resnet18").replace("&lt;", "<")
    assert disarm_html(3) == 3


def test_folder_as_table_is_told(tmp_path, capsys) -> None:
    bundle = str(BUNDLES / "tables" / "bundle")
    command = ["--bundle", bundle, "--table", str(tmp_path), "--out", str(tmp_path / "x.csv")]
    assert predict_table(command) == 1
    assert "this is a folder; name a table in it" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "in a file", "read-only", "garbage"])
def test_database_that_cannot_be_opened_costs_no_minutes(kind: str, tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "in a file":
        path.touch()
        path = path / "deeper" / "x.db"
    else:
        path.write_text("no database " * 100)
    if kind == "read-only":  # also where the tests run as root
        monkeypatch.setattr(store.os, "access", lambda *_: False)
    # MLflow would try ten times, with pauses of up to 51 s.
    monkeypatch.setattr(store, "_connect", lambda uri: pytest.fail("MLflow was asked"))
    with pytest.raises(store.TrackingUnavailableError, match=r"x\.db cannot be opened \("):
        store.open_client(f"sqlite:///{path}")


def test_server_database_that_is_not_there_costs_no_minutes(monkeypatch) -> None:
    monkeypatch.setattr(store, "_connect", lambda uri: pytest.fail("MLflow was asked"))
    with pytest.raises(store.TrackingUnavailableError) as caught:
        store.open_client("postgresql://ann:secret@127.0.0.1:9/db")
    assert "cannot be opened" in str(caught.value)
    assert "secret" not in str(caught.value)
