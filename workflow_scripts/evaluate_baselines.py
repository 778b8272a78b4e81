"""Predict the test images without looking at shapes: majority, grey levels, metadata."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import add_where, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument(
        "--frames", type=Path, required=True, help="measurements per frame (parquet)"
    )
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    parser.add_argument("--tiles", type=Path, help="tile store of measured slices")
    add_where(parser)
    parser.add_argument("--settings", required=True, help="evaluation settings as JSON")
    parser.add_argument("--seed", type=int, default=1, help="of the fits (default: 1)")
    parser.add_argument("--threads", type=int, default=2, help="of the fits (default: 2)")
    parser.add_argument("--out", type=Path, required=True, help="predictions table (parquet)")
    parser.add_argument("--shortcuts", type=Path, help="the same by cues of shortcuts (parquet)")
    return run_program(evaluate, parser, argv)


def evaluate(arguments: argparse.Namespace) -> None:
    """Run the wanted baselines; the table is empty if none is wanted."""
    import pandas as pd

    from batteryscope.config.evaluate import EvaluateSettings
    from batteryscope.evaluation.baselines import predict_baselines
    from batteryscope.evaluation.sample_features import FeatureSources
    from batteryscope.evaluation.shortcut_cues import predict_from_cues
    from batteryscope.manifest.frames import read_frames
    from batteryscope.manifest.select import keep_samples, select_samples

    settings = read_settings(EvaluateSettings, arguments.settings)
    wanted = settings.baselines
    manifest = pd.read_parquet(arguments.manifest)
    frames = read_frames(arguments.frames, manifest)
    where = json.loads(arguments.where)
    split = keep_samples(pd.read_parquet(arguments.split), manifest, where)
    manifest = select_samples(manifest, where)
    sources = FeatureSources(manifest, frames, arguments.tiles)
    predictions = predict_baselines(sources, split, wanted, arguments.seed, arguments.threads)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(arguments.out, index=False)
    if arguments.shortcuts is not None:
        cues = predictions[:0]
        if settings.shortcut_audit:
            seed, threads = arguments.seed, arguments.threads
            cues = predict_from_cues(manifest, split, frames, predictions, seed, threads)
        cues.to_parquet(arguments.shortcuts, index=False)
    log.info("%d baseline predictions for %d images", len(predictions), len(manifest))


if __name__ == "__main__":
    sys.exit(main())
