"""A published table model: complete, checked when opened, and right about tables of strangers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from batteryscope.bundle.predict_program import main as predict_table
from batteryscope.config.table_data import Condition
from batteryscope.errors import InputError
from batteryscope.tables.bundle import load_table_bundle
from batteryscope.tables.bundle_card import render_table_card, tell_unguarded_domains
from batteryscope.tables.predict_query import read_query
from batteryscope.tables.row_familiarity import REFERENCE_FILE, ROWS_FILE, write_row_familiarity
from tests.linear_study import HALF_WIDTH, MEASURED, SPREAD, apply_law, make_settings, write_study
from workflow_scripts.bundle_models import main as bundle_models

PLAIN = "domain,gap,speed,solids,width\nnmc,2.5,20,200,5\nnmc,1.5,10,150.5,5\n"


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("study")
    shared = write_study(root, make_settings())
    assert bundle_models([*shared, "--out", str(root / "bundle")]) == 0
    return root / "bundle"


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(published, tmp_path / "bundle"))


def ask(bundle: Path, table: Path, *more: str) -> pd.DataFrame:
    out = table.parent / "answer.csv"
    arguments = ["--bundle", str(bundle), "--table", str(table), "--out", str(out), *more]
    assert predict_table(arguments) == 0
    return pd.read_csv(out, keep_default_na=False, na_values={"density_low": [""]})


def write(folder: Path, text: str, name: str = "new.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_bundle_holds_the_networks_of_the_main_arm(published: Path) -> None:
    record = load_table_bundle(published).record
    arms = {(member.domain, member.arm) for member in record.members}
    assert arms == {("graphite", "source"), ("nmc", "adapter")}
    assert len(record.members) == 2 * 2 * 2  # domains, targets, repeats
    assert record.half_widths["density"] == {"graphite": None, "nmc": HALF_WIDTH}
    assert record.measured_coverages["density"] == {"graphite": MEASURED, "nmc": MEASURED}
    assert record.domains[1].ranges["width"] == (5, 5)
    assert "scratch.row.nmc.density.mape" not in record.metrics
    card = (published / "MODEL_CARD.md").read_text()
    assert "| density | nmc | best baseline: linear regression | 3.1 % |  |" in card
    assert "Few rows of nmc." in card
    assert "| density | too few rows | ± 5.0 % (held 88 %) |" in card


def test_the_same_study_gives_the_same_bytes(published: Path, tmp_path: Path) -> None:
    shared = write_study(tmp_path / "again", make_settings())
    again = tmp_path / "bundle"
    assert bundle_models([*shared, "--out", str(again)]) == 0
    files = sorted(path.name for path in published.iterdir())
    assert files == [
        "MODEL_CARD.md",
        "bundle.json",
        "digest.json",
        "example_input.csv",
        "example_output.csv",
        "networks.safetensors",
        "training_reference.safetensors",
        "training_rows.csv",
    ]
    assert all((published / f).read_bytes() == (again / f).read_bytes() for f in files)


def test_example_output_is_what_the_bundle_says(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "answer.csv"
    example = str(published / "example_input.csv")
    assert predict_table(["--bundle", str(published), "--table", example, "--out", str(out)]) == 0
    assert out.read_bytes() == (published / "example_output.csv").read_bytes()
    assert pd.read_csv(out)["domain"].tolist() == ["graphite"] * 2 + ["nmc"] * 2


def test_answers_follow_the_law(published: Path, tmp_path: Path) -> None:
    answer = ask(published, write(tmp_path, PLAIN)).iloc[0]
    first = 2 * (20 + 3 * 2.5 + 0.2 * 20 + 0.05 * 200)
    assert answer["density"] == pytest.approx(first * (1 + SPREAD / 2), rel=1e-5)
    assert answer["density_sd"] == pytest.approx(first * SPREAD / np.sqrt(2), rel=1e-4)
    assert answer["density_low"] == pytest.approx(answer["density"] * (1 - HALF_WIDTH), rel=1e-5)
    assert answer["density_high"] == pytest.approx(answer["density"] * (1 + HALF_WIDTH), rel=1e-5)
    assert answer[["status", "reason", "note"]].tolist() == ["ok", "", ""]


def test_decimal_comma_and_excel_give_the_same_answers(published: Path, tmp_path: Path) -> None:
    plain = ask(published, write(tmp_path, PLAIN))
    text = PLAIN.replace(",", ";").replace(".", ",")
    pd.testing.assert_frame_equal(ask(published, write(tmp_path, text, "comma.csv")), plain)
    table = pd.read_csv(tmp_path / "new.csv").drop(columns="domain")
    table.to_excel(tmp_path / "new.xlsx", index=False)
    other = ask(published, tmp_path / "new.xlsx", "--domain", "NMC")
    pd.testing.assert_frame_equal(other, plain)


def test_title_of_the_study_brings_its_own_unit(published: Path, tmp_path: Path) -> None:
    text = "gap,speed,solids (share),width\n2.5,20,2.0,5\n"
    answer = ask(published, write(tmp_path, text), "--domain", "nmc")
    assert answer["solids"].tolist() == [200]
    assert answer["density"][0] == ask(published, write(tmp_path, PLAIN))["density"][0]


def test_a_bad_row_costs_one_row(published: Path, tmp_path: Path) -> None:
    text = PLAIN + "nmc,,20,200,5\nlfp,2,20,200,5\nnmc,2 µm,20,200,5\nnmc,99,20,200,5\n"
    answer = ask(published, write(tmp_path, text))
    assert answer["row"].tolist() == [2, 3, 4, 5, 6, 7]
    assert answer["status"].tolist() == ["ok"] * 2 + ["rejected"] * 4
    assert answer["reason"].tolist()[2:] == [
        "missing_value: gap is empty",
        "unknown_domain: domain is 'lfp', the model knows graphite, nmc",
        "not_a_number: gap is '2 µm', not a number with a decimal '.'",
        "out_of_range: gap is 99 µm, outside 0 to 10 µm; perhaps given in another unit "
        "(divided by 1000 it is 0.099 µm)",
    ]
    assert answer["density"].tolist()[2:] == [""] * 4


def test_what_a_sentence_about_the_table_advises_is_possible(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(table: Path, *more: str) -> str:
        command = ["--bundle", str(published), "--table", str(table), *more]
        assert predict_table([*command, "--out", str(tmp_path / "answer.csv")]) == 1
        printed = capsys.readouterr()
        return printed.out + printed.err

    unclear = write(tmp_path, "domain;gap;speed;solids;width\nnmc;2,125;20;200;5\n", "unclear.csv")
    assert "--decimal ',' if it is 2.125" in refuse(unclear)
    assert ask(published, unclear, "--decimal", ",")["gap"].tolist() == [2.125]
    assert "out_of_range: gap is 2125" in refuse(unclear, "--decimal", ".")
    korean = tmp_path / "korean.csv"
    korean.write_bytes(
        (PLAIN.replace("domain", "비고,domain").replace("nmc", "양,nmc")).encode("cp949")
    )
    assert "--encoding cp1252" in refuse(korean)
    assert ask(published, korean, "--encoding", "cp949")["gap"].tolist() == [2.5, 1.5]
    assert ask(published, korean, "--encoding", "cp949", "--separator", ",")["row"].tolist() == [
        2,
        3,
    ]
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        pd.DataFrame({"a": [1]}).to_excel(book, sheet_name="notes")
        pd.read_csv(write(tmp_path, PLAIN)).to_excel(book, sheet_name="2024", index=False)
    assert "'gap' is missing" in refuse(tmp_path / "two.xlsx")
    for sheet in ("2024", "1"):
        answer = ask(published, tmp_path / "two.xlsx", "--sheet", sheet)
        assert answer["gap"].tolist() == [2.5, 1.5]
    assert "this is a folder" in refuse(tmp_path)


def test_a_row_with_more_cells_than_titles_is_answered_with_its_reason(
    published: Path, tmp_path: Path
) -> None:
    answer = ask(published, write(tmp_path, PLAIN + "nmc,2,5,20,200,5\nnmc,1.5,10,150.5,5\n"))
    assert answer["row"].tolist() == [2, 3, 4, 5]
    assert answer["status"].tolist() == ["ok", "ok", "rejected", "ok"]
    assert answer["reason"][2].startswith("too_many_cells: it has 6 cells, but the header has 5")


def test_a_value_outside_the_training_range_is_noted(published: Path, tmp_path: Path) -> None:
    table = write(tmp_path, PLAIN + "nmc,2,45,200,6\n")
    answer = ask(published, table, "--answer-anyway").iloc[2]
    assert answer["status"] == "ok"
    assert answer["note"].startswith(
        "speed 45 m/min is outside the training range (10 to 30 m/min); "
        "width 6 mm is outside the training range (always 5 mm); intervals are unknown there; "
        "unlike the training rows: inputs: "
    )
    assert np.isnan(answer["density_low"])


def test_a_row_unlike_all_of_the_training_is_not_answered(published: Path, tmp_path: Path) -> None:
    answer = ask(published, write(tmp_path, PLAIN + "nmc,2,45,200,6\n"))
    assert answer["status"].tolist() == ["ok", "ok", "unlike_training"]
    assert answer["density"][2] == ""
    assert answer["reason"][2].startswith("unlike the training rows: inputs: ")
    assert answer["unlike_training"].astype(float).gt(1).tolist() == [False, False, True]
    assert answer["nearest_training_row"].str.fullmatch(r"rows\.csv:\d+").all()
    assert set(answer["trained_on"]) == {"linear"}
    known = load_table_bundle(published).record.familiarity
    assert known["nmc"].n_held_out == 30
    assert known["nmc"].false_alarms_attained == pytest.approx(0.05, abs=0.02)


def test_domains_that_are_not_compared_are_named(
    copy: Path,
) -> None:
    record = load_table_bundle(copy).record
    assert tell_unguarded_domains(record) == ""
    few = record.model_copy(update={"familiarity": {"graphite": record.familiarity["graphite"]}})
    assert "All rows of nmc are answered, however unlike" in render_table_card(few)
    assert tell_unguarded_domains(few.model_copy(update={"familiarity": {}})) == ""


def test_a_hopeless_table_names_the_first_reject_and_the_first_unlike_row(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path, PLAIN.splitlines()[0] + "\nlfp,2,20,200,5\nnmc,2,45,200,6\n")
    command = ["--bundle", str(published), "--table", str(table), "--out", str(tmp_path / "a.csv")]
    assert predict_table(command) == 1
    error = capsys.readouterr().err
    assert "the first is: line 2: unknown_domain" in error
    assert "; the first unlike the training: line 3: unlike the training rows: inputs" in error


def test_damaged_training_rows_are_refused(copy: Path) -> None:
    (copy / "digest.json").unlink()
    rows = (copy / "training_rows.csv").read_text().splitlines()
    (copy / "training_rows.csv").write_text("\n".join(rows[:-1]))
    with pytest.raises(InputError, match="the rows of 'nmc' are not those"):
        load_table_bundle(copy)
    (copy / "training_rows.csv").unlink()
    with pytest.raises(InputError, match=r"training_rows\.csv: this file of the bundle is missing"):
        load_table_bundle(copy)


def test_an_unknown_width_leaves_the_interval_empty(published: Path, tmp_path: Path) -> None:
    plain = PLAIN.replace("nmc", "graphite")
    answer = ask(published, write(tmp_path, plain), "--domain", "graphite").iloc[0]
    assert answer["density"] == pytest.approx(41.5 * (1 + SPREAD / 2), rel=1e-5)
    assert np.isnan(answer["density_low"])


@pytest.mark.parametrize(
    ("text", "more", "sentence"),
    [
        (
            "gap,speed,width\n1,2,3\n",
            ["--domain", "nmc"],
            "the feature 'solids' is missing; expected a column with the title 'solids' or "
            "'Solids (share)', found 'gap', 'speed', 'width'; add or rename it.",
        ),
        (PLAIN, ["--domain", "lfp"], "does not know 'lfp'; it knows graphite, nmc."),
        (PLAIN.replace("domain", "cell"), [], "nothing tells which domain the rows belong to"),
        (PLAIN.replace("nmc", "lfp"), [], "none of the 2 rows could be judged"),
    ],
)
def test_a_hopeless_table_is_one_sentence(
    published: Path, tmp_path: Path, capsys, text: str, more: list[str], sentence: str
) -> None:
    table, out = write(tmp_path, text), tmp_path / "answer.csv"
    arguments = ["--bundle", str(published), "--table", str(table), "--out", str(out), *more]
    assert predict_table(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def test_changed_weights_are_refused(copy: Path) -> None:
    path = copy / "networks.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name] + 1}, path)
    with pytest.raises(InputError, match="the weights have SHA-256"):
        load_table_bundle(copy)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": 7}, "format_version is 7"),
        ({"kind": "images"}, "no bundle of models that predict numbers of a table"),
        ({"members": []}, "The bundle is damaged"),
        ({"batteryscope_version": "9.9", "hue": 1}, "the version .* that wrote it .'9.9'. knows"),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(copy: Path, change: dict, sentence: str) -> None:
    path = copy / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=sentence):
        load_table_bundle(copy)


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    path = copy / "bundle.json"
    record = json.loads(path.read_text())
    record["members"][0]["network"]["nodes"] = 3
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"do not fit bundle\.json"):
        load_table_bundle(copy)


def test_law_of_the_test_is_that_of_the_rows() -> None:
    rows = pd.DataFrame({"gap": [2.0], "speed": 20.0, "solids": 200.0, "width": 5.0})
    assert apply_law("density", rows, "nmc").tolist() == [80.0]
    assert apply_law("loading", rows, "nmc").tolist() == [8.0]


def test_the_command_and_the_table_must_not_contradict_each_other(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path, PLAIN)
    command = ["--bundle", str(published), "--table", str(table), "--domain", "graphite"]
    assert predict_table([*command, "--out", str(tmp_path / "answer.csv")]) == 1
    assert "line 2 belongs to 'nmc', but --domain says 'graphite'" in capsys.readouterr().err


def test_domains_are_told_by_the_conditions_of_the_study(published: Path, tmp_path: Path) -> None:
    told = load_table_bundle(published).record
    rules = {
        "graphite": {"solids": Condition(max=250), "Material": Condition(values=["C", 12])},
        "nmc": {"Material": Condition(values=["NMC"])},
    }
    domains = [d.model_copy(update={"conditions": rules[d.name]}) for d in told.domains]
    record = told.model_copy(update={"domains": domains})
    lines = ("2,20,200,5,c", "2,20,300,5,C", "2,20,200,5,nmc", "2,20,200,5,12")
    rows = "\n".join(["gap,speed,solids,width,material", *lines, ""])
    query = read_query(write(tmp_path, rows), record)
    assert list(query["domain"]) == ["graphite", "", "nmc", "graphite"]
    assert "it meets those of none of graphite, nmc" in query["reason"][1]
    assert list(query["reason"])[2:] == ["", ""]
    # What is said aloud comes first, and without the column somebody has to say it.
    assert set(read_query(write(tmp_path, rows), record, "nmc")["domain"]) == {"nmc"}
    with pytest.raises(InputError, match=r"Material.* --domain or a column 'domain'"):
        read_query(write(tmp_path, "gap,speed,solids,width\n2,20,200,5\n"), record)
    record = told.model_copy(update={"domains": [domains[0], told.domains[1]]})
    with pytest.raises(InputError, match="nothing tells which domain"):
        read_query(write(tmp_path, rows), record)


def test_what_an_earlier_bundle_knew_of_rows_does_not_stay(tmp_path: Path) -> None:
    for name in (REFERENCE_FILE, ROWS_FILE):
        (tmp_path / name).write_text("old")
    assert write_row_familiarity(tmp_path, pd.DataFrame(), [], [], None) == {}
    assert not list(tmp_path.iterdir())


def test_a_domain_counts_its_groups(published: Path) -> None:
    known = json.loads((published / "bundle.json").read_text())["familiarity"]["nmc"]
    assert 3 <= known["n_groups"] <= known["n_held_out"] == known["n_reference"]
