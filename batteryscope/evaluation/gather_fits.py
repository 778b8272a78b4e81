"""What the fits of an arm predicted, as one table."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.errors import InputError
from batteryscope.evaluation.predictions import FIT, limit_validation
from batteryscope.manifest.select import keep_samples
from batteryscope.planning.piece_layouts import ArmLayout


def summarise_cost(fits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Summarise the ``fit.json`` records of an arm's last stage.

    Returns
    -------
    dict
        ``n_fits``, ``parameters``, ``device``, ``seconds`` (sum over fits) and
        ``tiles_per_second`` (mean over fits).
    """
    return {
        "n_fits": len(fits),
        "parameters": fits[0]["parameters"],
        "device": fits[0]["device"],
        "seconds": round(sum(fit["seconds"] for fit in fits), 1),
        "tiles_per_second": round(sum(fit["tiles_per_second"] for fit in fits) / len(fits), 1),
    }


FIT_PREDICTIONS = "predictions.parquet"


def gather_fits(
    parts: Sequence[Path],
    split: pd.DataFrame,
    manifest: pd.DataFrame,
    where: Mapping[str, Any],
    arm: str,
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Take what every fit predicted for the images that the arm is validated and tested on.

    Parameters
    ----------
    parts
        Folders of the trained stage, each with a folder per fit.
    split, manifest
        Roles of the arm's split; the sample table.
    where
        Conditions on columns of the manifest that judged images meet.
    arm
        Name of the arm.

    Returns
    -------
    predictions : DataFrame
        All fits below each other.
    records : list of dict
        ``fit.json`` of every fit.

    Raises
    ------
    InputError
        If a fit of the split, or its predictions, are missing.
    """
    folders = sorted(fit for part in parts for fit in part.glob("r*_f*"))
    kept = keep_samples(split, manifest, where)
    tables, records = [], []
    for folder in folders:
        record = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        of_fit = (kept["repeat"] == record["repeat"]) & (kept["fold"] == record["fold"])
        roles = limit_validation(kept[of_fit], record.get("validation_samples"))
        tables.append(read_fit_predictions(folder, roles, arm))
        records.append(record)
    found = {(record["repeat"], record["fold"]) for record in records}
    for repeat, fold in split[FIT].drop_duplicates().itertuples(index=False):
        if (repeat, fold) not in found:
            raise InputError(
                f"{arm}: the fit of repeat {repeat}, fold {fold} is missing in "
                f"{' and '.join(map(str, parts))}; delete {parts[0].parent} and run again."
            )
    return pd.concat(tables, ignore_index=True), records


def gather_arms(
    manifest: Path,
    arms: Mapping[str, Mapping[str, Any]],
    describe: Callable[[pd.DataFrame], Mapping[str, Any]],
    out: Path,
) -> None:
    """Write predictions and cost of every arm into a folder of its own.

    Parameters
    ----------
    manifest
        The sample table.
    arms
        By name: ``split`` (path), ``fits`` (parts of the last stage), ``where``.
    describe
        Says more about the predictions of an arm: by name of a JSON file, its content.
    out
        Gets the folders.

    Raises
    ------
    InputError
        If a fit of a split, or its predictions, are missing.
    """
    samples = pd.read_parquet(manifest)
    for arm, pieces in arms.items():
        split, parts = pd.read_parquet(pieces["split"]), [Path(part) for part in pieces["fits"]]
        table, records = gather_fits(parts, split, samples, pieces.get("where", {}), arm)
        place = ArmLayout(out / arm)
        place.root.mkdir(parents=True, exist_ok=True)
        table.to_parquet(place.predictions, index=False)
        told = {place.cost.name: summarise_cost(records), **describe(table)}
        for name, values in told.items():
            text = json.dumps(values, indent=1) + "\n"
            (place.root / name).write_text(text, encoding="utf-8")


def read_fit_predictions(folder: Path, roles: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return what a fit predicted for these images in these roles, as predictions of an arm.

    Parameters
    ----------
    folder
        The finished fit.
    roles
        ``sample_id, role`` of its repeat and fold.
    arm
        Name of the arm.

    Raises
    ------
    InputError
        If the fit has no predictions.
    """
    path = folder / FIT_PREDICTIONS
    if not path.is_file():
        raise InputError(f"{path} is missing; delete {folder.parent.parent} and run again.")
    wanted = roles[["sample_id", "role"]]
    table = pd.read_parquet(path).merge(wanted, on=["sample_id", "role"])
    table.insert(list(table.columns).index("role") + 1, "arm", arm)
    return table
