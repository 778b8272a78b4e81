"""Made-up capacities over the cycles of the cathodes whose pictures are generated.

No number here was measured. The capacity falls with the square root of the cycle number, as where a
film grows by diffusion through itself (Ploehn, Ramadass and White, J. Electrochem. Soc. 151, A456,
2004); the more nickel, the faster.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batteryscope.config.cycling import CAPACITY, CELL, CYCLE
from batteryscope.config.picture_generators import (
    CYCLING_NAME,
    FORMATION_CYCLES,
    LAST_CYCLE,
)
from batteryscope.seeds import derive_rng

# At 0.1 C, as the currents of 14 to 20 mA/g for 0.1 C imply (Oh et al. 2024, Methods).
NOMINAL_MAH_G = {"333": 140.0, "523": 150.0, "622": 170.0, "811": 200.0}
# Made up: share that is lost over 100 cycles at 1 C, share left at 1 C, spread between cells.
LOST_IN_100_CYCLES = {"333": 0.05, "523": 0.06, "622": 0.08, "811": 0.14}
LEFT_AT_1C = 0.92
SPREAD_OF_CELLS = 0.012
CELLS = 3


def calculate_capacities(composition: str, cycles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the specific discharge capacity (mAh/g) of a cell without scatter.

    Parameters
    ----------
    composition
        ``333``, ``523``, ``622`` or ``811``.
    cycles
        Numbers of cycles, from 1; the first four are formation at 0.1 and 0.2 C, the rest at 1 C.

    Examples
    --------
    >>> calculate_capacities("333", np.array([1, 104])).round(2)
    array([140.  , 122.36])
    """
    aged = np.sqrt(np.maximum(cycles - FORMATION_CYCLES, 0) / 100)
    at_1c = LEFT_AT_1C * (1 - LOST_IN_100_CYCLES[composition] * aged)
    return np.asarray(NOMINAL_MAH_G[composition] * np.where(cycles <= FORMATION_CYCLES, 1.0, at_1c))


def write_cycling(root: Path, compositions: Sequence[str], seed: int) -> None:
    """Write three cells of every composition over all cycles below ``root``."""
    cycles = np.arange(1, LAST_CYCLE + 1)
    with (root / CYCLING_NAME).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["composition", CELL, CYCLE, CAPACITY])
        for composition in compositions:
            mean = calculate_capacities(composition, cycles)
            for cell in range(1, CELLS + 1):
                factor = 1 + SPREAD_OF_CELLS * derive_rng(seed, "cell", composition, cell).normal()
                writer.writerows(
                    [composition, f"{composition}_{cell}", int(n), f"{factor * value:.2f}"]
                    for n, value in zip(cycles, mean, strict=True)
                )
