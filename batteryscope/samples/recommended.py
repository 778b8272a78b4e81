"""What is recommended for a user's own data, by what is looked at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from batteryscope.errors import InputError
from batteryscope.samples.coating import COATING
from batteryscope.samples.ct import CT
from batteryscope.samples.kind import Samples
from batteryscope.samples.rows import ROWS
from batteryscope.samples.sem import SEM


@dataclass(frozen=True)
class Recommended:
    """Whose design an own study takes, and the overlay with the settings for a small machine.

    ``planner`` is the module whose ``plan_study(seen, machine)`` says what to do with what a
    folder holds.
    """

    study: str
    overlay: str
    planner: str

    def read_settings(self, root: Path) -> dict[str, Any]:
        """Return what the overlay says of the study.

        Parameters
        ----------
        root
            Of the workflow.

        Raises
        ------
        InputError
            There is no such overlay.
        """
        if not self.overlay:
            return {}
        try:
            values = yaml.safe_load((root / self.overlay).read_text(encoding="utf-8"))
        except OSError:
            raise InputError(
                f"{root / self.overlay}: this file of the workflow is missing; install "
                "Batteryscope anew."
            ) from None
        return dict(values["studies"][self.study])


_RECOMMENDED = {
    SEM.name: Recommended(
        "cathode_state", "configs/sem_ncm.yaml", "batteryscope.start.plan_pictures"
    ),
    COATING.name: Recommended(
        "rate_capability", "configs/rate_capability_cpu.yaml", "batteryscope.start.plan_coating"
    ),
    CT.name: Recommended("cell_health", "configs/cell_scans.yaml", "batteryscope.start.plan_scans"),
    ROWS.name: Recommended("electrode_manufacturing", "", "batteryscope.start.plan_rows"),
}


def recommend(samples: Samples) -> Recommended:
    """Return what is recommended for these samples."""
    return _RECOMMENDED[samples.name]
