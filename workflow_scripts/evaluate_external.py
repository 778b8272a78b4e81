"""Apply a bundle to a labelled data set from elsewhere and score it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.command_line import log, make_parser, run_program, show_progress


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="for example models/<study>")
    parser.add_argument("--manifest", type=Path, required=True, help="of the external data set")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of its images")
    parser.add_argument("--label-columns", nargs="+", help="default: those of the bundle")
    parser.add_argument("--predictions", type=Path, required=True, help="table to write (.csv)")
    parser.add_argument("--metrics", type=Path, required=True, help="table to write (.csv)")
    return run_program(evaluate, parser, argv, heavy=True)


def evaluate(arguments: argparse.Namespace) -> None:
    """Predict as for unlabelled images, refuse images of the training, score."""
    import pandas as pd

    from batteryscope.bundle.external import check_label_columns, join_predictions, refuse_seen
    from batteryscope.bundle.read import load_bundle
    from batteryscope.evaluation.external import score_external
    from batteryscope.evaluation.forward import choose_device

    bundle = load_bundle(arguments.bundle, choose_device())
    manifest = pd.read_parquet(arguments.manifest)
    label_columns = arguments.label_columns or bundle.record.label_columns
    check_label_columns(label_columns, bundle.record)
    files = manifest["path"].tolist()
    rows = refuse_seen(bundle.predict_files(files, arguments.dataset))
    progress = show_progress(rows, "predicting external images", total=len(files), unit="image")
    table = join_predictions(pd.DataFrame(progress, columns=bundle.columns), manifest)
    table.to_csv(arguments.predictions, index=False, lineterminator="\n")

    judged = table[table["status"] == "ok"]
    scores = score_external(judged, manifest, bundle.class_labels, label_columns)
    scores.round(6).to_csv(arguments.metrics, index=False, lineterminator="\n")
    for score in scores[scores["group"] == ""].to_dict("records"):
        target = score["target"] or "all label columns together"
        log.info("%s: %.1f %% of %d external images.", target, 100 * score["accuracy"], score["n"])
    if rejected := len(table) - len(judged):
        log.warning(
            "%d of %d external images could not be judged; see %s.",
            rejected,
            len(table),
            arguments.predictions,
        )


if __name__ == "__main__":
    sys.exit(main())
