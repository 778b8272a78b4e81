"""What ``import batteryscope as bs`` offers answers as the programs do, for every kind of model."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import batteryscope as bs
from batteryscope.errors import InputError
from batteryscope.readers.picture import AcquisitionMetadata, Picture
from tests.conftest import ROOT
from tests.test_old_bundles import BUNDLES, PICTURES, check_equal

GREY = np.zeros((4, 4), np.uint8)
pytestmark = pytest.mark.usefixtures("one_thread")


def as_read_back(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The same table after it was written and read, as tables of programs are."""
    rows.to_csv(folder / "rows.csv", index=False)
    return pd.read_csv(folder / "rows.csv", dtype=str, keep_default_na=False)


def stored(kind: str) -> pd.DataFrame:
    return pd.read_csv(BUNDLES / kind / "predictions.csv", dtype=str, keep_default_na=False)


GIVEN_PICTURES = [kind for kind in PICTURES if not (BUNDLES / kind / "beside.csv").exists()]


@pytest.mark.parametrize("kind", GIVEN_PICTURES)
def test_folders_are_answered_as_by_the_program(kind, tmp_path):
    model = bs.load(BUNDLES / kind / "bundle")
    found = as_read_back(model.predict(BUNDLES / kind / "input"), tmp_path)
    check_equal(found, stored(kind))


def test_pictures_are_answered_with_what_stands_beside_them(tmp_path):
    folder = BUNDLES / "quantities"
    model, beside = bs.load(folder / "bundle"), pd.read_csv(folder / "beside.csv")
    needed = model.covariates.set_index("column")
    assert needed.loc["thickness_um", "unit"] == "µm"
    assert needed.loc["binder", "names"] == "CMC, PVDF"
    for given in (folder / "beside.csv", beside, beside.set_index("file")):
        found = as_read_back(model.predict(folder / "input", covariates=given), tmp_path)
        check_equal(found, stored("quantities"))

    pixels = dict.fromkeys("ab", np.asarray(Image.open(folder / "input" / "a.png")))
    rows = beside.head(2).assign(file=["a", "b"], thickness_um=[np.nan, 60])
    found = model.predict(pixels, covariates=rows).set_index("file")
    assert found["status"].tolist() == ["rejected", "ok"]
    assert found.loc["a.png", "reason"].startswith("no_covariate: covariates.csv, row 2: thick")
    assert not bs.load(BUNDLES / "tables" / "bundle").covariates.size


@pytest.mark.parametrize(
    ("kind", "given", "sentence"),
    [
        ("quantities", None, "covariates: found nothing; the models of study '.*' are given "
         "coating thickness / µm, binder beside the picture: give a DataFrame or a table as a "
         "file, with a row for every file and the columns file, thickness_um, binder."),
        ("quantities", pd.DataFrame({"file": ["a.png"], "thickness": [60], "binder": ["CMC"]}),
         "covariates: found the columns file, thickness, binder; expected file, thickness_um, "
         "binder; add thickness_um."),
        ("quantities", pd.DataFrame({"file": ["x"], "thickness_um": [60], "binder": ["CMC"]}),
         "^covariates: its column 'file' "),
        ("capacities", pd.DataFrame(), "are given nothing beside the picture; leave it out."),
        ("tables", pd.DataFrame(), "covariates: rows have none; leave it out."),
    ],
)  # fmt: skip
def test_covariates_that_do_not_fit_are_refused(kind, given, sentence):
    with pytest.raises(InputError, match=sentence):
        bs.load(BUNDLES / kind / "bundle").predict(BUNDLES / kind / "input", covariates=given)


def test_rows_are_answered_as_by_the_program(tmp_path):
    model = bs.load(str(BUNDLES / "tables" / "bundle"))
    table = BUNDLES / "tables" / "input" / "rows.csv"
    check_equal(as_read_back(model.predict(table), tmp_path), stored("tables"))
    example = pd.read_csv(BUNDLES / "tables" / "bundle" / "example_input.csv")
    answered = pd.read_csv(BUNDLES / "tables" / "bundle" / "example_output.csv")
    low = next(name for name in answered if name.endswith("_low"))
    found = model.predict(example, answer_anyway=True)[low].astype(float)
    np.testing.assert_allclose(found, answered[low], rtol=1e-5)
    with pytest.raises(InputError, match="judges rows: give a DataFrame or a table, not list"):
        model.predict([1, 2])


def test_files_and_arrays_are_answered_alike():
    model = bs.load(BUNDLES / "classes_of_images" / "bundle")
    paths = sorted((BUNDLES / "classes_of_images" / "input").iterdir())
    path = next(p for p in paths if p.suffix == ".png")
    pixels = np.asarray(Image.open(path))
    assert pixels.ndim == 2
    of_file, of_list = model.predict(path), model.predict([path])
    of_array, of_names = model.predict(pixels), model.predict({"mine": pixels, "again": pixels})
    pd.testing.assert_frame_equal(of_file, of_list)
    answers = [name for name in of_file if name.startswith("p_")]
    assert of_array["file"].tolist() == ["0001.png"]
    assert of_names["file"].tolist() == ["mine.png", "again.png"]
    for other in (of_array, of_names.iloc[:1], of_names.iloc[1:]):
        np.testing.assert_allclose(
            other[answers].to_numpy(float), of_file[answers].to_numpy(float), atol=1e-6
        )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("nowhere.png", "nowhere.png: there is no such file or folder."),
        ([], "There is nothing to judge; give a file, a folder or an array."),
        (np.zeros((2, 3, 4), np.uint8), r"0001: found an array uint8 of shape \(2, 3, 4\); "),
        ({"a": np.zeros((4, 4))}, "a: found an array float64 of shape"),
        ({"../a": np.zeros((4, 4), np.uint8)}, "'../a': no name of a picture; leave out"),
        (None, "found NoneType; give a file, a folder, a picture of read_picture"),
        (b"abc", "found bytes; give a file"),
        ({("a", 1): GREY}, r"\('a', 1\): no name of a picture; give a text"),
        ({1: GREY, "0001": GREY}, "0001, 0001: names of one file"),
    ],
)
def test_what_is_no_picture_gets_a_sentence(asked, sentence):
    model = bs.load(BUNDLES / "classes_of_images" / "bundle")
    with pytest.raises(InputError, match=sentence):
        model.predict(asked)


def test_pictures_that_were_read_are_answered_as_their_files():
    model = bs.load(BUNDLES / "classes_of_images" / "bundle")
    path = BUNDLES / "classes_of_images" / "input" / "first.png"
    picture = bs.read_picture(path)
    pd.testing.assert_frame_equal(model.predict({"first": picture}), model.predict(path))
    assert model.predict({np.int64(7): picture})["file"].tolist() == ["0007.png"]
    assert model.predict(picture)["file"].tolist() == ["0001.png"]
    # What the microscope wrote counts: trained at a magnification of 500.
    stated = replace(picture, metadata=replace(picture.metadata, magnification=5000.0))
    both = model.predict({"as_is": picture, "stated": stated, "array": picture.pixels})
    assert ["magnification" in note for note in both["note"]] == [False, True, False]
    assert both["status"].tolist() == ["ok"] * 3


def test_slices_of_pictures_and_pictures_for_scans_are_refused():
    model = bs.load(BUNDLES / "classes_of_images" / "bundle")
    with pytest.raises(InputError, match="slices: pictures have none; leave it out"):
        model.predict(GREY, slices="0:4:1")
    scans = bs.load(BUNDLES / "classes_of_scans" / "bundle")
    with pytest.raises(InputError, match="judges scans: give their files"):
        scans.predict(Picture(GREY, 8, AcquisitionMetadata()))


def test_missing_models_and_results_get_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"bundle\.json"):
        bs.load(tmp_path)
    with pytest.raises(InputError, match="no results of 'x'; published there: nothing"):
        bs.results("x", tmp_path)
    (tmp_path / "reports" / "y").mkdir(parents=True)
    (tmp_path / "reports" / "y" / "comparison.csv").write_text("arm\n")
    with pytest.raises(InputError, match=r"y: metrics\.json is missing beside comparison\.csv"):
        bs.results("y", tmp_path)


def test_results_are_the_published_tables(tmp_path):
    folder = tmp_path / "reports" / "mine"
    (folder / "tables").mkdir(parents=True)
    (folder / "comparison.csv").write_text("arm,metric,mean\nmain,accuracy,0.5\n")
    (folder / "tables" / "history.csv").write_text("epoch,val_accuracy\n0,0.25\n")
    (folder / "metrics.json").write_text('{"main.image.accuracy": 0.5, "main.image.n": 4}')
    found = bs.results("mine", tmp_path)
    assert sorted(found) == ["comparison", "history", "metrics"]
    assert found["metrics"].to_dict("list") == {
        "name": ["main.image.accuracy", "main.image.n"],
        "value": [0.5, 4.0],
    }
    assert found["comparison"]["mean"].tolist() == [0.5]


def test_pictures_and_volumes_are_read_as_by_the_workflow(tmp_path):
    pixels = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert (bs.read_picture(tmp_path / "a.tif").pixels == pixels).all()
    stack = np.stack([pixels, pixels[::-1], pixels[:, ::-1]])
    tifffile.imwrite(tmp_path / "scan.tif", stack, photometric="minisblack")
    volume = bs.read_volume(str(tmp_path / "scan.tif"))
    assert volume.shape == stack.shape
    assert (volume.read_slice(1) == stack[1]).all()
    with pytest.raises(InputError, match="there is no such file"):
        bs.read_picture(tmp_path / "b.tif")


def test_names_are_stable_and_cost_nothing_until_they_are_used():
    offered = {"Model", "load", "read_picture", "read_volume", "results"}
    assert offered <= set(dir(bs))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        bs.nothing  # noqa: B018
    code = "import sys, batteryscope; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
