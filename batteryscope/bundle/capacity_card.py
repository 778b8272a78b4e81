"""The model card of models that predict capacities."""

from pathlib import Path

from batteryscope.bundle.capacity_record import CapacityRecord
from batteryscope.bundle.card import describe_ranges
from batteryscope.evaluation.regression_findings import COMPUTED

TEMPLATE = Path(__file__).with_name("capacity_card.md.j2")


def render_capacity_card(record: CapacityRecord) -> str:
    """Write the model card in Markdown."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    arms = list(dict.fromkeys(member.arm for member in record.members))
    names = [*arms, *sorted({k.split(".")[0] for k in record.metrics} - set(arms))]
    scores = [
        (name, record.metrics.get(f"{name}.image.mape"), record.metrics.get(f"{name}.image.mae"))
        for name in names
    ]
    computed = next((f["text"] for f in record.findings if f.get("kind") == COMPUTED), "")
    return template.render(
        record=record,
        computed=computed,
        findings=[f for f in record.findings if f.get("kind") != COMPUTED],
        data=record.data,
        arms=arms,
        scores=[score for score in scores if score[1] is not None],
        ranges=describe_ranges(record.data.ranges),
    )
