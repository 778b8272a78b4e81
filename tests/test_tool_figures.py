"""What Snakemake's report and DVC's plots say of the figures of every study."""

import json

import pytest
import yaml

from batteryscope.workflow.report_figures import (
    find_group,
    label_figure,
    read_captions,
    spell_caption,
)
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("figure", "group"),
    [
        ("capacity_over_cycles", "1 Data"),
        ("confusion", "2 Results"),
        ("learning_curve", "2 Results"),
        ("learning_curves", "3 Training"),
        ("curves_fit-8221ab48", "3 Training"),
        ("shortcuts_1", "4 Shortcuts"),
        ("explain_raw_misclassified_01", "5 What the answers rest on"),
        ("sweep_crop_size", "6 Sweeps"),
    ],
)
def test_figures_are_grouped_by_what_they_show(figure, group):
    assert find_group(figure) == group


def test_captions_are_short_in_the_list_and_whole_beside_the_figure(tmp_path):
    assert read_captions(tmp_path) == {}
    told = "Points: *all* rows of `test`, R² > 0.9 | n_rows = 3. " + "More words. " * 9
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "captions.json").write_text(json.dumps({"parity": told}))
    captions = read_captions(tmp_path)
    assert label_figure("parity", captions)["caption"].endswith(" …")
    assert len(label_figure("parity", captions)["caption"]) <= 60
    spelt = spell_caption("parity", captions)
    assert spelt.startswith(r"Points: \*all\* rows of \`test\`, R² \> 0.9 \| n\_rows = 3.")
    assert spelt.endswith("More words.")
    assert spell_caption("error_map", captions) == r"Error map."
    assert label_figure("error_map", captions) == {"figure": "error map", "caption": ""}


def test_dvc_plots_every_study_of_the_demo_with_templates_that_exist():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    [plots] = [{name: plot for entry in pipeline["plots"] for name, plot in entry.items()}]
    files = [path for plot in plots.values() for path in plot["y"]]
    shown = {path.split("/")[1] for path in files}
    assert shown == set(pipeline["stages"]["study"]["foreach"])
    own = {path.stem for path in (ROOT / ".dvc" / "plots").glob("*.json")}
    used = {plot["template"] for plot in plots.values()}
    assert used - {"confusion", "scatter"} == own
