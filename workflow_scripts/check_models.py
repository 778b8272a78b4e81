"""Check, before any long work, that all networks exist and their weights can be had."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.command_line import log, make_parser, run_program
from batteryscope.config.base import validate_settings
from batteryscope.config.learning import ModelSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--models", type=Path, required=True, help="model settings by stage (JSON file)"
    )
    parser.add_argument("--out", type=Path, required=True)
    return run_program(check, parser, argv)


def check(arguments: argparse.Namespace) -> None:
    """Build every network once, with two classes."""
    from batteryscope.models.classifier import build_classifier

    found = {}
    for name, values in json.loads(arguments.models.read_text(encoding="utf-8")).items():
        settings = validate_settings(ModelSettings, values, f"model of {name}")
        model = build_classifier(settings, ["a", "b"], input_px=96, seed=0)
        found[name] = {"backbone": settings.backbone, "parameters": model.n_parameters}
        log.info("%s: %s, %s weights", name, settings.backbone, f"{model.n_parameters:,}")
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
