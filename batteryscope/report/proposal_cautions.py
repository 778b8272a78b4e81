"""What a reader must know before trying proposed settings in the workshop."""

import numpy as np

from batteryscope.report.table_evidence import TableEvidence
from batteryscope.report.table_results import (
    find_best_baseline,
    find_row,
    format_error,
    name_target,
)
from batteryscope.tables.labels import name_arm, name_domain
from batteryscope.tables.proposals import TOLERANCE

MUCH_WIDER = 5  # times the tolerance: the interval then says more about the proposal than the hit


def tell_proposal_cautions(evidence: TableEvidence) -> list[str]:
    """Say where the prediction interval dwarfs the wish, and where another model knows better.

    Returns
    -------
    list of str
        One sentence each; empty if nothing is proposed or nothing is to be said.
    """
    propose = evidence.settings.propose
    if propose is None or evidence.proposals is None:
        return []
    sentences = []
    domain = propose.domain
    models = evidence.search.get("models", {})
    for target in propose.wanted:
        arm = models.get(target, evidence.arm_of(domain))
        name = f"{name_target(evidence, target)} of {name_domain(domain)}"
        if evidence.intervals is not None:
            rows = evidence.intervals[evidence.intervals["arm"] == arm]
            rows = rows[(rows["target"] == target) & (rows["domain"] == domain)]
            width = float(rows["relative_half_width"].iloc[0]) if len(rows) else np.inf
            if not np.isfinite(width):
                sentences.append(f"How sure the {name} is, is unknown: there are too few rows.")
            elif width > MUCH_WIDER * TOLERANCE:
                sentences.append(
                    f"The {name} is only known to ± {100 * width:.0f} %, far more than the "
                    f"{100 * TOLERANCE:g} % by which a proposal may miss the wish: take the "
                    "proposals as a direction."
                )
        own = find_row(evidence, arm, target, domain)
        best = find_best_baseline(evidence, target, domain)
        if own is not None and best is not None and best["mean"] < own["mean"]:
            sentences.append(
                f"For the {name}, {name_arm(best['arm'])} ({format_error(evidence, best)}) errs "
                f"less than what searched ({format_error(evidence, own)}): check the proposals "
                "with it."
            )
    return sentences
