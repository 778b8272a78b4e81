"""Ask an arm's networks about test tiles that are otherwise than those that they learnt from."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.core.progress import log
from batteryscope.workflow.command_line import add_where, make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet)")
    add_where(parser)
    parser.add_argument("--tiles", type=Path, required=True, help="folder of the tile store")
    parser.add_argument("--fits", type=Path, nargs="+", required=True, help="parts of the stage")
    parser.add_argument(
        "--treatments", type=json.loads, required=True, help="JSON: name of a test → grey levels"
    )
    parser.add_argument("--audit", default="", help="name of the arm, for the shortcut audit")
    parser.add_argument("--seed", type=int, default=1, help="of the audit (default: 1)")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu or gpu")
    parser.add_argument("--predictions", type=Path, required=True, help="table (parquet) to write")
    return run_program(evaluate, parser, argv, heavy=True)


def evaluate(arguments: argparse.Namespace) -> None:
    """Predict the test tiles of every fit in every other way."""
    import pandas as pd

    from batteryscope.evaluation.forward import choose_device, load_fit
    from batteryscope.evaluation.predict_mismatched import predict_mismatched, predict_perturbed
    from batteryscope.evaluation.predictions import KEYS, PREFIX
    from batteryscope.manifest.select import keep_samples
    from batteryscope.tilestore import TileStore

    manifest, split = pd.read_parquet(arguments.manifest), pd.read_parquet(arguments.split)
    roles = keep_samples(split, manifest, json.loads(arguments.where))
    store, device = TileStore.open(arguments.tiles), choose_device(arguments.accelerator)
    columns = [*KEYS, *[PREFIX + name for name in sorted(manifest["class"].unique())]]
    tables, asked = [], arguments.treatments
    for folder in sorted(fit for part in arguments.fits for fit in part.glob("r*_f*")):
        record = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
        own = (roles["repeat"] == record["repeat"]) & (roles["fold"] == record["fold"])
        is_audited = bool(arguments.audit) and record["repeat"] == roles["repeat"].min()
        if not asked and not is_audited:
            continue
        model = load_fit(folder).to(device)
        if asked:
            tables.append(predict_mismatched(model, store, manifest, roles[own], asked))
        if is_audited:
            arm, seed = arguments.audit, arguments.seed
            tables.append(predict_perturbed(model, store, manifest, roles[own], arm, seed))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    found.to_parquet(arguments.predictions, index=False)
    told = [*asked, *(["shortcut audit"] if arguments.audit else [])]
    log.info("Networks tested otherwise than they were trained: %s.", ", ".join(told))


if __name__ == "__main__":
    sys.exit(main())
