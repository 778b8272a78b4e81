"""Tables of the report of capacities, as texts."""

import numpy as np
import pandas as pd

from batteryscope.core.baseline_catalogue import BASELINE_PREFIX, OF_CAPACITIES
from batteryscope.evaluation.metric_catalogue import name_metric
from batteryscope.evaluation.regression_comparison import pick
from batteryscope.evaluation.regression_metrics import (
    measure_errors,
    measure_fits,
    read_target,
    show_unit,
)
from batteryscope.explain.regression_shares import find_densities
from batteryscope.report.regression_evidence import RegressionEvidence
from batteryscope.report.regression_map_figures import METHOD_NAMES
from batteryscope.report.shown_table import ShownTable, show_table

LOOKS_AWAY = 0.5  # attribution per area below which a place counts as ignored


def show_overall(evidence: RegressionEvidence) -> ShownTable | None:
    """MAPE, MAE and R² of every arm, the paper's values beside them."""
    rows: list[list[str]] = []
    marked: list[int] = []
    for arm in evidence.plan.arms:
        if arm == evidence.main_arm:
            marked.append(len(rows))
        unit = _unit_of(evidence, arm)
        cells = [evidence.label(arm), show_unit(unit)]
        for metric, digits in (("mape", 2), ("mae", 2), ("r2", 3)):
            cells.append(_format(*pick(evidence.comparison, arm, metric), digits))
            if metric == "mape":
                cells.append(_say_folds(evidence, arm))
            cells.append(_paper(evidence, arm, metric, digits))
        cost = evidence.costs.get(arm, {})
        cells.append(f"{cost.get('seconds', 0) / max(1, cost.get('n_fits', 1)):.0f}")
        rows.append(cells)
    columns = [
        "model", "unit", "MAPE / %", "best and worst fold", "paper: MAPE", "MAE / unit",
        "paper: MAE", "R²", "paper: R²", "training / s per fit",
    ]  # fmt: skip
    return show_table(pd.DataFrame(rows, columns=columns), "", ("unit",), marked)


def find_best_baseline(evidence: RegressionEvidence) -> tuple[str, float] | None:
    """Return name and MAPE (percent) of the best baseline at what the main arm predicts."""
    own = evidence.comparison[evidence.comparison["arm"] == evidence.main_arm]
    targets = sorted(set(own["target"]) - {""})
    errors = {
        baseline.in_sentence: [
            pick(evidence.comparison, BASELINE_PREFIX + name, target=target)[0]
            for target in targets
        ]
        for name, baseline in OF_CAPACITIES.items()
    }
    means = {name: float(np.mean(of_targets)) for name, of_targets in errors.items() if of_targets}
    known = {name: mean for name, mean in means.items() if np.isfinite(mean)}
    return min(known.items(), key=lambda item: item[1]) if known else None


def show_baselines(evidence: RegressionEvidence) -> ShownTable | None:
    """Errors of networks, proxies and physics on the same test images, unit by unit."""
    images = evidence.images[evidence.images["role"] == "test"]
    published = [evidence.main_arm, *evidence.settings.published_arms]
    units: dict[str, str] = {}  # that of the main arm comes first
    for arm in published:
        units.setdefault(_unit_of(evidence, arm), arm)
    rows = []
    words = {name: own.label for name, own in OF_CAPACITIES.items()}
    names = {arm: words[arm.removeprefix(BASELINE_PREFIX)] for arm in set(images["arm"])
             if arm.removeprefix(BASELINE_PREFIX) in words}  # fmt: skip
    order = list(words.values())
    entries = [("", "network"), *sorted(names.items(), key=lambda item: order.index(item[1]))]
    if (images["arm"] == "physics").any():
        entries.append(("physics", "half-cell model at the nominal porosity"))
    for arm, name in entries:
        cells = [name]
        for unit in units:
            part = images[images["arm"] == (arm or units[unit])]
            part = part[[read_target(t)[1] == unit for t in part["target"]]]
            fits = measure_fits(part)
            for metric in ("mape", "mae"):
                values = np.array([fit[metric] for fit in fits])
                sd = values.std(ddof=1) if len(values) > 1 else float("nan")
                cells.append(_format(float(values.mean()), float(sd), 2) if len(values) else "")
        rows.append(cells)
    columns = ["who", *(f"{m}, {u}" for u in map(show_unit, units) for m in ("MAPE / %", "MAE"))]
    return show_table(pd.DataFrame(rows, columns=columns), marked=[0])


def show_by_rate(evidence: RegressionEvidence, arm: str) -> ShownTable | None:
    """Errors per C-rate of one arm."""
    rows = []
    for target in dict.fromkeys(evidence.images.loc[evidence.images["arm"] == arm, "target"]):
        rate, _ = read_target(target)
        r2 = pick(evidence.comparison, arm, "r2", target)
        rows.append(
            [
                f"{rate:g}C",
                _format(*pick(evidence.comparison, arm, "mape", target), 2),
                _format(*pick(evidence.comparison, arm, "mae", target), 2),
                _format(*r2, 3) or "hardly varies",
            ]
        )
    columns = ["C-rate", "MAPE / %", f"MAE / {show_unit(_unit_of(evidence, arm))}", "R²"]
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(arm))


def show_by_porosity(evidence: RegressionEvidence, arm: str) -> ShownTable | None:
    """Errors of one arm per porosity, all C-rates together, and how they lean."""
    mine = evidence.images[(evidence.images["arm"] == arm) & (evidence.images["role"] == "test")]
    rows = []
    for name, part in sorted(
        mine.groupby("class"), key=lambda item: float_or_zero(item[0]), reverse=True
    ):
        lean = 100 * (part["y_pred"] / part["y_true"] - 1).mean()
        rows.append(
            [
                str(name),
                _format(*pick(evidence.comparison, arm, "mape", "", str(name)), 2),
                _format(*pick(evidence.comparison, arm, "mae", "", str(name)), 2),
                f"{measure_errors(part['y_true'], part['y_pred'])['r2']:.3f}",
                f"{lean:+z.1f} %",
            ]
        )
    columns = [
        "porosity / %", "MAPE / %", f"MAE / {show_unit(_unit_of(evidence, arm))}",
        "R² over the C-rates", "predicted too high (+) or low (−)",
    ]  # fmt: skip
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(arm))


def show_arms_by_porosity(evidence: RegressionEvidence, arms: list[str]) -> ShownTable | None:
    """MAPE per porosity, a column per arm."""
    names = sorted(set(evidence.images["class"]), key=float_or_zero, reverse=True)
    rows = [
        [name, *(_format(*pick(evidence.comparison, arm, "mape", "", name), 2) for arm in arms)]
        for name in names
    ]
    columns = ["porosity / %", *(f"MAPE / %, {evidence.label(arm)}" for arm in arms)]
    return show_table(pd.DataFrame(rows, columns=columns))


def say_fitted_constants(evidence: RegressionEvidence) -> str:
    """Say that the half-cell model was fitted to a figure of the paper, where its constants are."""
    physics = evidence.settings.physics
    if physics is None or not physics.has_fitted_constants:
        return ""
    return (
        f"Its exponent of Bruggeman ({physics.bruggeman:g}) and the diffusion coefficient in the "
        f"particles ({physics.diffusivity_m2_s:g} m²/s at half the lithium) were fitted to the "
        "curves of Figure 4 of Deeg et al. (2024): they are no measured properties, and that the "
        "model gives those curves proves nothing."
    )


def list_paper_notes(evidence: RegressionEvidence) -> list[str]:
    """Say under which conditions the paper's values were found."""
    return [
        f"{name_metric(value.metric)} {value.value:g}, {evidence.label(value.arm)}: {value.note}"
        for value in evidence.settings.evaluate.paper
        if value.note and value.arm in evidence.plan.arms
    ]


def show_capacity_intervals(evidence: RegressionEvidence) -> ShownTable | None:
    """Half-widths and measured coverage of the published arms."""
    published = [evidence.main_arm, *evidence.settings.published_arms]
    rows = []
    for row in evidence.intervals.to_dict("records"):
        if row["arm"] not in published:
            continue
        rate, unit = read_target(str(row["target"]))
        wide = float(row["relative_half_width"])
        curves = evidence.curves
        folds = curves[
            (curves["arm"] == row["arm"]) & (curves["unit"] == unit) & (curves["c_rate"] == rate)
        ]
        spread = (folds["sd_folds"] / folds["predicted"]).mean()
        rows.append(
            [
                f"{rate:g}C, {show_unit(unit)}",
                f"± {100 * wide:.1f} %" if np.isfinite(wide) else "too few electrodes",
                f"± {row['mean_half_width']:.1f} {show_unit(unit)}" if np.isfinite(wide) else "",
                f"{100 * row['coverage_measured']:.0f} %"
                if pd.notna(row["coverage_measured"])
                else "",
                f"{100 * row['coverage_wanted']:.0f} %",
                str(row["n_test"]),
                f"{100 * spread:.1f} %" if np.isfinite(spread) else "",
            ]
        )
    columns = [
        "output", "interval", "on average", "inside", "wanted", "test images",
        "spread between folds",
    ]  # fmt: skip
    return show_table(pd.DataFrame(rows, columns=columns))


def show_shares(evidence: RegressionEvidence) -> ShownTable | None:
    """Share of attribution and of area of every kind of place, main arm."""
    if evidence.shares is None:
        return None
    mine = evidence.shares[evidence.shares["arm"] == evidence.main_arm]
    area = mine.groupby("region", sort=False)["area"].mean()
    table = mine.pivot_table(index="region", columns="method", values="share", sort=False)
    rows = []
    for region in table.index:
        cells = [str(region), f"{100 * area[region]:.1f} %"]
        cells += [f"{100 * table.loc[region, m]:.1f} %" for m in METHOD_NAMES if m in table]
        rows.append(cells)
    columns = ["place", "area", *(METHOD_NAMES[m] for m in METHOD_NAMES if m in table)]
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(evidence.main_arm))


def say_artefacts(evidence: RegressionEvidence, arm: str) -> str:
    """Return whether an arm looks at artefacts, in a sentence; empty without phase maps."""
    if evidence.shares is None:
        return ""
    there = evidence.shares[
        (evidence.shares["arm"] == arm) & (evidence.shares["region"] == "artefacts")
    ]
    # Pictures without an artefact say nothing about it.
    there = there[there["area"] > 0]
    if there.empty:
        return ""
    per_area = find_densities(there)["artefacts"]
    single = there.groupby(["method", "sample_id"])["density"].mean()
    low, high = per_area.min(), per_area.max()
    n = there["sample_id"].nunique()
    pictures = "1 picture shows" if n == 1 else f"{n} pictures show"
    if high < LOOKS_AWAY:
        verdict = "all methods say that the network ignores them"
    elif low > 1 / LOOKS_AWAY:
        verdict = "all methods say that the network looks at them"
    elif low >= LOOKS_AWAY and high <= 1 / LOOKS_AWAY:
        verdict = "not far from what chance would give, so it cannot be said that it ignores them"
    else:
        verdict = "the methods disagree, so it cannot be said that it ignores them"
    return (
        f"{evidence.label(arm)}: {pictures} artefacts. Per area they get {low:.2f} "
        f"({METHOD_NAMES[str(per_area.idxmin())]}) to {high:.2f} "
        f"({METHOD_NAMES[str(per_area.idxmax())]}) times the average attribution (single pictures: "
        f"{single.min():.2f} to {single.max():.2f}): {verdict}."
    )


def show_agreement(evidence: RegressionEvidence) -> ShownTable | None:
    """Mean rank correlation between the maps of two methods, main arm."""
    if evidence.agreement is None:
        return None
    mine = evidence.agreement[evidence.agreement["arm"] == evidence.main_arm]
    by_pair = mine.groupby(["first", "second"], sort=False)["correlation"]
    pairs = by_pair.agg(["mean", "std"]).reset_index()
    rows = [
        [
            METHOD_NAMES[row["first"]],
            METHOD_NAMES[row["second"]],
            f"{row['mean']:.2f} ± {row['std']:.2f}",
        ]
        for row in pairs.to_dict("records")
    ]
    columns = ["method", "and", "rank correlation"]
    title = evidence.label(evidence.main_arm)
    return show_table(pd.DataFrame(rows, columns=columns), title, ("and",))


def show_map_cost(evidence: RegressionEvidence) -> ShownTable | None:
    """What the maps of one picture cost, all outputs together, main arm."""
    if evidence.map_cost is None:
        return None
    mine = evidence.map_cost[evidence.map_cost["arm"] == evidence.main_arm]
    rows = [
        [METHOD_NAMES[str(row["method"])], f"{row['passes']:.0f}", f"{row['seconds']:.2f}"]
        for row in mine.to_dict("records")
    ]
    columns = ["method", "passes through the network", "seconds"]
    return show_table(pd.DataFrame(rows, columns=columns), evidence.label(evidence.main_arm))


def find_grid(evidence: RegressionEvidence) -> dict[tuple[str, float], tuple[str, float, float]]:
    """Return (penalty, noise) → arm, MAPE, sd of the arms that differ in nothing but training.

    Of several such groups, as where capacities per mass and per volume are predicted, the one with
    most cells counts; if equally many, that of the main arm.
    """
    main = evidence.plan.main.recipe
    arms = evidence.plan.arms.values()
    likes = [planned.recipe.model_copy(update={"train": main.train}) for planned in arms]
    grids: list[dict[tuple[str, float], tuple[str, float, float]]] = []
    for like in [main, *likes]:
        cells: dict[tuple[str, float], tuple[str, float, float]] = {}
        for planned, own in zip(arms, likes, strict=True):
            train = planned.recipe.train
            if own == like and train.penalty != "none":
                found = (planned.name, *pick(evidence.comparison, planned.name))
                cells.setdefault((train.penalty, train.adversarial_noise), found)
        grids.append(cells)
    return max(grids, key=len)


def show_grid(evidence: RegressionEvidence) -> ShownTable | None:
    """MAPE, MAE and share of attribution on artefacts over penalty and noise."""
    rows = []
    cells = find_grid(evidence)
    # L2, the paper's best, comes first, as in the figure.
    for kind, noise in sorted(cells, key=lambda cell: (-ord(cell[0][-1]), cell[1])):
        arm, mean, sd = cells[kind, noise]
        on_artefacts = ""
        if evidence.shares is not None:
            part = evidence.shares[
                (evidence.shares["arm"] == arm)
                & (evidence.shares["region"] == "artefacts")
                & (evidence.shares["method"] == "grad_ram")
            ]
            if part["area"].any():
                on_artefacts = f"{find_densities(part)['artefacts'].iloc[0]:.2f}"
        mae = _format(*pick(evidence.comparison, arm, "mae"), 2)
        noisy = f"{100 * noise:g} %"
        rows.append([kind.upper(), noisy, _format(mean, sd, 2), mae, on_artefacts])
    if len(rows) < 2:
        return None
    unit = show_unit(_unit_of(evidence, next(iter(cells.values()))[0]))
    columns = [
        "penalty", "noise", "MAPE / %", f"MAE / {unit}",
        "Grad-RAM per area on artefacts",
    ]  # fmt: skip
    return show_table(pd.DataFrame(rows, columns=columns))


def show_data(evidence: RegressionEvidence) -> ShownTable | None:
    """Images, electrodes and mean capacities per porosity."""
    manifest = evidence.manifest
    targets = [c for c in manifest.columns if str(c).startswith("capacity_")]
    rows = []
    for name in sorted(set(manifest["class"]), key=float_or_zero, reverse=True):
        part = manifest[manifest["class"] == name]
        cells = [name, str(part["specimen_id"].nunique()), str(len(part))]
        rows.append([*cells, *(f"{part[t].mean():.0f}" for t in targets)])
    titles = [f"{read_target(t)[0]:g}C / {show_unit(read_target(t)[1])}" for t in targets]
    columns = ["porosity / %", "electrodes", "images", *titles]
    return show_table(pd.DataFrame(rows, columns=columns))


def float_or_zero(name: object) -> float:
    """Return a name as a number, 0 if it is none."""
    try:
        return float(str(name))
    except ValueError:
        return 0.0


def _unit_of(evidence: RegressionEvidence, arm: str) -> str:
    return str(evidence.plan.arms[arm].recipe.model.outputs)


def _say_folds(evidence: RegressionEvidence, arm: str) -> str:
    """Return the lowest and the highest MAPE of the arm's fits."""
    mine = evidence.images[(evidence.images["arm"] == arm) & (evidence.images["role"] == "test")]
    values = [fit["mape"] for fit in measure_fits(mine)]
    return f"{min(values):.2f} and {max(values):.2f}" if len(values) > 1 else ""


def _paper(evidence: RegressionEvidence, arm: str, metric: str, digits: int) -> str:
    for value in evidence.settings.evaluate.paper:
        if (value.arm, value.metric, value.target, value.domain) == (arm, metric, "", ""):
            return f"{value.value:.{digits}f}"
    return ""


def _format(mean: float, sd: float, digits: int) -> str:
    if not np.isfinite(mean):
        return ""
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if np.isfinite(sd) else "")
