"""A plan for tables with a row for each electrode."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from batteryscope.config.table_study import ProcessArm
from batteryscope.start.choices import Choice, Choices, add_reasons
from batteryscope.start.machine import Machine
from batteryscope.start.planned import Planned
from batteryscope.start.seen import Seen

SECONDS_PER_NETWORK = 0.5  # of one core; hundreds train in one stack
REPEATS = 5


def plan_study(seen: Seen, machine: Machine, recommended: Mapping[str, Any]) -> Planned:
    """Plan a study of rows; parameters as of top views."""
    del recommended  # the defaults are the paper's
    counts = seen.facts["materials"]
    source = str(seen.dataset["source"])
    others = {name: n for name, n in counts.items() if name != source}
    targets = list(seen.dataset["targets"])
    reasons = {
        "files": "the tables that were looked at",
        "features": "all other numbers of the table: take out what is known of finished electrodes "
        "only; ranges are what was seen and half as wide again: rows outside are rejected",
        "targets": "what shall be predicted, with ranges likewise",
        "domains": "the materials, as the table spells them",
        "source": f"the material with most rows ({counts[source]}) teaches; the others have "
        + ", ".join(f"{name} {n}" for name, n in others.items()),
    }
    fewest = min(others.values(), default=0)
    rows = [n for n in (5, 10, 20, 40) if n < 0.6 * fewest]
    zero = [name for name in targets if (seen.manifest[name] == 0).any()]
    study: Choices = {
        "kind": Choice("table", "every row is an electrode"),
        "dataset": add_reasons(seen.dataset, reasons),
        "split": add_reasons(
            {"repeats": REPEATS, "test_fraction": 0.3, "validation_fraction": 0.1},
            {
                "repeats": "divisions by lot; intervals come from the test rows of the others",
                "test_fraction": "as in the paper",
                "validation_fraction": "of the rest; with the training rows it chooses the start",
            },
        ),
        **_choose_models(targets, zero),
        "ablations": {"target_rows": Choice(rows, "how many rows of a new material are needed?")},
    }
    networks = REPEATS * len(targets) * (1 + 4 * len(others) * (1 + len(rows)))
    seconds = networks * SECONDS_PER_NETWORK / machine.cores if machine.timed else None
    return Planned(study, f"{', '.join(targets)} from {seen.place.name}", [], seconds)


def _choose_models(targets: Sequence[str], zero: Sequence[str]) -> Choices:
    """Choose networks beside the Gaussian processes, unless their loss cannot be counted."""
    if zero:
        why = f"{zero[0]} is 0 in some rows, and networks learn by percentages of the true value"
        return {"arms": Choice(list(get_args(ProcessArm)), why)}
    why = "very small, for few rows; beside them stand Gaussian processes, which are published"
    return {"networks": Choice({name: {"hidden_layers": 3, "nodes": 3} for name in targets}, why)}
