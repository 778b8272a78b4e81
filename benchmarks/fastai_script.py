"""The recipe of ``plain_script.py`` in the manner of fastai: DataBlock, Learner, fit_one_cycle.

Network, crops per epoch, optimiser, schedule and the test are those of the plain script; images are
read, cropped and batched by fastai. It is imported in a process of its own, after ``find_fastai``.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from benchmarks.plain_script import INPUTS, make_model

FASTAI = Path("work/fastai")
HOW_TO_INSTALL = f"fastai is not in {FASTAI}, so it is left out; `make bench-fastai` installs it."


def is_installed() -> bool:
    """Tell whether fastai lies where ``make bench-fastai`` puts it."""
    return (FASTAI / "fastai").is_dir()


def find_fastai() -> None:
    """Let this process import it; whatever the project's environment has comes first."""
    sys.path.append(str(FASTAI.resolve()))


def train_model(
    arguments: argparse.Namespace,
    names: set[str],
    validation: set[str],
    end_epoch: Callable[[int], None],
) -> tuple[nn.Module, list[float]]:
    """Train on some images; return the network and the (running) loss at the end of every epoch.

    As many paths as an epoch has crops are drawn, every class equally often, since an epoch of
    fastai shows every item once. Validation images are judged by their centres after each epoch.
    """
    from fastai.vision.all import (
        Callback,
        CategoryBlock,
        DataBlock,
        FlipItem,
        FuncSplitter,
        ImageBlock,
        LabelSmoothingCrossEntropyFlat,
        Learner,
        Normalize,
        RandomCrop,
        Resize,
        Transform,
        accuracy,
        parent_label,
        set_seed,
    )

    # Without a return type fastai gives back the type that came; with one it converts to that.
    class CutDataBar(Transform):
        order = 0

        def encodes(self, picture: Image.Image):  # type: ignore[no-untyped-def]
            return picture.crop((0, 0, picture.width, picture.height - arguments.data_bar))

    class FlipRows(Transform):
        order = FlipItem.order
        split_idx = 0

        def encodes(self, picture: Image.Image):  # type: ignore[no-untyped-def]
            upside_down = random.random() < 0.5
            return picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if upside_down else picture

    class EndOfEpoch(Callback):
        def after_epoch(self) -> None:
            end_epoch(self.epoch)

    set_seed(arguments.seed)
    by_class = defaultdict(list)
    for name in sorted(names):
        by_class[Path(name).parent].append(arguments.data / name)
    n_draws = -(-arguments.crops // len(by_class))
    drawn = [path for paths in by_class.values() for path in random.choices(paths, k=n_draws)]
    judged = {arguments.data / name for name in validation}
    mean, sd = INPUTS.get(arguments.backbone, (0.5, 0.5))
    block: Any = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_y=parent_label,
        splitter=FuncSplitter(judged.__contains__),
        item_tfms=[
            CutDataBar(),
            RandomCrop(arguments.crop_px),
            Resize(arguments.input_px),
            FlipItem(0.5),
            FlipRows(),
        ],
        batch_tfms=Normalize.from_stats([mean] * 3, [sd] * 3, cuda=False),
    )
    loaders = block.dataloaders(
        random.sample(drawn, arguments.crops) + sorted(judged),
        bs=arguments.batch,
        num_workers=arguments.workers,
        device=torch.device("cpu"),
    )
    learner = Learner(
        loaders,
        make_model(arguments, len(by_class)),
        loss_func=LabelSmoothingCrossEntropyFlat(eps=arguments.label_smoothing),
        metrics=accuracy,
        cbs=EndOfEpoch(),
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(
            arguments.epochs,
            arguments.learning_rate,
            wd=arguments.weight_decay,
            pct_start=arguments.rise,
        )
    return learner.model, [float(values[0]) for values in learner.recorder.values]
