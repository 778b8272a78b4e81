"""Two programs that predict at the same time, against one of them alone.

Each has two threads, so that on two cores they want twice what there is: does a run on a busy
machine degrade gently? Starting and importing are in no time.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

from benchmarks.measurement import Measurement, Timing, subtract, summarise, take_rounds
from benchmarks.predict_frames import Case, frames_of, make_bundle

THREADS = 2
IMAGES = 24  # of each program and round
ROUNDS = 5
CASE = Case("predict, two programs at once", "tf_efficientnet_lite0", 192, IMAGES)


def measure(folder: Path) -> list[Measurement]:
    """Measure a bundle with EfficientNet-Lite0 and random weights."""
    from benchmarks.run_contender import Stopwatch

    bundle = make_bundle(folder, CASE)
    images = copy_images(frames_of(CASE, folder), folder / "images_beside", CASE.images)
    with ExitStack() as stack:
        programs = [
            stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), prepare, (os.getpid(),))
            )
            for _ in range(2)
        ]

        def predict(n: int) -> Timing:
            start = Stopwatch.read()
            asked = [
                program.submit(answer, bundle, images, folder / f"beside_{i}.csv")
                for i, program in enumerate(programs[:n])
            ]
            for future in asked:
                future.result()
            return subtract(Stopwatch.read(), start)

        rounds = take_rounds(lambda: predict(2), lambda: predict(1), ROUNDS)
    floor = "one of them alone"
    return [summarise(CASE.name, "images/s each", CASE.images, rounds, floor)]


def copy_images(frames: Path, out_dir: Path, count: int) -> Path:
    """Give frames further names until there are so many; return their folder."""
    names = sorted(frames.rglob("*.jpg"))
    out_dir.mkdir(exist_ok=True)
    for i in range(count):
        link = out_dir / f"{i:04d}.jpg"
        link.unlink(missing_ok=True)
        link.hardlink_to(names[i % len(names)])
    return out_dir


def prepare(parent: int) -> None:
    """Become a program that predicts, and ends with its parent."""
    from batteryscope.core.waiting_threads import let_waiting_threads_sleep

    let_waiting_threads_sleep()  # as predict_images.py does, before PyTorch is there

    import logging

    import torch

    from batteryscope.core.process_end import end_with_parent
    from batteryscope.core.progress import log
    from batteryscope.workflow.command_line import keep_freed_memory

    end_with_parent(parent)
    log.setLevel(logging.ERROR)  # cautions are of no interest here
    keep_freed_memory()
    torch.set_num_threads(THREADS)


def answer(bundle: Path, images: Path, out: Path) -> None:
    """Write the table of predictions, as ``predict_images.py`` does."""
    from batteryscope.bundle.batch import Asked, answer_batch

    # Generated noise may be far from six frames.
    answer_batch(Asked(bundle=bundle, images=images, out=out, answer_anyway=True))
