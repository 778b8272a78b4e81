"""A learning curve for studies that have none, asked for by one word when a run starts."""

from collections.abc import Mapping
from typing import Any

from batteryscope.errors import ConfigError

SIZES = (2, 5, 10, 20)  # training images per class; points beyond what there is are not shown


def choose_curve(studies: Mapping[str, Any], wanted: Any) -> None:
    """Give every study of classes of pictures a learning curve, in raw settings.

    A study with a curve of its own keeps it. Studies of numbers and of tables are left alone; the
    latter have ``ablations.target_rows``.

    Parameters
    ----------
    studies
        Raw settings by study, changed in place (``evaluate.learning_curve``).
    wanted
        The key ``curve`` of the whole configuration: true for 2, 5, 10 and 20 training images per
        class, or such numbers as a list or as one text with commas.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if wanted in (None, False):
        return
    sizes = _read_sizes(wanted)
    for study in studies.values():
        if not isinstance(study, dict):
            continue
        data, evaluate = study.get("dataset"), study.get("evaluate") or {}
        if not isinstance(data, Mapping) or data.get("targets") or not isinstance(evaluate, dict):
            continue
        arms = study.get("arms")  # of tables a list
        if isinstance(arms, Mapping) and arms and not evaluate.get("learning_curve"):
            arm = study.get("main_arm") or next(iter(arms))
            curve = {"arms": [arm], "images_per_class": sizes}
            study["evaluate"] = evaluate | {"learning_curve": curve}


def _read_sizes(wanted: Any) -> list[int]:
    if wanted is True or wanted == "yes":
        return list(SIZES)
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
