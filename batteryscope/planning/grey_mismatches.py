"""Which strategies are tested with grey levels that they were not trained with."""

from typing import Any

from batteryscope.config.evaluate import GreyMismatch
from batteryscope.config.learning import GreyLevels
from batteryscope.errors import ConfigError
from batteryscope.plan import StudyPlan


def list_mismatches(plan: StudyPlan) -> list[GreyMismatch]:
    """List what ``evaluate.grey_levels_at_test`` asks for, arm by arm.

    An arm that was trained with a treatment is not tested with it again: the comparison has
    that already. Arms of learning curves and points of sweeps are left out.

    Parameters
    ----------
    plan
        The study's plan, which knows what every arm is trained with.
    """
    mismatches = []
    for name, (arm, tested) in plan.settings.mismatched_arms.items():
        trained = find_grey_levels(plan, arm)
        if trained == tested:
            continue
        own = _list_other_settings(plan, arm)
        matched = [
            other
            for other in plan.settings.arms
            if find_grey_levels(plan, other) == tested
            and plan.arms[other].split == plan.arms[arm].split
        ]
        alike = [other for other in matched if _list_other_settings(plan, other) == own]
        mismatches.append(
            GreyMismatch(
                name=name,
                arm=arm,
                trained=trained,
                tested=tested,  # type: ignore[arg-type]
                matched=next(iter([*alike, *matched]), None),
                alike=bool(alike),
            )
        )
    return mismatches


def check_mismatches(plan: StudyPlan, key: str) -> None:
    """Refuse a treatment that every arm is trained with.

    Raises
    ------
    ConfigError
        Naming the treatment.
    """
    told = {mismatch.tested for mismatch in list_mismatches(plan)}
    for asked in plan.settings.evaluate.grey_levels_at_test:
        if asked not in told:
            raise ConfigError(
                f"{key}: found '{asked}', but every strategy is trained with it, so testing with "
                "it shows no mismatch; name another treatment, or take it out of the list."
            )


def find_grey_levels(plan: StudyPlan, arm: str) -> GreyLevels:
    """Return the treatment of grey levels that an arm's last stage trains with."""
    return plan.stages[plan.arms[arm].chains[-1]].settings.model.grey_levels


def _list_other_settings(plan: StudyPlan, arm: str) -> list[Any]:
    """All that an arm's training depends on, but for the grey levels."""
    listed: list[Any] = [plan.arms[arm].tiles, plan.arms[arm].split]
    for chain in plan.arms[arm].chains:
        settings = plan.stages[chain].settings.model_dump(mode="json")
        del settings["model"]["grey_levels"]
        listed.append(settings)
    return listed
