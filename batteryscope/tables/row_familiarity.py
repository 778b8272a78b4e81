"""How far new rows are from all rows that networks were trained on, domain by domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from sklearn.model_selection import GroupKFold

from batteryscope.bundle.integrity import read_safely
from batteryscope.bundle.record import FamiliarityRecord
from batteryscope.bundle.unlike import Unlike, describe_calibrated
from batteryscope.core.safe_text import guard_table
from batteryscope.familiarity.reference import Reference, calibrate_reference
from batteryscope.familiarity.reference_file import pack_reference, unpack_reference
from batteryscope.tables.row_order import thin_out
from batteryscope.tables.split_rows import find_row_groups

REFERENCE_FILE, ROWS_FILE = "training_reference.safetensors", "training_rows.csv"
MEASURE = "distance to the nearest training rows of the domain in standardised inputs"
INPUTS = "inputs"
MOST_ROWS = 500  # of a domain, evenly spaced where there are more
PARTS = 5
ROW_COLUMNS = ["domain", "path", "row"]


@dataclass(frozen=True)
class RowFamiliarity:
    """What the rows of every domain are like, and which rows they are."""

    references: Mapping[str, Reference]
    names: Mapping[str, Sequence[str]]

    def judge(self, domain: str, inputs: np.ndarray) -> list[Unlike]:
        """Compare (n, n_features) rows with those of a domain that has a reference."""
        told = self.references[domain].judge({INPUTS: inputs})
        return [
            Unlike(
                float(score),
                self.names[domain][number],
                (f"inputs: {score:.3g} times as far from the training rows as the limit",)
                if score > 1
                else (),
            )
            for score, number in zip(told.scores, told.nearest, strict=True)
        ]


def write_row_familiarity(
    out: Path,
    rows: pd.DataFrame,
    features: Sequence[str],
    domains: Sequence[str],
    share: float | None,
) -> dict[str, FamiliarityRecord]:
    """Learn what the rows of every domain are like, and write it to a bundle.

    The limit of a domain rests on all its rows, each compared with those of other groups in one
    of five parts. A domain with fewer than three groups gets none.

    Parameters
    ----------
    out
        The bundle.
    rows
        The table of rows.
    features, domains
        Names of the inputs and of the domains.
    share
        Share of new rows of the same kind that may be called unlike; None: nothing is written.

    Returns
    -------
    dict
        By domain, what its limit rests on.
    """
    for name in (REFERENCE_FILE, ROWS_FILE):  # of a bundle that was here before
        (out / name).unlink(missing_ok=True)
    if share is None:
        return {}
    arrays: dict[str, Any] = {}
    kept: list[Any] = []
    about: dict[str, Any] = {}
    groups = rows["sample_id"].map(find_row_groups(rows, features))
    for domain in domains:
        own = rows[rows["domain"] == domain]
        own = own.iloc[thin_out(len(own), MOST_ROWS)]
        inputs, named = own[list(features)].to_numpy("float64"), groups[own.index].to_numpy()
        parts = min(PARTS, len(set(named)))
        if parts < 3:
            continue
        divided = list(GroupKFold(parts).split(inputs, groups=named))
        folds = [({INPUTS: inputs[known]}, {INPUTS: inputs[held]}) for known, held in divided]
        belongings = [named[held] for _, held in divided]
        found = calibrate_reference(folds, share, {INPUTS: inputs}, belongings)
        arrays |= {f"{domain}/{k}": v for k, v in pack_reference(found.reference).items()}
        kept.append(own[ROW_COLUMNS])
        about[domain] = describe_calibrated(found, MEASURE, share, len(inputs))
    if about:
        save_file(arrays, out / REFERENCE_FILE)
        table = guard_table(pd.concat(kept))
        table.to_csv(out / ROWS_FILE, index=False, lineterminator="\n")
    return about


def read_row_familiarity(
    folder: Path, about: Mapping[str, FamiliarityRecord], n_features: int
) -> RowFamiliarity | None:
    """Read what a bundle knows of its training rows; older bundles know nothing.

    Raises
    ------
    InputError
        A file is missing or damaged, or does not fit bundle.json.
    """
    if not about:
        return None
    path = folder / REFERENCE_FILE
    with read_safely(path, folder / ROWS_FILE):
        arrays = load_file(path)
        table = pd.read_csv(folder / ROWS_FILE, dtype=str, keep_default_na=False)
        table["name"] = table["path"] + ":" + table["row"]
        references, names = {}, {}
        for domain in about:
            own = {
                k.removeprefix(f"{domain}/"): v
                for k, v in arrays.items()
                if k.startswith(f"{domain}/")
            }
            references[domain] = unpack_reference(own)
            names[domain] = table.loc[table["domain"] == domain, "name"].tolist()
            measure = references[domain].measures[INPUTS]
            if len(measure.centre) != n_features or len(measure.points) != len(names[domain]):
                raise ValueError(f"the rows of '{domain}' are not those that it was learnt from")
    return RowFamiliarity(references, names)
