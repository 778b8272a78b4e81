"""What explaining would leave of a small study of pictures: maps that nobody computed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from batteryscope.plan import StudyPlan
from batteryscope.seeds import derive_rng

METHODS = ("grad_ram", "guided_backprop", "occlusion", "integrated_gradients")
REGIONS = ("particle edges", "particles", "cracks", "pores", "additives", "artefacts")


def write_class_maps(
    folder: Path,
    arm: str,
    manifest: pd.DataFrame,
    splits: dict[str, pd.DataFrame],
    plan: StudyPlan,
) -> None:
    """Write two maps, and those of the same tiles under all arms."""
    folder.mkdir(parents=True)
    split = splits[plan.arms[arm].split]
    tested = split[split["role"] == "test"].merge(manifest, on="sample_id").head(2)
    entries, rows = [], []
    for i, row in enumerate(tested.to_dict("records")):
        kind = ("class", "misclassified")[i]
        Image.fromarray(np.full((40, 40, 3), 60 * i, np.uint8)).save(folder / f"{kind}_01.png")
        Image.fromarray(np.full((32, 32, 3), 90 * i, np.uint8)).save(folder / f"same_0{i}.png")
        entries.append(
            {"file": f"{kind}_01.png", "title": row["class"], "class": row["class"],
             "y_true": row["class"], "y_pred": row["class"], "sample_id": row["sample_id"],
             "path": row["path"], "kind": kind, "confidence": 0.75}
        )  # fmt: skip
        rows.append(
            {"sample_id": row["sample_id"], "tile": i, "repeat": row["repeat"], "fold": row["fold"],
             "y_true": row["class"], "y_pred": row["class"], "confidence": 0.75, "x_px": 8,
             "y_px": 8, "crop_px": 48, "share": 0.5, "area": 0.25, "preference": 2.0,
             "file": f"same_0{i}.png"}
        )  # fmt: skip
    (folder / "index.json").write_text(json.dumps(entries))
    pd.DataFrame(rows).to_csv(folder / "same_tiles.csv", index=False)


def write_capacity_maps(folder: Path, plan: StudyPlan, manifest: pd.DataFrame) -> None:
    """Write the maps of every arm, where they lie, and how well the methods agree."""
    folder.mkdir()
    shares, agreements, costs = [], [], []
    for arm, planned in plan.arms.items():
        rng = derive_rng("golden maps", arm)
        targets = plan.stages[planned.chains[-1]].settings.targets
        shown = manifest.sort_values("path").drop_duplicates("class")
        tiles = rng.integers(0, 256, (len(shown), 16, 64), np.uint8)
        size = (len(shown), len(targets), 16, 64)
        maps = {m: rng.integers(0, 9, size).astype(np.float16) for m in METHODS}
        np.savez_compressed(folder / f"{arm}.npz", tiles=tiles, **maps)
        described = shown[["sample_id", "class", "path"]].to_dict("records")
        text = json.dumps({"targets": targets, "tiles": described})
        (folder / f"{arm}.json").write_text(text)
        for row in described:
            key = (arm, row["sample_id"], row["class"])
            for output in range(len(targets)):
                agreements.append(("grad_ram", "occlusion", output, 0.25, *key))
                for method in METHODS:
                    shares += [(method, output, r, 0.125, 0.25, 0.5, *key) for r in REGIONS]
        costs += [(arm, method, 4, 0.5) for method in METHODS]
    keys = ["arm", "sample_id", "class"]
    columns = ["method", "output", "region", "share", "area", "density", *keys]
    pd.DataFrame(shares, columns=columns).to_csv(folder / "shares.csv", index=False)
    columns = ["first", "second", "output", "correlation", *keys]
    pd.DataFrame(agreements, columns=columns).to_csv(folder / "agreement.csv", index=False)
    columns = ["arm", "method", "passes", "seconds"]
    pd.DataFrame(costs, columns=columns).to_csv(folder / "cost.csv", index=False)
