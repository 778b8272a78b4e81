"""What the report says about proposals before they are tried."""

from types import SimpleNamespace

import pandas as pd
import pytest

from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.table_report import tell_proposal_cautions
from tests.made_up_table_study import make_table_settings


def make_evidence(width: float, baseline: float) -> TableEvidence:
    settings = make_table_settings()
    target = next(iter(settings.dataset.targets))
    propose = SimpleNamespace(domain="nmc", wanted={target: 2.0})
    errors = [("adapter", 8.0), ("baseline_linear", baseline)]
    case = {"target": target, "domain": "nmc"}
    return TableEvidence(
        study="made_up",
        settings=settings.model_copy(update={"propose": propose}),
        generated=True,
        comparison=pd.DataFrame(
            [{"arm": a, "metric": "mape", "mean": m, "sd": 1.0, **case} for a, m in errors]
        ),
        intervals=pd.DataFrame([{"arm": "adapter", "relative_half_width": width, **case}]),
        proposals=pd.DataFrame({"proposal": [1]}),
    )


@pytest.mark.parametrize(
    ("width", "baseline", "told"),
    [
        (0.05, 9.0, []),
        (0.31, 9.0, ["only known to ± 31 %, far more than the 2 %"]),
        (float("inf"), 9.0, ["is unknown: there are too few rows"]),
        (0.05, 3.0, ["linear regression (3.0 %) errs less than what searched"]),
    ],
)
def test_cautions(width: float, baseline: float, told: list[str]) -> None:
    sentences = tell_proposal_cautions(make_evidence(width, baseline))
    assert len(sentences) == len(told)
    for sentence, part in zip(sentences, told, strict=True):
        assert part in sentence
