"""What a crop can tell at best: capacity from the true porosity of the crop and of all its coating.

Example: python -m benchmarks.crop_limit work/rate_capability

For generated cross-sections, whose phases are known. A polynomial from porosity to capacity is
fitted on four fifths of the electrodes and tested on the others; the mean absolute percentage error
is what remains to somebody who counts every pore. Needs the folder of a study that has run.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

DEGREE, FOLDS = 4, 5


def count_porosity(study: Path, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the porosity in the middle crop and in the whole coating of every picture."""
    from batteryscope.config.preprocess import CoatingCropSettings
    from batteryscope.demo.cross_section_phases import COLLECTOR, PORE, RESIN
    from batteryscope.preprocess.coating_crop import locate_coating
    from batteryscope.preprocess.coating_region import cut_centre, cut_out, straighten

    # Those of the latest run: with which crops the networks were trained and judged.
    written = sorted((study / "settings").glob("tiles-*.json"), key=lambda p: p.stat().st_mtime)
    settings, rows = CoatingCropSettings.model_validate_json(written[-1].read_text()), {}
    size = settings.crop_height_px, settings.crop_width_px
    for sample in manifest.itertuples():
        path = study / "data" / "images" / str(sample.path)
        with Image.open(path) as picture:
            located = locate_coating(np.asarray(picture), settings)
        with Image.open(study / "data" / "images" / ".phases" / str(sample.path)) as picture:
            phases = np.asarray(picture)
        middle = cut_centre(located.rectangle, *size)
        assert middle is not None
        crop = cut_out(straighten(phases, located.edge, order=0), middle)
        coating = phases[~np.isin(phases, (COLLECTOR, RESIN))]
        rows[sample.sample_id] = {
            "crop": (crop == PORE).mean(),
            "coating": (coating == PORE).mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def main(argv: Sequence[str] | None = None) -> int:
    """Count, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of the study, with its data")
    arguments = parser.parse_args(argv)

    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    manifest = pd.read_parquet(arguments.study / "data" / "manifest.parquet")
    porosity = count_porosity(arguments.study, manifest).loc[manifest["sample_id"]]
    targets = [c for c in manifest if str(c).startswith("capacity_")]
    for seen in porosity:
        for unit in sorted({str(t).split("c_", 1)[1] for t in targets}):
            truth = manifest[[t for t in targets if str(t).endswith(unit)]].to_numpy(float)
            model = make_pipeline(PolynomialFeatures(DEGREE), LinearRegression())
            predicted = cross_val_predict(
                model,
                porosity[[seen]].to_numpy(),
                truth,
                groups=manifest["specimen_id"],
                cv=GroupKFold(FOLDS),
            )
            percent = 100 * (np.abs(predicted - truth) / truth).mean()
            print(f"{seen:8s} {unit}: MAPE {percent:.2f} %, n = {len(truth)} pictures")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
