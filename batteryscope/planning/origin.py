"""Where a setting of an arm stands: in a sweep, in a change of the arm, or in the study."""

from batteryscope.config.sweep import resolve_values
from batteryscope.plan import StudyPlan


def find_origin(plan: StudyPlan, arm: str, setting: str) -> str:
    """Return the place below the study of a dotted setting that an arm runs with.

    Returns
    -------
    str
        For messages: ``sweeps.size: preprocess.crop_px``,
        ``arms.large.change.preprocess.crop_px`` or ``preprocess.crop_px``.
    """
    base = plan.settings.curve_arms.get(arm, (arm, 0))[0]
    if arm in plan.point_arms:
        point = next(point for point in plan.points if point.name == arm)
        if setting in resolve_values(point.values):
            return f"sweeps.{point.sweep}: {setting}"
        base = point.base
    if setting in plan.settings.arms[base].change:
        return f"arms.{base}.change.{setting}"
    return setting
