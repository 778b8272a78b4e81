"""A page of very many strategies or rows stays one that can be read."""

import pandas as pd

from batteryscope.config.study import StudySettings
from batteryscope.report.evidence import OTHERS_SHOWN, Fit, StudyEvidence
from batteryscope.report.html import make_environment
from batteryscope.report.pictures import KEY_ROWS, _keep_best, choose_stages
from batteryscope.report.shown_table import MOST_ROWS, show_table
from tests.reported_study import make_settings


def make_evidence(n_arms: int) -> StudyEvidence:
    values = make_settings().model_dump(mode="json", exclude_unset=True)
    values["arms"] |= {f"more_{i}": {} for i in range(n_arms - len(values["arms"]))}
    fit = Fit(pd.DataFrame(), {})
    return StudyEvidence(
        study="demo",
        settings=StudySettings.model_validate(values | {"main_arm": f"more_{n_arms - 3}"}),
        generated=True,
        comparison=pd.DataFrame(),
        arms={},
        stages={f"stage-{i}": (fit,) for i in range(n_arms)} | {"empty": ()},
    )


def test_the_main_strategy_and_some_others_are_shown():
    evidence = make_evidence(100)
    assert evidence.main_arm == "more_97"
    assert evidence.shown_arms[:3] == ["more_97", "raw", "per_image"]
    assert len(evidence.shown_arms) == OTHERS_SHOWN + 1
    assert evidence.left_out == f" Of 100 strategies, {OTHERS_SHOWN + 1} are shown."
    assert choose_stages(evidence) == [f"stage-{i}" for i in range(OTHERS_SHOWN)]
    few = make_evidence(5)
    assert set(few.shown_arms) == set(few.settings.arms)
    assert few.left_out == ""


def test_the_best_rows_are_kept_in_their_order_and_the_published_one_always():
    names = [f"arm_{i}" for i in range(KEY_ROWS + 10)]
    means = pd.Series(range(len(names)), index=names, dtype=float)
    kept = _keep_best(names, means, "arm_0")
    assert kept == ["arm_0", *names[10:]]
    assert _keep_best(names[:5], means, "arm_0") == names[:5]


def test_a_page_has_the_first_rows_of_a_long_table_and_says_so():
    table = make_environment().get_template("macros.html.j2").module.table
    frame = pd.DataFrame({"name": [f"row {i}" for i in range(MOST_ROWS + 7)], "value": "1"})
    html = str(table(show_table(frame)))
    assert html.count("<tr>") == MOST_ROWS + 1
    assert "7 more rows are left out here" in html
    assert f'<table data-of="{MOST_ROWS + 7}">' in html
    whole = str(table(show_table(frame.head(MOST_ROWS))))
    assert "left out" not in whole
    assert "data-of" not in whole
