"""Apply a bundle to a labelled data set from elsewhere and score it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log, show_progress
from batteryscope.core.safe_text import guard_table
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="for example models/<study>")
    parser.add_argument("--manifest", type=Path, required=True, help="of the external data set")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of its images")
    parser.add_argument(
        "--label-columns", nargs="+", default=[], help="of models of classes (default: all)"
    )
    parser.add_argument("--predictions", type=Path, required=True, help="table to write (.csv)")
    parser.add_argument("--metrics", type=Path, required=True, help="table to write (.csv)")
    parser.add_argument("--flat", type=Path, required=True, help="metrics by name to write (.json)")
    return run_program(evaluate, parser, argv, heavy=True)


def evaluate(arguments: argparse.Namespace) -> None:
    """Predict as for unlabelled images, refuse images of the training, score."""
    import json

    import pandas as pd

    from batteryscope.bundle.covariates import take_given
    from batteryscope.bundle.external import refuse_seen
    from batteryscope.bundle.open import find_judge
    from batteryscope.core.named_function import load_function
    from batteryscope.evaluation.forward import choose_device

    open_external = load_function(find_judge(arguments.bundle), "open_external")
    external = open_external(arguments.bundle, arguments.label_columns, choose_device())
    external.bundle.answer_anyway = True  # its scores are of all images, as they were asked for
    manifest = pd.read_parquet(arguments.manifest)
    external.check(manifest)
    external.bundle.given = take_given(manifest, external.bundle.record.covariates)
    files = manifest["path"].tolist()
    rows = refuse_seen(external.bundle.predict_files(files, arguments.dataset))
    progress = show_progress(rows, "predicting external images", total=len(files), unit="image")
    predicted = pd.DataFrame(progress, columns=external.bundle.columns)
    table = external.join(predicted, manifest)
    guard_table(table).to_csv(arguments.predictions, index=False, lineterminator="\n")

    judged = table[table["status"] == "ok"]
    scores = external.score(judged, manifest)
    scores.round(6).to_csv(arguments.metrics, index=False, lineterminator="\n")
    text = json.dumps(external.flatten(scores), indent=1, ensure_ascii=False) + "\n"
    arguments.flat.write_text(text, encoding="utf-8")
    for line in external.describe(scores):
        log.info("%s", line)
    if rejected := len(table) - len(judged):
        log.warning(
            "%d of %d external images could not be judged; see %s.",
            rejected,
            len(table),
            arguments.predictions,
        )


if __name__ == "__main__":
    sys.exit(main())
