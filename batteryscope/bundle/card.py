"""The model card: what a stranger must know before trusting the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batteryscope.bundle.record import BundleRecord
from batteryscope.core.baseline_catalogue import OF_CLASSES, find_words
from batteryscope.core.safe_text import fill_markdown
from batteryscope.samples.choose import samples_cut_by

TEMPLATE = Path(__file__).with_name("model_card.md.j2")
LEVELS = ("image", "specimen", "slice", "tile")


@dataclass(frozen=True)
class Score:
    """One accuracy with its 95 % interval; ``n`` counts images (specimens)."""

    who: str
    target: str
    level: str
    accuracy: float
    low: float | None
    high: float | None
    n: int | None


def render_card(record: BundleRecord, backbone: str, flips_at_test: str = "none") -> str:
    """Write the model card in Markdown.

    Parameters
    ----------
    record
        The content of bundle.json.
    backbone
        Name of the network.
    flips_at_test
        Over which mirror images of a tile the networks average.
    """
    return fill_markdown(
        TEMPLATE,
        record=record,
        samples=samples_cut_by(record.preprocess),
        data=record.data,
        backbone=backbone,
        flips_at_test=flips_at_test,
        scores=list_scores(record.metrics, record.arm, record.label_columns),
        limits=[f["text"] for f in record.findings if f.get("text")],
        ranges=describe_ranges(record.data.ranges),
    )


def list_scores(metrics: Mapping[str, float], arm: str, label_columns: list[str]) -> list[Score]:
    """Pick the pooled accuracies of the arm, then those of the baselines at image level."""
    scores = []
    targets = ["", *label_columns] if len(label_columns) > 1 else [""]
    for level in LEVELS:
        for target in targets:
            scores += _find_score(metrics, arm, f"this model ({arm})", level, target)
    baselines = {key.split(".")[0] for key in metrics if key.startswith("baseline_")}
    for name in sorted(baselines):
        levels = ["specimen", "slice"] if f"{arm}.slice.accuracy" in metrics else ["image"]
        for level in levels:
            scores += _find_score(
                metrics, name, find_words(name, OF_CLASSES).with_method, level, ""
            )
    return scores


def describe_ranges(ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Say what the training frames were like, for example ``width 1280 px``."""
    words = {
        "width_px": "frame width {} px",
        "height_px": "frame height {} px",
        "magnification": "magnification {}×",
        "pixel_size_um": "pixel size {} µm",
        "voltage_kv": "accelerating voltage {} kV",
        "brightness": "detector brightness {}",
        "contrast": "detector contrast {}",
    }
    return [
        words[key].format(f"{low:g}" if low == high else f"{low:g} to {high:g}")
        for key, (low, high) in ranges.items()
        if key in words
    ]


def _find_score(
    metrics: Mapping[str, float], arm: str, who: str, level: str, target: str
) -> list[Score]:
    place = ".".join(part for part in (arm, level, target) if part)
    accuracy = metrics.get(f"{place}.pooled_accuracy")
    if accuracy is None:
        return []
    n = metrics.get(f"{place}.n")
    return [
        Score(
            who=who,
            target=target or "class",
            level=level,
            accuracy=float(accuracy),
            low=metrics.get(f"{place}.pooled_accuracy_low"),
            high=metrics.get(f"{place}.pooled_accuracy_high"),
            n=None if n is None else int(n),
        )
    ]
