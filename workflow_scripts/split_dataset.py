"""Divide the samples into training, validation and test parts, and look for leaks."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.core.progress import log
from batteryscope.workflow.command_line import make_parser, run_program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = make_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="sample table (parquet)")
    parser.add_argument(
        "--frames", type=Path, required=True, help="measurements per frame (parquet)"
    )
    parser.add_argument("--settings", required=True, help="split settings as JSON text or file")
    parser.add_argument("--split", type=Path, required=True, help="roles (parquet) to write")
    parser.add_argument("--audit", type=Path, required=True, help="what was checked (JSON)")
    return run_program(_split, parser, argv)


def _split(arguments: argparse.Namespace) -> None:
    from batteryscope.config.split import SplitSettings
    from batteryscope.manifest.frames import get_thumbnails, read_frames
    from batteryscope.manifest.schema import read_manifest
    from batteryscope.splits.assign import split_samples
    from batteryscope.splits.audit import audit_split
    from batteryscope.splits.groups import find_groups, merge_groups
    from batteryscope.splits.near_duplicates import find_overlaps, select_near_duplicates
    from batteryscope.splits.order import order_samples
    from batteryscope.splits.slices import holds_slices, pair_neighbours, warn_of_straddling

    settings = read_settings(SplitSettings, arguments.settings)
    manifest = read_manifest(arguments.manifest)
    groups = find_groups(manifest, settings.group)
    frames = read_frames(arguments.frames, manifest)
    if holds_slices(manifest):
        pairs = pair_neighbours(manifest)
    else:
        pairs = find_overlaps(get_thumbnails(frames), frames["sample_id"].tolist())
    if settings.near_duplicates == "group":
        twins = select_near_duplicates(pairs, settings.near_duplicate_share)
        groups = merge_groups(groups, twins)
    split = split_samples(manifest, groups, settings)
    # Who asks for slices one by one gets them, and a warning instead of an error.
    by_slice = settings.group == "slice"
    treatment = "ignore" if by_slice else settings.near_duplicates
    audit = audit_split(split, manifest, pairs, treatment, settings.near_duplicate_share)
    if by_slice and (text := warn_of_straddling(split, manifest)):
        audit["warnings"] = [text]
    if settings.scheme == "ordered" and (unknown := order_samples(manifest)[1]):
        audit["warnings"].append(
            f"The time of acquisition is not known for all images of {', '.join(unknown)}; "
            "these classes were ordered by file name."
        )

    for path in (arguments.split, arguments.audit):
        path.parent.mkdir(parents=True, exist_ok=True)
    split.to_parquet(arguments.split, index=False)
    text = json.dumps(audit, ensure_ascii=False, indent=1)
    arguments.audit.write_text(text + "\n", encoding="utf-8")
    for warning in audit["warnings"]:
        log.warning("%s", warning)
    first = split[(split["repeat"] == 0) & (split["fold"] == 0)]
    sizes = ", ".join(f"{n} {role}" for role, n in first["role"].value_counts().items())
    log.info("%d groups; first fold: %s images", audit["groups"], sizes)


if __name__ == "__main__":
    sys.exit(main())
