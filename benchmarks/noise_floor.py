"""The lowest error that any model of the generated tables can have: that of the law itself.

Example: python -m benchmarks.noise_floor --study electrode_manufacturing
Example: python -m benchmarks.noise_floor --study gdl_tortuosity --draws 12
Example: python -m benchmarks.noise_floor --finished work/electrode_manufacturing

Electrodes: the same rows are made without noise. Gas diffusion layers: each is drawn anew several
times from its parameters, and the mean of the draws stands for the law; the error is corrected for
the few draws of that mean. Settings are those of the demo in params.yaml. ``--finished`` puts the
law in the place of the main arm of a finished study of electrodes: which baselines would it beat?
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.config.project import load_project
from batteryscope.config.table_data import GdlGenerator, ManufacturingGenerator
from batteryscope.config.table_study import TableStudySettings
from batteryscope.demo.gdl_dataset import list_jobs, simulate_sample
from batteryscope.demo.manufacturing import make_electrodes
from batteryscope.errors import InputError
from batteryscope.evaluation.predictions import is_baseline
from batteryscope.seeds import derive_seed
from batteryscope.tables.compare import compare_pairs, find_left_out_ratios
from batteryscope.tables.split_rows import find_row_groups

ROOT = Path(__file__).resolve().parent.parent


def measure_manufacturing(settings: ManufacturingGenerator, targets: Sequence[str]) -> pd.DataFrame:
    """Return the absolute percentage error of the law in every row: ``domain, target, error``."""
    parts = []
    for chemistry in settings.rows:
        told = make_electrodes(chemistry, settings)
        law = make_electrodes(chemistry, settings.model_copy(update={"noise": 0.0}))
        for target in targets:
            errors = 100 * (law[target] - told[target]).abs() / told[target]
            parts.append(pd.DataFrame({"domain": chemistry, "target": target, "error": errors}))
    return pd.concat(parts)


def compare_law(settings: TableStudySettings, finished: Path) -> pd.DataFrame:
    """Return how the law would be judged in the place of the main arm, by target and domain.

    Parameters
    ----------
    settings
        Of the study; its rows are generated electrodes.
    finished
        Its folder in ``work/``, with rows, divisions and predictions.
    """
    generator = settings.dataset.generator
    assert isinstance(generator, ManufacturingGenerator)
    features, targets = list(settings.dataset.features), list(settings.dataset.targets)
    manifest = pd.read_parquet(finished / "data" / "manifest.parquet")
    split = pd.read_parquet(finished / "splits" / "split.parquet")
    predictions = pd.read_parquet(finished / "comparison" / "predictions.parquet")
    quiet = generator.model_copy(update={"noise": 0.0})
    laws = []
    for chemistry in generator.rows:
        law = make_electrodes(chemistry, quiet)[targets].add_prefix("law_")
        laws.append(make_electrodes(chemistry, generator).join(law))
    keys = ["domain", *features, *targets]
    told = manifest.merge(pd.concat(laws), on=keys, how="left", validate="one_to_one")
    said = told.set_index("sample_id")[[f"law_{target}" for target in targets]]
    if said.isna().to_numpy().any():
        raise InputError(f"{finished}: its rows are not those of params.yaml; run the study first.")
    judged = predictions["arm"] == settings.main_arm
    places = zip(predictions["sample_id"][judged], predictions["target"][judged], strict=True)
    predictions.loc[judged, "y_pred"] = [said.loc[row, f"law_{target}"] for row, target in places]
    ratios = find_left_out_ratios(split, manifest.set_index("sample_id")["domain"])
    groups = find_row_groups(manifest, features)
    pairs = compare_pairs(predictions, settings.main_arm, ratios, groups)
    mine = pairs[(pairs["first"] == settings.main_arm) & pairs["second"].map(is_baseline)]
    columns = ["second", "first_mean", "second_mean", "mean", "low", "high", "p_holm", "outcome"]
    return mine.set_index(["target", "domain"])[columns].round(3)


def measure_layers(settings: GdlGenerator, targets: Sequence[str], draws: int) -> pd.DataFrame:
    """Return the same of layers that are drawn anew; they have a single target."""
    (target,) = targets
    lines = []
    for job in list_jobs(settings):
        given = (job.parameters, job.size_um, job.voxel_size_um)
        told = float(simulate_sample(*given, job.seed)[target])
        seeds = [derive_seed(job.seed, "another draw", number) for number in range(draws)]
        others = [float(simulate_sample(*given, seed)[target]) for seed in seeds]
        # The variance of the difference is larger by that of the mean of the other draws.
        error = abs(np.mean(others) - told) / told / np.sqrt(1 + 1 / draws)
        lines.append({"domain": job.domain, "target": target, "error": 100 * error})
    return pd.DataFrame(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the mean error of the law, by domain and target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="electrode_manufacturing")
    parser.add_argument("--draws", type=int, default=12, help="of every layer")
    parser.add_argument("--domain", help="only this one")
    parser.add_argument("--finished", type=Path, metavar="DIR", help="a study in work/")
    arguments = parser.parse_args(argv)
    settings = load_project(ROOT / "params.yaml").studies[arguments.study]
    assert isinstance(settings, TableStudySettings)
    generator, targets = settings.dataset.generator, list(settings.dataset.targets)
    assert generator is not None
    if arguments.finished:
        print(compare_law(settings, arguments.finished).to_string())
        return 0
    if arguments.domain:
        rows = {arguments.domain: generator.rows[arguments.domain]}
        generator = generator.model_copy(update={"rows": rows})
    if isinstance(generator, GdlGenerator):
        errors = measure_layers(generator, targets, arguments.draws)
    else:
        errors = measure_manufacturing(generator, targets)
    print(errors.groupby(["target", "domain"])["error"].agg(["mean", "count"]).round(3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
