"""Which strategies are given covariates, and which is the same without them."""

from typing import Any

from batteryscope.plan import StudyPlan


def list_covariate_pairs(plan: StudyPlan) -> dict[str, str | None]:
    """Return, for every arm with covariates, the arm that differs by leaving them out alone.

    Parameters
    ----------
    plan
        The study's plan, which knows what every arm is trained with. Arms of learning curves and
        points of sweeps are left out.

    Returns
    -------
    dict
        Arm → arm without, or None where there is none. Empty if no arm has covariates.
    """
    arms = list(plan.settings.arms)
    own = {arm: _list_other_settings(plan, arm) for arm in arms}
    return {
        arm: next((o for o in arms if not has_covariates(plan, o) and own[o] == own[arm]), None)
        for arm in arms
        if has_covariates(plan, arm)
    }


def has_covariates(plan: StudyPlan, arm: str) -> bool:
    """Whether the networks of an arm are given covariates."""
    return bool(plan.stages[plan.arms[arm].chains[-1]].settings.covariates)


def _list_other_settings(plan: StudyPlan, arm: str) -> list[Any]:
    """All that an arm's training depends on, but for the covariates."""
    listed: list[Any] = [plan.arms[arm].tiles, plan.arms[arm].split]
    for chain in plan.arms[arm].chains:
        settings = plan.stages[chain].settings.model_dump(mode="json")
        settings.pop("covariates", None)
        settings["model"].pop("covariates", None)
        listed.append(settings)
    return listed
