"""docs/papers.md is what docs/papers/*.yaml and params.yaml say; no paper is without its test."""

import pytest

from tests.conftest import ROOT
from tests.paper_rows import check_row, load_drawing

DRAWING = load_drawing()


def test_page_is_in_step():
    page = DRAWING.PAGE.read_text(encoding="utf-8")
    assert DRAWING.render() == page, "run: python docs/draw_papers.py"


def test_every_paper_has_its_test():
    for paper in DRAWING.list_papers():
        assert f'list_rows("{paper}")' in (ROOT / f"tests/test_paper_{paper}.py").read_text("utf-8")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"status": "faithful", "paper": "10"}, "nothing shows"),
        ({"status": "different", "paper": "10"}, "gives a reason"),
        ({"status": "chosen", "paper": "10", "why": "x"}, "does not state"),
        ({"settings": {"train.batch_size": 11}}, "train.batch_size"),
        ({"published": ({"metric": "accuracy", "value": 0.5},)}, "stands beside nothing"),
        ({"code": ("test_plan.py::test_of_nothing",)}, "there is no"),
        ({"code": ("batteryscope.balance.no_such_thing",)}, "there is no"),
    ],
)
def test_a_wrong_row_is_told(wrong, sentence):
    row = {"what": "Batch", "status": "faithful", "paper": "10", "study": "cathode_state"}
    known = {} if "code" in wrong or len(wrong) == 2 else {"code": ("batteryscope.balance",)}
    with pytest.raises(AssertionError, match=sentence):
        check_row(DRAWING.PaperRow(**(row | known | wrong)))


def test_a_misspelt_setting_is_told():
    row = DRAWING.PaperRow("x", "faithful", "x", study="cathode_state", settings={"train.batch": 1})
    with pytest.raises(KeyError, match=r"train\.batch"):
        check_row(row)
