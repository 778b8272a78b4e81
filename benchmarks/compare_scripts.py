"""Train with Batteryscope, with a plain PyTorch script and with fastai: same images, same recipe.

Each program trains in a process of its own, one after the other for every seed. What is finished is
kept in a folder per recipe, so that the same command goes on where it was stopped. Example:
python -m benchmarks.compare_scripts --data data/raw/sem_ncm --data-bar 64 --seeds 3
``--head-sd 0.01`` and ``--fixed-crops N`` let the others do what Batteryscope always does.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measurement import (
    Measurement,
    Round,
    Timing,
    format_table,
    summarise,
)

NAMES = {"plain": "the plain script", "fastai": "fastai"}
COMMAND = [sys.executable, "-m", "benchmarks.run_contender"]
ANSWERS = 2  # renewed when a fit is answered with more than before: older ones are not read
# For `make bench`: 128 generated frames, 64 of which are tested, and an input small enough.
DEMO_IMAGES_PER_CLASS = 32
DEMO = {
    "data-bar": 64,
    "crop-px": 300,
    "input-px": 64,
    "backbone": "tf_efficientnet_lite0",
    "learning-rate": 1e-3,
    "epochs": 2,
    "crops": 480,
    "batch": 16,
    "test-fraction": 0.5,
    "validation-fraction": 0.125,
    "seeds": 3,
}
Result = dict[str, Any]


class ContenderError(Exception):
    """A process that trains has ended before its time."""


def make_parser() -> argparse.ArgumentParser:
    """Recipe of the plain script, division of the images, and what is compared."""
    from benchmarks import plain_script

    shown = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown)
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="fits of every program")
    add("--seed", type=int, default=0, help=argparse.SUPPRESS)  # of one fit, in a request
    add("--only", action="append", choices=list(NAMES), help="compare with this one (repeatable)")
    add("--scheme", default="holdout", choices=["holdout", "ordered"], help="of the division")
    add("--test-fraction", type=float, default=0.2, help="of the images")
    add("--validation-fraction", type=float, default=0.1, help="of the others")
    add("--freeze", type=int, default=0, help="first layer groups that ours leaves as they are")
    add("--work", type=Path, default=Path("work/compare_scripts"), help="where results are kept")
    plain_script.add_recipe(parser)
    parser.set_defaults(rise=0.2)  # as Batteryscope's cycle
    return parser


def measure(folder: Path) -> list[Measurement]:
    """Compare on generated frames, for `make bench`."""
    from batteryscope.config.picture_generators import SemTopViewGenerator
    from batteryscope.demo.write_dataset import generate_dataset

    frames = folder / "frames_to_learn"
    settings = SemTopViewGenerator(
        images_per_class=DEMO_IMAGES_PER_CLASS, width_px=1280, height_px=960, states=["pristine"]
    )
    generate_dataset(settings, frames)
    argv = ["--data", str(frames), "--work", str(folder / "compare_scripts")]
    argv += [f"--{key}={value}" for key, value in DEMO.items()]
    return compare(argv, choose_others(list(NAMES)))


def choose_others(
    names: Sequence[str], standardise: bool = False, fixed_crops: int = 0
) -> list[str]:
    """Leave out what is not installed or cannot follow the recipe, and say so."""
    from benchmarks.fastai_script import HOW_TO_INSTALL, is_installed

    why = ""
    if standardise:
        why = "fastai is left out, since it has no standardising of every crop by itself."
    elif fixed_crops:
        why = "fastai is left out, since it cuts new crops at every step."
    elif not is_installed():
        why = HOW_TO_INSTALL
    if "fastai" in names and why:
        print(why, file=sys.stderr)
        return [name for name in names if name != "fastai"]
    return list(names)


def compare(argv: Sequence[str], others: Sequence[str]) -> list[Measurement]:
    """Train with every program and seed that has no result yet; return the rows of the table."""
    arguments = make_parser().parse_args(argv)
    folder = arguments.work / name_recipe(arguments)
    folder.mkdir(parents=True, exist_ok=True)
    results = read_results(folder)
    wanted = ["ours", *others]
    busy = [n for n in wanted if any((n, seed) not in results for seed in range(arguments.seeds))]
    with start_contenders(busy, folder) as contenders:
        names = [name for name in wanted if name in contenders or name not in busy]
        if ("prepare", 0) not in results:
            ask(contenders["ours"], "prepare", argv, folder, results, 0)
        for seed in range(arguments.seeds):
            turn = seed % len(names)
            for name in [*names[turn:], *names[:turn]]:
                if (name, seed) not in results:
                    ask(contenders[name], name, argv, folder, results, seed)
    return [row for name in names[1:] for row in tabulate(results, name, arguments)]


def name_recipe(arguments: argparse.Namespace) -> str:
    """Name what results depend on, but for the seed, so that other recipes lie elsewhere."""
    from batteryscope.provenance import digest_json, digest_training_code

    ignored = ("seed", "seeds", "only", "work")
    values = {key: str(value) for key, value in vars(arguments).items() if key not in ignored}
    return f"{arguments.backbone}_{digest_json([values, digest_training_code(), ANSWERS])[:8]}"


@contextmanager
def start_contenders(
    names: Sequence[str], folder: Path
) -> Iterator[dict[str, "subprocess.Popen[str]"]]:
    """Start a process for each program and wait until it has imported; they end with the block.

    A fastai that does not import (it was made for another PyTorch, say) is left out.
    """
    processes: dict[str, subprocess.Popen[str]] = {}
    try:
        for name in names:
            with (folder / f"{name}.log").open("w", encoding="utf-8") as log:
                processes[name] = subprocess.Popen(
                    [*COMMAND, name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            try:
                read_answer(processes[name], folder / f"{name}.log")
            except ContenderError as error:
                if name != "fastai":
                    raise
                print(f"fastai is left out: {error}", file=sys.stderr)
                del processes[name]
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
            process.communicate()


def ask(
    process: "subprocess.Popen[str]",
    name: str,
    argv: Sequence[str],
    folder: Path,
    results: dict[tuple[str, int], Result],
    seed: int,
) -> None:
    """Let a process prepare or train, and keep what it answers."""
    task = "prepare" if name == "prepare" else "fit"
    request = {"task": task, "folder": str(folder), "argv": [*argv, f"--seed={seed}"]}
    assert process.stdin is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    log = folder / f"{'ours' if task == 'prepare' else name}.log"
    results[name, seed] = read_answer(process, log)
    partial = folder / "result.partial"
    partial.write_text(json.dumps(results[name, seed]) + "\n", encoding="utf-8")
    partial.replace(folder / f"{name}_{seed}.json")


def read_answer(process: "subprocess.Popen[str]", log: Path) -> Result:
    """Wait for the next line of a process."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()  # until it has said why
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise ContenderError(f"{log}: the program has ended: {' '.join(last)}")
    return json.loads(line)


def read_results(folder: Path) -> dict[tuple[str, int], Result]:
    """Read what earlier runs have finished."""
    results = {}
    for path in folder.glob("*_*.json"):
        name, seed = path.stem.split("_")
        results[name, int(seed)] = json.loads(path.read_text(encoding="utf-8"))
    return results


def tabulate(
    results: dict[tuple[str, int], Result], name: str, arguments: argparse.Namespace
) -> list[Measurement]:
    """Return three rows: an epoch, the whole with preparation, and the accuracy."""
    seeds = range(arguments.seeds)
    ours, other = ([results[who, seed] for seed in seeds] for who in ("ours", name))
    preparation = Timing(*results["prepare", 0]["whole"])

    def with_preparation(fit: Result) -> Timing:
        wall_s, cpu_s = fit["whole"]
        return Timing(wall_s + preparation.wall_s, cpu_s + preparation.cpu_s)

    pairs = list(zip(ours, other, strict=True))
    epochs = [Round(Timing(*a["epoch"]), Timing(*b["epoch"])) for a, b in pairs]
    wholes = [Round(with_preparation(a), Timing(*b["whole"])) for a, b in pairs]
    n = arguments.crops // arguments.batch * arguments.batch
    label, floor = f"train, against {NAMES[name]}", f"the same recipe with {NAMES[name]}"
    return [
        summarise(f"{label}: an epoch", "crops/s", n, epochs, floor),
        summarise(
            f"{label}: preparation and {arguments.epochs} epochs",
            "crops/s",
            n * arguments.epochs,
            wholes,
            floor,
        ),
        compare_accuracy(f"{label}: accuracy", NAMES[name], pairs, floor),
    ]


def compare_accuracy(
    name: str, other_name: str, pairs: Sequence[tuple[Result, Result]], floor_is: str
) -> Measurement:
    """Make a row of test images right, mean over the seeds, with intervals in its note.

    All fits judge the same images, so that an interval is that of as many images as there are,
    however many seeds.

    Parameters
    ----------
    name
        Of the row.
    other_name
        Whom ours is compared with.
    pairs
        Answers of both to every seed.
    floor_is
        What the other one does.
    """
    from batteryscope.evaluation.metrics import find_wilson_interval
    from batteryscope.evaluation.paired import find_difference_interval

    n = pairs[0][0]["tested"]
    means, said = [], []
    for who, side in zip(("ours", other_name), zip(*pairs, strict=True), strict=True):
        counts = [fit["right"] for fit in side]
        means.append(statistics.mean(counts))
        low, high = (100 * end for end in find_wilson_interval(means[-1] / n, n))
        listed = ", ".join(map(str, counts))
        share = f"{100 * means[-1] / n:.1f} %, 95 % interval {low:.1f} to {high:.1f} %"
        said.append(f"{who} {listed} of {n} images right ({share})")
    missed = [(set(a["wrong"]), set(b["wrong"])) for a, b in pairs]
    neither, only_ours, only_other = (
        sum(len(images) for images in sets) / len(pairs)
        for sets in zip(*((a & b, b - a, a - b) for a, b in missed), strict=True)
    )
    both = n - neither - only_ours - only_other
    low, high = (100 * e for e in find_difference_interval(both, only_ours, only_other, neither))
    gain = f"{100 * (means[0] - means[1]) / n:+.1f} points ({low:+.1f} to {high:+.1f})"
    ratios = [_divide(a["right"], b["right"]) for a, b in pairs]
    return Measurement(
        name=name,
        unit="images right",
        ours=means[0],
        floor=means[1],
        ratio=_divide(*means),
        lowest=min(ratios),
        highest=max(ratios),
        cpu_ratio=None,
        n=n,
        rounds=len(pairs),
        floor_is=floor_is,
        note=f"{'; '.join(said)}; difference {gain}.",
    )


def _divide(ours: float, other: float) -> float:
    return ours / other if other else math.inf


def describe_fits(results: dict[tuple[str, int], Result]) -> str:
    """Return a line for every fit: seconds, losses, accuracy and mistakes."""
    lines = []
    for (name, seed), row in sorted(results.items()):
        wall_s, cpu_s = row["whole"]
        if name == "prepare":
            lines.append(f"preparation: {wall_s:.1f} s ({cpu_s:.1f} s CPU), {row['images']} images")
            continue
        losses = " ".join(f"{loss:.2f}" for loss in row["losses"])
        mistakes = "; ".join(f"{n} {pair}" for pair, n in row["mistakes"].items())
        lines.append(
            f"{name}, seed {seed}: epoch {row['epoch'][0]:.1f} s ({row['epoch'][1]:.1f} s CPU), "
            f"whole {wall_s:.1f} s, loss {losses}, {row['right']} of {row['tested']} right"
            + (f" ({mistakes})" if mistakes else "")
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare on a folder of images, and print every fit and the table."""
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = make_parser().parse_args(argv)
    try:
        wanted = arguments.only or list(NAMES)
        others = choose_others(wanted, arguments.standardise, arguments.fixed_crops)
        rows = compare(argv, others)
    except ContenderError as error:
        print(error, file=sys.stderr)
        return 1
    print(describe_fits(read_results(arguments.work / name_recipe(arguments))))
    print(format_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
