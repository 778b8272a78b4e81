"""Rows: numbers in their units, a domain each, and a reason for every row left out."""

import json
from pathlib import Path

import pandas as pd
import pytest

from batteryscope.config.table_data import TableDatasetSettings, TableFile
from batteryscope.errors import InputError
from batteryscope.samples.rows import ROWS
from batteryscope.tables.build_rows import build_rows, find_constant_columns
from batteryscope.tables.row_schema import read_rows, validate_rows
from batteryscope.tables.summarise_rows import summarise_rows
from workflow_scripts.ingest_dataset import main as ingest

READER = ROWS.modules.ingest
GAP = {"unit": "µm", "range": [1, 300]}


def make_settings(**changes: object) -> TableDatasetSettings:
    values = {
        "name": "t",
        "files": [{"path": "a.csv"}],
        "features": {"gap": GAP, "solid": {"unit": "wt%", "scale": 100, "range": [58, 73]}},
        "targets": {"loading": {"unit": "mg/cm²"}},
        "domains": {
            "graphite": {"material": {"values": ["Graphite"]}},
            "nmc": {"material": {"values": ["nmc", 811]}, "gap": {"min": 5}},
        },
        "source": "graphite",
    }
    return TableDatasetSettings.model_validate(values | changes)


def make_cells(n_source: int = 10, n_target: int = 6) -> pd.DataFrame:
    n = n_source + n_target
    return pd.DataFrame(
        {
            "material": ["graphite"] * n_source + ["nmc"] * n_target,
            "gap": [str(10 + i) for i in range(n)],
            "solid": ["0.58"] * n,
            "loading": [f"{2 + i / 10:.1f}" for i in range(n)],
        },
        index=pd.RangeIndex(2, 2 + n, name="row"),
        dtype=object,
    )


def build(cells: pd.DataFrame, settings: TableDatasetSettings | None = None, **file: object):
    return build_rows([(TableFile(path="a.csv", **file), cells)], settings or make_settings())


def reject_of(**cells: object) -> dict:
    """The one reject that a table with this row in line 18 gives."""
    table = make_cells()
    row = {"material": "nmc", "gap": "99", "solid": "0.6", "loading": "9"} | cells
    table.loc[18] = row
    _, rejects = build(table)
    (reject,) = rejects.to_dict("records")
    assert (reject["path"], reject["row"]) == ("a.csv", 18)
    return reject


def test_manifest_has_the_columns_of_the_contract():
    manifest, rejects = build(make_cells())
    assert list(manifest) == [
        *("sample_id", "path", "row", "domain", "group"),
        *("gap", "solid", "loading"),
    ]
    assert manifest["sample_id"].is_monotonic_increasing
    assert manifest["sample_id"].str.fullmatch("[0-9a-f]{16}").all()
    row = manifest.set_index("row").loc[2]
    assert (row["domain"], row["group"], row["gap"], row["solid"], row["loading"]) == (
        *("graphite", "", 10.0, 58.0, 2.0),
    )
    assert rejects.empty
    assert list(rejects) == ["path", "row", "reason", "detail"]


def test_sample_id_follows_the_numbers_not_the_place():
    manifest, _ = build(make_cells())
    moved = make_cells().iloc[::-1].set_axis(range(100, 116))
    again, _ = build_rows([(TableFile(path="b.csv"), moved)], make_settings())
    assert again["sample_id"].tolist() == manifest["sample_id"].tolist()
    other = make_cells()
    other.loc[2, "loading"] = "2.01"
    assert len(set(build(other)[0]["sample_id"]) - set(manifest["sample_id"])) == 1


def test_decimal_comma_is_found_or_stated():
    cells = make_cells()
    cells["loading"] = cells["loading"].str.replace(".", ",")
    cells["solid"] = "0,58"
    assert build(cells)[0].set_index("row").loc[3, "loading"] == 2.1
    with pytest.raises(InputError, match="16 not_a_number"):
        build(cells, decimal=".")


def test_text_in_a_number_column():
    reject = reject_of(loading="ca. 9")
    assert reject["reason"] == "not_a_number"
    assert reject["detail"] == "loading is 'ca. 9', not a number with a decimal '.'"


def test_empty_cell():
    assert reject_of(solid=None)["reason"] == "missing_value"
    assert reject_of(solid=" n/a ")["detail"] == "solid is empty"


def test_roll_gap_in_mm_is_suspected():
    reject = reject_of(gap="0.07")
    assert reject["reason"] == "out_of_range"
    assert reject["detail"] == (
        "gap is 0.07 µm, outside 1 to 300 µm; perhaps given in another unit "
        "(times 1000 it is 70 µm)"
    )
    assert "divided by 1000 it is 70 µm" in reject_of(gap="70000")["detail"]
    assert reject_of(gap="-5")["detail"] == "gap is -5 µm, outside 1 to 300 µm"


def test_share_given_in_percent_is_suspected():
    assert "(divided by 100 it is 60 wt%)" in reject_of(solid="60")["detail"]


def test_unknown_domain_and_several_domains():
    reject = reject_of(material="LFP")
    assert reject["reason"] == "unknown_domain"
    assert reject["detail"] == "matches no domain (gap '99.0', material 'LFP')"
    domains = {name: {"gap": {"min": 1}} for name in ("graphite", "nmc")}
    with pytest.raises(InputError, match="matches graphite and nmc"):
        build(make_cells(), make_settings(domains=domains))


def test_domain_conditions_compare_numbers_as_numbers_and_all_must_hold():
    cells = make_cells()
    cells.loc[[16, 17], "material"] = ["811.0", " NMC "]
    assert build(cells)[0]["domain"].value_counts().to_dict() == {"graphite": 10, "nmc": 6}
    assert reject_of(gap="4")["reason"] == "unknown_domain"


def test_domain_of_the_file():
    settings = make_settings(domains={})
    cells = make_cells().drop(columns="material")
    tables = [
        (TableFile(path="a.csv", domain="graphite"), cells.iloc[:10]),
        (TableFile(path="b.csv", domain="nmc"), cells.iloc[10:]),
    ]
    manifest, _ = build_rows(tables, settings)
    assert set(manifest.loc[manifest["path"] == "b.csv", "domain"]) == {"nmc"}


def test_identical_rows_keep_the_first():
    cells = make_cells()
    cells.loc[18] = cells.loc[4]
    cells.loc[18, "loading"] = "2.20"
    manifest, rejects = build(cells)
    assert rejects.to_dict("records") == [
        {
            "path": "a.csv",
            "row": 18,
            "reason": "duplicate_row",
            "detail": "the same numbers as a.csv, line 4",
        }
    ]
    assert 4 in manifest["row"].tolist()


def test_a_copy_in_another_domain_is_a_copy():
    cells = make_cells()
    cells.loc[18] = cells.loc[6]
    cells.loc[18, "material"] = "nmc"
    manifest, rejects = build(cells)
    assert rejects["detail"].tolist() == ["the same numbers as a.csv, line 6 of domain graphite"]
    assert 18 not in manifest["row"].tolist()


def test_group_column():
    cells = make_cells().assign(batch=[7.0, "b", None, *["c"] * 13])
    manifest, _ = build(cells, make_settings(group="batch"))
    groups = manifest.set_index("row")["group"]
    assert groups.loc[[2, 3, 4]].tolist() == ["7", "b", ""]


def test_three_rows_are_too_few():
    with pytest.raises(InputError, match="source domain 'graphite' has 3 usable rows, but 10"):
        build(make_cells(3, 6))
    with pytest.raises(InputError, match=r"target domain 'nmc' has 3 usable rows, but 6.*nmc 3"):
        build(make_cells(10, 3))


def test_no_row_of_a_domain_and_no_row_at_all():
    with pytest.raises(InputError, match="source domain 'graphite' has no usable rows"):
        build(make_cells(0, 12))
    with pytest.raises(InputError, match="target domain 'nmc' has no usable rows"):
        build(make_cells(12, 0))
    cells = make_cells().assign(loading="-")
    with pytest.raises(
        InputError, match="no usable row is left; rejected: 16 missing_value, first"
    ):
        build(cells)


def test_constant_features_are_collected_per_domain():
    cells = make_cells()
    cells.loc[17, "solid"] = "0.6"
    manifest, _ = build(cells)
    assert find_constant_columns(manifest, ["gap", "solid"]) == {"graphite": ["solid"]}


def test_broken_manifest_is_refused():
    manifest, _ = build(make_cells())
    columns = make_settings().features
    manifest.loc[0, "gap"] = float("nan")
    with pytest.raises(InputError, match=r"breaks its contract.*gap"):
        validate_rows(manifest, columns)


def test_names_of_fixed_columns_are_refused():
    with pytest.raises(ValueError, match="'row' is a column that every table gets"):
        make_settings(features={"row": {}})


def test_summary():
    cells = make_cells()
    cells.loc[18] = {"material": "nmc", "gap": "x", "solid": "0.6", "loading": "9"}
    manifest, rejects = build(cells)
    summary = summarise_rows(manifest, rejects, make_settings())
    assert (summary["rows"], summary["rejected"]) == (16, 1)
    assert summary["domains"] == {"graphite": 10, "nmc": 6}
    assert summary["rejects"] == {"not_a_number": 1}
    assert summary["columns"]["graphite"]["gap"] == {"min": 10.0, "mean": 14.5, "max": 19.0}
    assert summary["constants"] == {"graphite": ["solid"], "nmc": ["solid"]}
    shuffled = manifest.iloc[::-1].assign(path="other.csv")
    assert summarise_rows(shuffled, rejects, make_settings()) == summary | {
        "columns": summarise_rows(shuffled, rejects, make_settings())["columns"]
    }


def test_program_writes_all_and_says_what_is_wrong(tmp_path: Path, capsys):
    cells = make_cells()
    cells.loc[18] = {"material": "nmc", "gap": "0.07", "solid": "0.6", "loading": "9"}
    cells.to_csv(tmp_path / "a.csv", index=False)
    settings = make_settings().model_dump_json()
    names = {"manifest": "m.parquet", "rejects": "o/r.csv", "summary": "o/s.json"}
    outputs = [text for key, name in names.items() for text in (f"--{key}", str(tmp_path / name))]
    assert (
        ingest(
            [
                "--by",
                READER,
                "--settings",
                settings,
                "--dataset",
                str(tmp_path),
                *outputs,
            ]
        )
        == 0
    )
    assert len(read_rows(tmp_path / "m.parquet", ["gap", "solid", "loading"])) == 16
    assert json.loads((tmp_path / "o/s.json").read_text())["rejects"] == {"out_of_range": 1}
    assert pd.read_csv(tmp_path / "o/r.csv")["row"].tolist() == [18]
    cells.iloc[:3].to_csv(tmp_path / "a.csv", index=False)
    assert (
        ingest(
            [
                "--by",
                READER,
                "--settings",
                settings,
                "--dataset",
                str(tmp_path),
                *outputs,
            ]
        )
        == 1
    )
    assert "has 3 usable rows" in capsys.readouterr().err


def test_missing_manifest_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="the manifest does not exist"):
        read_rows(tmp_path / "no.parquet")


def test_a_column_names_the_domains_where_no_conditions_do():
    cells = make_cells().rename(columns={"material": "domain"})
    cells["domain"] = [" Graphite"] * 10 + ["Si-Graphite"] * 6
    cells.loc[18] = {"domain": "?", "gap": "99", "solid": "0.6", "loading": "9"}
    manifest, rejects = build(cells, make_settings(domains={}))
    assert manifest["domain"].value_counts().to_dict() == {"graphite": 10, "si_graphite": 6}
    assert rejects["detail"].tolist() == ["matches no domain (domain '?')"]


def test_a_domain_of_which_every_row_is_rejected_is_told():
    cells = make_cells().rename(columns={"material": "domain"})
    cells.loc[cells["domain"] == "nmc", "gap"] = "0.05"  # mm instead of µm
    with pytest.raises(InputError, match=r"target domain 'nmc' has no usable rows.*6 out_of_range"):
        build(cells, make_settings(domains={}))


def test_a_target_that_never_changes_is_refused():
    cells = make_cells()
    cells.loc[cells["material"] == "nmc", "loading"] = "2.5"
    with pytest.raises(InputError, match=r"target 'loading' is 2.5 in all rows of 'nmc'"):
        build(cells)


@pytest.mark.parametrize("decimal", [".", ","])
def test_thousands_are_an_error_that_says_what_to_write(tmp_path, decimal):
    """The same numbers in the spelling of two locales, and the answer to the error."""
    group = "," if decimal == "." else "."
    gaps = [850 + 35 * i for i in range(14)]
    lines = [f"{gap:,};{3 + gap % 4};{2 * gap:,}".replace(",", group) for gap in gaps]
    (tmp_path / "a.csv").write_text("gap;speed;load\n" + "\n".join(lines))
    values = {
        "name": "t",
        "features": {"gap": {}, "speed": {}},
        "targets": {"load": {}},
        "source": "a",
    }
    told = ingest_file(tmp_path, values | {"files": [{"path": "a.csv", "domain": "a"}]})
    assert told == 1
    log = (tmp_path / "log").read_text()
    assert f"{{path: a.csv, decimal: '{decimal}'}} if it is 1025" in log
    file = {"path": "a.csv", "domain": "a", "decimal": decimal}
    assert ingest_file(tmp_path, values | {"files": [file]}) == 0
    rows = pd.read_parquet(tmp_path / "m.parquet").sort_values("row")
    assert rows["gap"].tolist() == gaps
    assert rows["load"].tolist() == [2 * gap for gap in gaps]
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["decimal_signs"] == {"a.csv": decimal}


def ingest_file(folder: Path, settings: dict) -> int:
    outputs = {"manifest": "m.parquet", "rejects": "r.csv", "summary": "s.json", "log": "log"}
    named = [word for name, file in outputs.items() for word in (f"--{name}", f"{folder / file}")]
    return ingest(
        [
            "--by",
            READER,
            "--dataset",
            f"{folder}",
            "--settings",
            json.dumps(settings),
            *named,
        ]
    )


def test_rows_that_cannot_be_read_are_listed_with_their_reason(tmp_path):
    lines = [f"{i},0.{i},{i + 1}" for i in range(10, 22)]
    lines[3:3] = ["9,0,5,7", "8,-,9"]
    (tmp_path / "a.csv").write_text("gap,speed,load\n" + "\n".join(lines))
    settings = {
        "name": "t",
        "files": [{"path": "a.csv", "domain": "a"}],
        "features": {"gap": {}, "speed": {}},
        "targets": {"load": {}},
        "source": "a",
    }
    assert ingest_file(tmp_path, settings) == 0
    rejects = pd.read_csv(tmp_path / "r.csv")
    assert rejects[["row", "reason"]].to_numpy().tolist() == [
        [5, "too_many_cells"],
        [6, "missing_value"],
    ]
    assert "it has 4 cells, but the header has 3" in rejects["detail"][0]
