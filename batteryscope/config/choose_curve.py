"""A learning curve for studies that have none, asked for by one word when a run starts."""

from collections.abc import Mapping, Sequence
from typing import Any

from batteryscope.errors import ConfigError

SIZES = (2, 5, 10, 20)  # training images per class; points beyond what there is are not shown
SAMPLES = (5, 10, 20, 40)  # training images in all, or rows of a new material
SWEEP, IMAGES_KEY = "training_images", "balance.images_per_class"
# Of scans whole cells are counted: more slices of the same cells are not more cells.
SPECIMENS_SWEEP, SPECIMENS_KEY = "training_specimens", "balance.specimens_per_class"


def choose_curve(studies: Mapping[str, Any], wanted: Any) -> None:
    """Give every study a learning curve, in raw settings.

    Classes of pictures get ``evaluate.learning_curve``, numbers a sweep over the number of training
    images, up to all of them, rows ``ablations.target_rows``. Of scans whole cells are counted. A
    study with a curve of its own keeps it.

    Parameters
    ----------
    studies
        Raw settings by study, changed in place.
    wanted
        The key ``curve`` of the whole configuration: true for :data:`SIZES` (numbers and rows:
        :data:`SAMPLES`), or numbers of training images as a list or as one text with commas.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if wanted in (None, False):
        return
    sizes = _read_sizes(wanted)
    for study in studies.values():
        if not isinstance(study, dict) or not isinstance(study.get("dataset"), Mapping):
            continue
        if "features" in study["dataset"]:  # numbers from numbers: rows
            _give_rows(study, sizes or SAMPLES)
        elif study["dataset"].get("targets"):
            _give_sweep(study, sizes or SAMPLES)
        else:
            _give_arms(study, sizes or SIZES)


def _give_rows(study: dict[str, Any], sizes: Sequence[int]) -> None:
    ablations = study.get("ablations") or {}
    if isinstance(ablations, dict) and not ablations.get("target_rows"):
        study["ablations"] = ablations | {"target_rows": list(sizes)}


def _give_sweep(study: dict[str, Any], sizes: Sequence[int]) -> None:
    sweeps, run = study.get("sweeps") or {}, study.get("run_sweeps") or []
    name, key = (SPECIMENS_SWEEP, SPECIMENS_KEY) if _has_scans(study) else (SWEEP, IMAGES_KEY)
    if isinstance(sweeps, dict) and isinstance(run, list) and name not in run:
        study["sweeps"] = {name: {key: [*sizes, None]}} | sweeps
        study["run_sweeps"] = [*run, name]


def _give_arms(study: dict[str, Any], sizes: Sequence[int]) -> None:
    evaluate, arms = study.get("evaluate") or {}, study.get("arms")
    if not isinstance(evaluate, dict) or evaluate.get("learning_curve"):
        return
    if isinstance(arms, Mapping) and arms:
        arm = study.get("main_arm") or next(iter(arms))
        counted = "specimens_per_class" if _has_scans(study) else "images_per_class"
        curve = {"arms": [arm], counted: list(sizes)}
        study["evaluate"] = evaluate | {"learning_curve": curve}


def _has_scans(study: Mapping[str, Any]) -> bool:
    return study["dataset"].get("volumes") is not None


def _read_sizes(wanted: Any) -> list[int]:
    """Return the numbers that are asked for; none, if only a curve is."""
    if wanted is True or wanted == "yes":
        return []
    parts = wanted.replace(",", " ").split() if isinstance(wanted, str) else wanted
    parts = [parts] if isinstance(parts, int) else parts
    try:
        sizes = sorted({int(part) for part in parts})
    except (TypeError, ValueError):
        sizes = []
    if not sizes or sizes[0] < 1:
        raise ConfigError(
            f"curve: found {wanted!r}; expected yes, or numbers of training images per class such "
            "as curve=2,5,10."
        )
    return sizes
