"""What ingestion, preprocessing and training would leave of a small study of pictures.

Nothing is rendered or trained: pictures are noise in a few shapes, predictions are drawn by lot,
and the networks of the bundled arms are those of the stored bundles. All numbers come from whole
numbers by exact arithmetic, so that they are the same on every machine.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.study import StudySettings, list_published_arms
from batteryscope.demo.cycling_table import write_cycling
from batteryscope.evaluation.number_predictions import PRED, TRUE
from batteryscope.manifest.frames import (
    DATA_BAR_PX,
    FRAME_DTYPES,
    GREY_LEVEL_COLUMNS,
    HISTOGRAM_BINS,
    THUMBNAIL_PX,
)
from batteryscope.manifest.ingest_pictures import summarise_manifest
from batteryscope.manifest.schema import find_dtypes
from batteryscope.manifest.select import keep_samples
from batteryscope.manifest.volumes import digest_slice
from batteryscope.plan import StagePlan, StudyPlan, plan_study
from batteryscope.preprocess.slice_table import DESCRIPTORS, summarise_cells
from batteryscope.provenance import digest_file, digest_text
from batteryscope.seeds import derive_rng
from batteryscope.splits.assign import split_samples
from batteryscope.splits.audit import audit_split
from batteryscope.splits.groups import find_groups
from batteryscope.splits.near_duplicates import PAIR_COLUMNS
from batteryscope.splits.slices import pair_neighbours, warn_of_straddling
from tests.golden.drawings import draw_cell, draw_coating, draw_texture
from tests.golden.picture_maps import write_capacity_maps, write_class_maps

BUNDLES = Path(__file__).resolve().parents[1] / "fixtures" / "bundles"
# By the number of input channels and what is predicted: whose networks a study borrows.
LENDERS = {
    "sem_tiles": "classes_of_images",
    "ct_slices": "classes_of_scans",
    "coating_crop": "capacities",
}
EPOCHS = 4
PERCENT = 1000


def write_picture_study(root: Path, name: str, settings: StudySettings) -> None:
    """Write everything below ``root`` that comes before the evaluation."""
    plan = plan_study(name, settings)
    manifest = write_dataset(root / "data", name, settings, settings.dataset)
    if settings.external is not None:
        write_dataset(root / "external", f"{name} external", settings, settings.external)
    splits = {key: _write_split(root, key, manifest, plan) for key in plan.splits}
    for key in plan.tiles:
        _write_tiles(root / "tiles" / key, manifest, plan)
    index = pd.read_parquet(root / "tiles" / plan.main.tiles / "index.parquet")
    bundled = {plan.arms[arm].chains[-1]: arm for arm in list_published_arms(settings)}
    for stage in plan.stages.values():
        _write_stage(root, stage, manifest, splits[stage.split], index, bundled, plan)
    if not settings.dataset.targets:
        for arm in settings.arms:
            write_class_maps(root / "explained" / arm, arm, manifest, splits, plan)
    else:
        write_capacity_maps(root / "explained", plan, manifest)
        _write_half_cell(root / "physics" / "capacities.csv", settings)
    if settings.evaluate.survey:
        _write_survey(root.parents[1] / settings.evaluate.survey, manifest)


def write_dataset(
    folder: Path, seed: str, settings: StudySettings, dataset: DatasetSettings
) -> pd.DataFrame:
    """Draw the pictures of a data set, and write its tables; return the manifest."""
    images = folder / "images"
    if dataset.volumes:
        rows = list(_draw_scans(images, dataset))
    elif dataset.targets:
        rows = list(_draw_sections(images, seed, dataset))
    else:
        rows = list(_draw_textures(images, seed, dataset))
        drawn: Any = dataset.generator
        if drawn.cycling is not None:
            write_cycling(images, drawn.compositions, drawn.seed)
    labels = dataset.labels.columns
    manifest = pd.DataFrame(rows)
    manifest.insert(0, "sample_id", manifest["sha256"].str[:16])
    manifest["class"] = manifest[labels].agg("_".join, axis=1)
    defaults = {
        "specimen_id": None, "session_id": None, "domain": "", "bit_depth": 8,
        "acquired_at": pd.NaT, "detector": None, "instrument": "SEM-1",
    }  # fmt: skip
    dtypes = find_dtypes(labels)
    for column in dtypes:
        if column not in manifest:
            manifest[column] = defaults.get(column, np.nan)
    others = [column for column in manifest if column not in dtypes]
    manifest = manifest[[*dtypes, *others]].astype(
        {k: v for k, v in dtypes.items() if v != "str"} | dict.fromkeys(("domain", *labels), "str")
    )
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    manifest.to_parquet(folder / "manifest.parquet", index=False)
    rejects = [
        ("333/a.png", "truncated", "ends after 12 bytes"), ("811/c.png", "unreadable", "no picture")
    ]  # fmt: skip
    table = pd.DataFrame(rejects, columns=["path", "reason", "detail"])
    table.to_csv(folder / "rejects.csv", index=False)
    summary = summarise_manifest(manifest, table, labels)
    (folder / "summary.json").write_text(json.dumps(summary))
    _make_frames(manifest).to_parquet(folder / "frames.parquet", index=False)
    return manifest


def _draw_textures(images: Path, seed: str, dataset: DatasetSettings) -> Iterable[dict[str, Any]]:
    made: Any = dataset.generator
    for composition in made.compositions:
        for state in made.states:
            for additive in made.additives:
                suffix = "" if additive == "none" else f"_{additive}"
                for i in range(made.images_per_class):
                    path = f"ncm{composition}_{state}{suffix}/{i:02d}.bmp"
                    _save(draw_texture(seed, path), images / path)
                    labels = {"composition": composition, "state": state}
                    if len(made.additives) > 1:
                        domain = "plain" if additive == "none" else "additive"
                        labels |= {"additive": suffix.strip("_"), "domain": domain}
                    yield {
                        "path": path, "sha256": digest_file(images / path), **labels,
                        "width_px": 128, "height_px": 96, "magnification": 500.0,
                        "voltage_kv": (5.0, 10.0, 20.0)[i % 3], "brightness": 40.0 + i,
                        "session_id": f"{composition} {state} {additive} {i // 3}",
                    }  # fmt: skip


def _draw_scans(images: Path, dataset: DatasetSettings) -> Iterable[dict[str, Any]]:
    made: Any = dataset.generator
    for state in made.states:
        for cell in range(made.cells_per_state):
            volume = f"{state}/{state}_{cell:02d}.npy"
            slices = np.stack(
                [draw_cell(volume, z, shrunk=state == "cycle_aged") for z in range(made.slices)]
            )
            (images / volume).parent.mkdir(parents=True, exist_ok=True)
            np.save(images / volume, slices)
            for z, pixels in enumerate(slices):
                yield {
                    "path": f"{volume}#{z}", "sha256": digest_slice(pixels), "state": state,
                    "specimen_id": volume, "volume": volume, "slice": z, "bit_depth": 8,
                    "width_px": pixels.shape[1], "height_px": pixels.shape[0],
                }  # fmt: skip


def _draw_sections(images: Path, seed: str, dataset: DatasetSettings) -> Iterable[dict[str, Any]]:
    made: Any = dataset.generator
    for level, share in enumerate(made.porosities):
        porosity = f"{100 * share:.0f}"
        for k in range(made.electrodes_per_porosity):
            electrode = f"p{porosity}_e{made.first_electrode + k}"
            rng = derive_rng("golden capacities", electrode)
            fade = int(rng.integers(0, 40))  # tenths of Ah/kg
            capacities = {}
            for name, rate in zip(dataset.targets.names, dataset.targets.c_rates * 2, strict=True):
                mass = (1600 - fade - round(rate) * (30 + 35 * level)) / 10
                capacities[name] = mass if name.endswith("kg") else mass * (20 + 2 * level) / 10
            for i in range(made.images_per_electrode):
                path = f"{electrode}/{i}.bmp"
                _save(draw_coating(seed, path), images / path)
                yield {
                    "path": path, "sha256": digest_file(images / path), "porosity": porosity,
                    "specimen_id": electrode, "width_px": 500, "height_px": 400, **capacities,
                }  # fmt: skip


def _save(pixels: np.ndarray, path: Path) -> None:
    """Write a bitmap, which holds the same bytes whatever library writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _make_frames(manifest: pd.DataFrame) -> pd.DataFrame:
    rng = derive_rng("golden frames", len(manifest))
    n = len(manifest)
    levels = rng.integers(10, 200, (n, len(GREY_LEVEL_COLUMNS)))
    levels[:, 0] += 20 * manifest["class"].astype("category").cat.codes.to_numpy()
    frames = pd.DataFrame(levels.astype(float), columns=list(GREY_LEVEL_COLUMNS))
    frames["sample_id"] = manifest["sample_id"]
    frames["pixel_digest"] = [digest_text(sample) for sample in manifest["sample_id"]]
    frames["data_bar_px"] = 0
    frames["thumbnail"] = [bytes(THUMBNAIL_PX[0] * THUMBNAIL_PX[1])] * n
    frames["data_bar"] = [bytes(DATA_BAR_PX[0] * DATA_BAR_PX[1])] * n
    even = np.full(HISTOGRAM_BINS, 1 / HISTOGRAM_BINS, np.float32)
    frames["histogram"] = [even.tobytes()] * n
    return frames[list(FRAME_DTYPES)]


def _write_split(root: Path, key: str, manifest: pd.DataFrame, plan: StudyPlan) -> pd.DataFrame:
    settings = plan.splits[key]
    split = split_samples(manifest, find_groups(manifest, settings.group), settings)
    has_slices = "slice" in manifest
    pairs = pair_neighbours(manifest) if has_slices else pd.DataFrame(columns=PAIR_COLUMNS)
    by_slice = settings.group == "slice"
    treatment = "ignore" if by_slice else settings.near_duplicates
    audit = audit_split(split, manifest, pairs, treatment, settings.near_duplicate_share)
    if by_slice:
        audit["warnings"] = [warn_of_straddling(split, manifest)]
    folder = root / "splits" / key
    folder.mkdir(parents=True)
    split.to_parquet(folder / "split.parquet", index=False)
    (folder / "audit.json").write_text(json.dumps(audit))
    return split


def _write_tiles(folder: Path, manifest: pd.DataFrame, plan: StudyPlan) -> None:
    """Write a tile store: tiles that train and judge, or one of both kinds for every sample."""
    rng = derive_rng("golden tiles", plan.study)
    several = plan.main.recipe.preprocess.method == "sem_tiles"
    kinds = ["random", *["grid"] * 4] if several else ["whole"]
    n = len(manifest) * len(kinds)
    shape = {"sem_tiles": (32, 32), "ct_slices": (3, 32, 32), "coating_crop": (16, 64)}
    folder.mkdir(parents=True)
    tiles = rng.integers(0, 256, (n, *shape[plan.main.recipe.preprocess.method]), np.uint8)
    np.save(folder / "tiles.npy", tiles)
    index = pd.DataFrame({"tile": range(n), "sample_id": manifest["sample_id"].repeat(len(kinds))})
    index = index.assign(
        kind=kinds * len(manifest), x_px=8, y_px=8, crop_px=48, local_sd=20.0, used=True
    )
    index.to_parquet(folder / "index.parquet", index=False)
    reject = [("f" * 16, "811/d.png", "no_coating", "no tile holds coating")]
    columns = ["sample_id", "path", "reason", "detail"]
    pd.DataFrame(reject, columns=columns).to_csv(folder / "rejects.csv", index=False)
    Image.fromarray(np.full((50, 150), 120, np.uint8)).save(folder / "preview.png")
    if plan.main.recipe.preprocess.method == "ct_slices":
        measured = rng.integers(1, 100, (n, len(DESCRIPTORS) + 3)) / PERCENT
        measured[:, 0] += (manifest["class"] == "pristine") * 0.05
        lengths = ["pitch_um", "can_diameter_mm", "core_diameter_mm"]
        kept = manifest[["sample_id", "path", "specimen_id", "class", "volume", "slice"]]
        slices = kept.assign(used=True, reason="")
        slices[[*DESCRIPTORS, *lengths]] = measured
        slices.to_csv(folder / "slices.csv", index=False)
        summarise_cells(slices).to_csv(folder / "cells.csv", index=False)
    if plan.main.recipe.preprocess.method == "coating_crop":
        shutil.copy(folder / "preview.png", folder / "preview_row.png")
        porosity = manifest["porosity"].astype(int)
        measured = {
            "porosity_otsu": (porosity * 10 + rng.integers(0, 30, n)) / PERCENT,
            "active_share": (700 - porosity * 10) / PERCENT,
            "grey_sd": (porosity + rng.integers(0, 10, n)).astype(float),
            "glcm_contrast_1": rng.integers(1, 90, n).astype(float),
            "thickness_px": (100 + porosity + rng.integers(0, 9, n)).astype(float),
            "angle_deg": rng.integers(-9, 9, n) / 10,
        }
        table = index[["sample_id", "tile"]].reset_index(drop=True).assign(**measured)
        table.to_parquet(folder / "measurements.parquet", index=False)


def _write_stage(
    root: Path,
    stage: StagePlan,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    index: pd.DataFrame,
    bundled: dict[str, str],
    plan: StudyPlan,
) -> None:
    """Write all fits of a stage: what each predicted, how it learnt, and its network if bundled."""
    for number, ((repeat, fold), roles) in enumerate(split.groupby(["repeat", "fold"])):
        folder = root / "stages" / stage.chain / "part0" / f"r{repeat}_f{fold}"
        folder.mkdir(parents=True)
        rng = derive_rng("golden fit", plan.study, _describe(stage, plan), repeat, fold)
        _predict(rng, manifest, roles, index, stage).to_parquet(
            folder / "predictions.parquet", index=False
        )
        measure = "val_mape" if stage.settings.targets else "val_accuracy"
        history = {"epoch": range(EPOCHS), "train_loss": [8 / (e + 2) for e in range(EPOCHS)]}
        history |= {"val_loss": [9 / (e + 2) for e in range(EPOCHS)]}
        history |= {measure: [(5 + e) / 10 for e in range(EPOCHS)]}
        pd.DataFrame(history | {"learning_rate": 0.001, "seconds": 2.0}).to_csv(
            folder / "history.csv", index=False
        )
        learnt = keep_samples(roles, manifest, stage.settings.where)
        most = stage.settings.balance.images_per_class
        classes = learnt["sample_id"].map(manifest.set_index("sample_id")["class"])
        if most is not None:
            learnt = learnt[learnt.groupby([classes, learnt["role"]]).cumcount() < most]
        fit = {
            "repeat": int(repeat), "fold": int(fold), "identity": "golden",
            "best_epoch": EPOCHS - 1,
            **{
                f"{role}_samples": sorted(learnt.loc[learnt["role"] == role, "sample_id"])
                for role in ("train", "validation")
            },
            "n_train_tiles": len(learnt), "n_validation_tiles": 8, "seconds": 8.0,
            "tiles_per_second": 60.0 + number, "parameters": 12386, "device": "cpu",
        }  # fmt: skip
        (folder / "fit.json").write_text(json.dumps(fit))
        if arm := bundled.get(stage.chain):
            borrow_network(folder, plan, arm, number)


def borrow_network(folder: Path, plan: StudyPlan, arm: str, number: int) -> None:
    """Copy a network of a stored bundle into the folder of a fit."""
    lender = BUNDLES / LENDERS[plan.main.recipe.preprocess.method] / "bundle"
    prefix = f"fold_{arm}_" if plan.settings.dataset.targets else "fold_"
    lent = sorted(lender.glob(f"{prefix}*.safetensors"))
    chosen = lent[number % len(lent)]
    shutil.copyfile(chosen, folder / "weights.safetensors")
    shutil.copyfile(chosen.with_suffix(".json"), folder / "model.json")


def _describe(stage: StagePlan, plan: StudyPlan) -> str:
    """Name a stage by the arms that end with it, not by its settings."""
    ends = [name for name, arm in plan.arms.items() if arm.chains[-1] == stage.chain]
    return " ".join(ends) or stage.settings.stage


def _predict(
    rng: np.random.Generator,
    manifest: pd.DataFrame,
    roles: pd.DataFrame,
    index: pd.DataFrame,
    stage: StagePlan,
) -> pd.DataFrame:
    """Draw what a fit says about its validation and test tiles."""
    judging = index[index["kind"].isin(("grid", "whole"))]
    asked = roles.loc[roles["role"] != "train", ["sample_id", "repeat", "fold", "role"]]
    table = judging[["sample_id", "tile"]].merge(asked, on="sample_id")
    table = table[["sample_id", "tile", "repeat", "fold", "role"]]
    known = manifest.set_index("sample_id").loc[table["sample_id"]]
    if targets := stage.settings.targets:
        for target in targets:
            true = known[target].to_numpy()
            table[f"{TRUE}{target}"] = true
            table[f"{PRED}{target}"] = true * (1000 + rng.integers(-40, 41, len(table))) / 1000
        return table
    classes = sorted(manifest["class"].unique())
    true = known["class"].map(classes.index).to_numpy()
    # Whole images are hard, not tiles alone: a fifth of them look like the next class.
    samples = sorted(set(table["sample_id"]))
    hard = dict(zip(samples, rng.integers(0, 5, len(samples)) == 0, strict=True))
    seen = np.where(table["sample_id"].map(hard), (true + 1) % len(classes), true)
    weights = rng.integers(1, 12, (len(table), len(classes)))
    weights[np.arange(len(table)), seen] += rng.integers(4, 40, len(table))
    shares = weights / weights.sum(axis=1, keepdims=True)
    table["y_true"] = known["class"].to_numpy()
    table["y_pred"] = np.array(classes, dtype=object)[shares.argmax(axis=1)]
    for i, name in enumerate(classes):
        table[f"p_{name}"] = shares[:, i]
    return table


def _write_half_cell(path: Path, settings: StudySettings) -> None:
    """Write a made-up table of the half-cell model: capacity falls with rate, rises with pores."""
    rows = [
        (porosity / 100, 80.0, float(rate), 150 - 4 * rate + porosity / 4, 3 * (100 - porosity))
        for porosity in (13, 25, 40, 56)
        for rate in settings.physics.c_rates
    ]
    path.parent.mkdir(parents=True)
    columns = ["porosity", "thickness_um", "c_rate", "ah_kg", "ah_l"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)


def _write_survey(path: Path, manifest: pd.DataFrame) -> None:
    lines = ["image,expert,answer"]
    classes = sorted(manifest["class"].unique())
    for i, row in enumerate(manifest.sort_values("path").to_dict("records")):
        for j, expert in enumerate(("A", "B")):
            is_right = (i + j) % (2 + j) == 0
            answer = row["class"] if is_right else classes[(i + j) % len(classes)]
            lines.append(f"{row['path']},{expert},{answer}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
