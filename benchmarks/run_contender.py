"""A process that trains with one program, over and over; started by ``compare_scripts.py``.

Each line of its input is a request in JSON, each line of its output the answer. Whatever the
programs print goes to the standard error.
"""

import argparse
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from benchmarks.measurement import Timing, read_clocks, subtract

Request = dict[str, Any]


class Stopwatch:
    """Reads wall and processor time, that of living child processes included."""

    def __init__(self) -> None:
        self.start = self.read()
        self.epochs: list[Timing] = []

    @staticmethod
    def read() -> Timing:
        """Return both clocks now."""
        import psutil

        own = read_clocks()
        cpu_s = own.cpu_s
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has ended in the meantime
                times = child.cpu_times()
                cpu_s += times.user + times.system
        return Timing(own.wall_s, cpu_s)

    def end_epoch(self, _epoch: int) -> None:
        """Note the end of an epoch."""
        self.epochs.append(self.read())

    def take_whole(self) -> Timing:
        """Return the time until now."""
        return subtract(self.read(), self.start)

    def take_epoch(self) -> Timing:
        """Return the mean time of the epochs after the first, or of the first if it is alone.

        The first pays for starting processes and for the first use of the network.
        """
        moments = self.epochs if len(self.epochs) > 1 else [self.start, *self.epochs]
        between, n = subtract(moments[-1], moments[0]), len(moments) - 1
        return Timing(between.wall_s / n, between.cpu_s / n)


def make_ours() -> Callable[[argparse.Namespace, Request], dict[str, Any]]:
    """Batteryscope; also prepares what all contenders need."""
    import lightning.pytorch  # noqa: F401  (imported before the clock starts, as everything is)
    import timm  # noqa: F401

    from batteryscope.evaluation import forward  # noqa: F401
    from batteryscope.preprocess import cut_dataset  # noqa: F401
    from batteryscope.training import stage  # noqa: F401
    from benchmarks import our_recipe

    def work(arguments: argparse.Namespace, request: Request) -> dict[str, Any]:
        folder = Path(request["folder"])
        watch = Stopwatch()
        if request["task"] == "prepare":
            prepared = our_recipe.prepare(arguments, folder)
            return {"whole": watch.take_whole(), "images": len(prepared.manifest)}
        prepared = our_recipe.find_prepared(folder)
        fit = folder / f"fit_{arguments.seed}"
        losses = our_recipe.train_model(arguments, prepared, fit, watch.end_epoch)
        times = {"whole": watch.take_whole(), "epoch": watch.take_epoch()}
        return times | {"losses": losses} | _judge(our_recipe.test_model(prepared, fit))

    return work


def make_plain() -> Callable[[argparse.Namespace, Request], dict[str, Any]]:
    """The plain script."""
    from benchmarks import plain_script

    def work(arguments: argparse.Namespace, request: Request) -> dict[str, Any]:
        train, _, test = _read_division(request)
        watch = Stopwatch()
        model, losses = plain_script.train_model(arguments, train, watch.end_epoch)
        times = {"whole": watch.take_whole(), "epoch": watch.take_epoch()}
        table = plain_script.test_model(model, arguments, test)
        return times | {"losses": losses} | _judge(table)

    return work


def make_fastai() -> Callable[[argparse.Namespace, Request], dict[str, Any]]:
    """The script that uses fastai."""
    from benchmarks import fastai_script, plain_script

    fastai_script.find_fastai()
    from fastai.vision import all as _imported  # noqa: F401

    def work(arguments: argparse.Namespace, request: Request) -> dict[str, Any]:
        train, validation, test = _read_division(request)
        watch = Stopwatch()
        fit = fastai_script.train_model(arguments, train, validation, watch.end_epoch)
        times = {"whole": watch.take_whole(), "epoch": watch.take_epoch()}
        table = plain_script.test_model(fit[0], arguments, test)
        return times | {"losses": fit[1]} | _judge(table)

    return work


CONTENDERS = {"ours": make_ours, "plain": make_plain, "fastai": make_fastai}


def serve(name: str, answers: TextIO) -> None:
    """Import, say so, then answer requests until there are no more."""
    from benchmarks.compare_scripts import make_parser

    work = CONTENDERS[name]()
    parser = make_parser()
    print(json.dumps({"ready": name}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = work(parser.parse_args(request["argv"]), request)
        print(json.dumps(answer), file=answers, flush=True)


def _read_division(request: Request) -> tuple[set[str], set[str], set[str]]:
    table = pd.read_csv(Path(request["folder"]) / "division.csv")
    train, validation, test = (
        set(table.loc[table["role"] == role, "path"]) for role in ("train", "validation", "test")
    )
    return train, validation, test


def _judge(table: pd.DataFrame) -> dict[str, Any]:
    right = table["truth"] == table["prediction"]
    wrong = table[~right]
    pairs = Counter(wrong["truth"] + " taken for " + wrong["prediction"])
    return {
        "right": int(right.sum()),
        "tested": len(table),
        "mistakes": dict(pairs),
        "wrong": sorted(wrong["image"]),
    }


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as own_output:
        os.dup2(2, 1)  # what programs print must not get among the answers
        serve(sys.argv[1], own_output)
