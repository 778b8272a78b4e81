"""Check, before any long work, that devices, network and weights can be had."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--settings", required=True, help="network and training (JSON text or file)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="note of what was checked (JSON) to write"
    )
    return run_program(check, parser, argv, heavy=True)


def check(arguments: argparse.Namespace) -> None:
    """Look for the devices and build the network once, with two classes."""
    from batteryscope.plan import NetworkCheck

    wanted = read_settings(NetworkCheck, arguments.settings)
    from batteryscope.models.classifier import build_classifier
    from batteryscope.models.layer_groups import group_trained_parameters
    from batteryscope.training.devices import check_devices

    check_devices(wanted.train)
    settings = wanted.model
    model = build_classifier(settings, ["a", "b"], input_px=96, seed=0)
    if wanted.train.unfreeze_every_epochs is not None or wanted.train.layer_decay < 1:
        group_trained_parameters(model.backbone)
    origin = model.pretrained
    found = {
        "backbone": settings.backbone,
        "parameters": model.n_parameters,
        "pretrained": origin.model_dump() if origin else None,
    }
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    log.info(
        "%s with weights from %s, %s parameters",
        settings.backbone,
        origin.describe() if origin else "the random generator",
        f"{model.n_parameters:,}",
    )


if __name__ == "__main__":
    sys.exit(main())
