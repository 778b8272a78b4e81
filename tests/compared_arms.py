"""Made-up predictions of arms, and the images they are about."""

import numpy as np
import pandas as pd

from batteryscope.evaluation.predictions import make_predictions

# Names with underscores of their own: taking them apart would give wrong labels.
LABELS = [(c, s) for c in ("NCM_333", "NCM_811") for s in ("pristine", "cycled_100")]
CLASSES = sorted(f"{c}_{s}" for c, s in LABELS)
COLUMNS_OF_LABELS = ["composition", "state"]


def make_manifest(per_class=10):
    rows = [
        {"composition": c, "state": s, "class": f"{c}_{s}", "number": i}
        for c, s in LABELS
        for i in range(per_class)
    ]
    table = pd.DataFrame(rows)
    table["sample_id"] = [f"s{i:03d}" for i in range(len(table))]
    table["path"] = table["class"] + "/" + table["number"].astype(str) + ".png"
    return table.assign(
        specimen_id=None, session_id=None, domain="", data_bar_px=None, brightness=1.0
    )


def make_arm(manifest, arm, wrong=(), folds=2, tiles=3, validation=False, sure=0.9):
    """Every image is tested once; the images in ``wrong`` become another state."""
    tables = []
    swapped = {f"{c}_{s}": f"{c}_{t}" for c, s in LABELS for _, t in LABELS if t != s}
    for fold in range(folds):
        for role in ("test", "validation") if validation else ("test",):
            held = (fold + (role == "validation")) % folds
            part = manifest[manifest["number"] % folds == held]
            part = part.loc[part.index.repeat(tiles)]
            keys = part[["sample_id"]].assign(y_true=part["class"], repeat=0, fold=fold, role=role)
            keys = keys.assign(arm=arm, tile=np.arange(len(keys)) if tiles > 1 else -1)
            is_wrong = part["sample_id"].isin(wrong)
            answer = part["class"].mask(is_wrong, part["class"].map(swapped))
            p = np.full((len(part), 4), (1 - sure) / 3)
            p[np.arange(len(part)), [CLASSES.index(a) for a in answer]] = sure
            tables.append(make_predictions(keys, p, CLASSES))
    return pd.concat(tables, ignore_index=True)


def pick(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def write_survey(path, manifest, rows):
    lines = [f"{manifest['path'][i]},{who},{answer}" for i, who, answer in rows]
    path.write_text("\n".join(["image,expert,answer", *lines]) + "\n", encoding="utf-8")
    return path
