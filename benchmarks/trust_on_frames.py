"""The whole way of a user who asks whether to trust a model, on real frames, with numbers.

The first 70 % of the frames of each class are known; the programs plan a study of them, train it,
and are then asked about the rest and about pictures of other things. Every command is printed.

Example: python benchmarks/trust_on_frames.py --frames data/raw/sem_ncm --scan CT_SLICES
             --microscopes OTHER_TIFFS --folder work/trust
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from batteryscope.bundle.predict_pictures import find_pictures
from batteryscope.bundle.unlike import UNLIKE
from batteryscope.core.progress import log
from batteryscope.errors import InputError
from batteryscope.evaluation.metrics import find_wilson_interval
from batteryscope.readers.scan import natural_key
from batteryscope.seeds import derive_rng
from batteryscope.workflow.command_line import make_parser, run_program

KNOWN, NEW = "my_cathodes", "new_frames"
KNOWN_SHARE = 0.7
PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
# Photographs that scikit-image carries along; drawings, texts and blobs are none.
PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "cell", "chelsea", "clock_motion", "coffee", "coins", "color",
    "grass", "gravel", "hubble_deep_field", "ihc", "microaneurysms", "moon", "motorcycle_left",
    "page", "retina", "rocket", "text",
)  # fmt: skip
MOST_SLICES = 20
WIDTH_PX, HEIGHT_PX = 1280, 960


def main(argv: Sequence[str] | None = None) -> int:
    """Read arguments and run."""
    parser = make_parser(__doc__)
    parser.add_argument("--frames", type=Path, required=True, help="a folder for each class")
    parser.add_argument("--scan", type=Path, help="folder of the slices of a CT scan")
    parser.add_argument("--microscopes", type=Path, help="folder of TIFFs of other microscopes")
    parser.add_argument("--folder", type=Path, required=True, help="where everything is put")
    parser.add_argument("--bundle", type=Path, help="one that was trained on FOLDER/my_cathodes")
    return run_program(run_all, parser, argv)


def run_all(arguments: argparse.Namespace) -> None:
    """Prepare the pictures, train, predict, and print the tables."""
    folder: Path = arguments.folder
    divide_frames(arguments.frames, folder)
    bundle = arguments.bundle or train(folder)
    asked = [NEW, *prepare_strangers(folder, arguments.scan, arguments.microscopes)]
    answers = {name: predict(bundle, folder, name) for name in asked}
    checked = {name: score_unchecked(bundle, folder / name) for name in asked if name != NEW}
    print(tabulate_strangers(answers, checked).to_string())
    print(tabulate_sets(answers[NEW]).to_string())


def divide_frames(frames: Path, folder: Path) -> None:
    """Copy the first frames of each class, in the natural order of their names, and the others.

    What an earlier call has copied is left as it is.
    """
    if (folder / KNOWN).is_dir():
        return
    for of_class in sorted(path for path in frames.iterdir() if path.is_dir()):
        files = [path for path in of_class.iterdir() if path.suffix.lower() in PICTURES]
        files.sort(key=lambda path: natural_key(path.name))
        n_known = round(KNOWN_SHARE * len(files) - 0.5)
        for place, file in enumerate(files):
            out = folder / (KNOWN if place < n_known else NEW) / of_class.name
            out.mkdir(parents=True, exist_ok=True)
            for own in (file, file.with_name(f"{file.name}.txt")):  # the microscope's settings
                if own.is_file():
                    shutil.copy2(own, out)


def train(folder: Path) -> Path:
    """Plan a study of the known frames and run it as it is; return its bundle."""
    plan = folder / f"{KNOWN}.yaml"
    if not plan.is_file():
        start: list[str | Path] = [
            "workflow_scripts/start_study.py",
            "--images",
            folder / KNOWN,
            "--out",
            plan,
        ]
        call([sys.executable, *start])
    call(["snakemake", "--configfile", plan, "--", KNOWN])
    return Path("models") / KNOWN


def prepare_strangers(folder: Path, scan: Path | None, microscopes: Path | None) -> list[str]:
    """Write a folder of each kind of strange pictures and return their names."""
    import skimage

    packaged = Path(skimage.__file__).parent / "data"
    photographs = [found for name in PHOTOGRAPHS for found in packaged.glob(f"{name}.*")]
    slices = list_pictures(scan)
    step = max(1, len(slices) // MOST_SLICES)
    kinds = {
        "photographs": photographs,
        "ct_slices": slices[::step][:MOST_SLICES],
        "other_microscopes": list_pictures(microscopes),
    }
    for name, files in kinds.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        for file in files:
            shutil.copy2(file, folder / name)
    _draw(folder / "noise", 5, _draw_noise)
    _draw(folder / "blank", 2, lambda number: np.full((HEIGHT_PX, WIDTH_PX), 90 * number))
    damaged = folder / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    damaged.mkdir()
    whole = list_pictures(folder / NEW)[0]
    (damaged / f"half{whole.suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return [*(name for name, files in kinds.items() if files), "noise", "blank", "damaged"]


def list_pictures(folder: Path | None) -> list[Path]:
    """Return the pictures below a folder in natural order."""
    files = [] if folder is None else folder.rglob("*")
    found = [path for path in files if path.suffix.lower() in PICTURES]
    return sorted(found, key=lambda path: natural_key(str(path)))


def predict(bundle: Path, folder: Path, name: str) -> pd.DataFrame:
    """Ask the bundle about a folder; ``anyway`` … are its answers with ``--answer-anyway``."""
    tables = []
    for anyway in ([], ["--answer-anyway"]):
        out = folder / f"{name}{'_anyway' if anyway else ''}.csv"
        words: list[str | Path] = [
            "--bundle",
            bundle,
            "--images",
            folder / name,
            "--out",
            out,
            *anyway,
        ]
        call([sys.executable, "workflow_scripts/predict_images.py", *words], may_fail=True)
        tables.append(pd.read_csv(out))
    asked = {"anyway": "class", "sure": "confidence", "set_anyway": "prediction_set"}
    return tables[0].assign(**{new: tables[1][old] for new, old in asked.items()})


def score_unchecked(bundle: Path, pictures: Path) -> pd.Series:
    """Return the score of every picture, by file, as if no crop could be too empty to be judged.

    Smooth pictures are rejected before they are compared, so that nothing tells how unlike the
    training they are; here they are compared all the same. Unreadable and small ones have no score.
    """
    from batteryscope.bundle.read import load_bundle

    opened = load_bundle(bundle)
    preprocess = opened.record.preprocess.model_copy(update={"min_local_sd": 0.0})
    opened.record = opened.record.model_copy(update={"preprocess": preprocess})
    rows = pd.DataFrame(opened.answer_folder(find_pictures(pictures), pictures))
    return rows.set_index("file")[UNLIKE]


def call(command: Sequence[str | Path], may_fail: bool = False) -> None:
    """Print a command and run it."""
    words = [str(word) for word in command]
    print(f"$ {shlex.join(['python' if word == sys.executable else word for word in words])}")
    ended = subprocess.run(words, check=False)
    print(f"(exit status {ended.returncode})", flush=True)
    if ended.returncode and not may_fail:
        raise InputError(f"{words[0]} ended with {ended.returncode}; see its messages above.")


def tabulate_strangers(
    answers: dict[str, pd.DataFrame], unchecked: dict[str, pd.Series]
) -> pd.DataFrame:
    """Count by kind of picture what is refused, and how well the score tells it from new frames.

    Pictures that are rejected before (empty, too small, unreadable) have no score; the last
    columns are those of all pictures that are large enough, empty or not.
    """
    new = answers[NEW][UNLIKE].dropna()
    rows = {}
    for name, table in answers.items():
        states = table["status"].value_counts()
        scores = table[UNLIKE].dropna()
        own = unchecked.get(name, pd.Series(dtype=float)).dropna()
        rows[name] = {
            "pictures": len(table),
            "answered": states.get("ok", 0),
            UNLIKE: states.get(UNLIKE, 0),
            "rejected": states.get("rejected", 0),
            "AUROC": np.nan if name == NEW else find_auroc(new, scores),
            "lowest score": scores.min(),
            "highest score": scores.max(),
            "surest answer": table["sure"].max(),
            "scored, empty or not": len(own),
            "AUROC of these": find_auroc(new, own),
            "lowest of these": own.min(),
        }
    return pd.DataFrame(rows).T.round(3)


def find_auroc(new: pd.Series, strange: pd.Series) -> float:
    """Return how often a strange picture has a higher score than a new frame; NaN without any."""
    from sklearn.metrics import roc_auc_score

    if not len(strange):
        return np.nan
    is_strange = np.repeat([0, 1], [len(new), len(strange)])
    return float(roc_auc_score(is_strange, np.concatenate([new, strange])))


def tabulate_sets(new: pd.DataFrame) -> pd.DataFrame:
    """Compare the answers for the new frames with their folders, class by class and in all."""
    true = new["file"].map(lambda path: Path(path).parent.name.removeprefix("ncm"))
    answered = new["status"] == "ok"
    held = [
        name in str(names).split(" | ") for name, names in zip(true, new["set_anyway"], strict=True)
    ]
    judged = pd.DataFrame({
        "true": true,
        "refused": new["status"] == UNLIKE,
        "right": (new["class"] == true).where(answered),
        "in the set": pd.Series(held, index=new.index).where(answered),
        "right anyway": new["anyway"] == true,
        "in the set anyway": held,
        "classes in the set": new["set_anyway"].str.count(r" \| ") + 1,
    })  # fmt: skip
    means: dict[str, str] = dict.fromkeys(judged.columns[1:], "mean")
    numbers = judged.drop(columns="true").astype(float)
    by_class = numbers.groupby(true.rename("class")).agg(means)
    total = numbers.agg(means).rename("all")
    for column in list(means)[:-1]:
        known = numbers[column].dropna()
        low, high = find_wilson_interval(float(known.mean()), len(known))
        log.info("%s: %d of %d (%.1f %%; 95 %% interval %.1f to %.1f %%)", column, known.sum(),
                 len(known), 100 * known.mean(), 100 * low, 100 * high)  # fmt: skip
    table = pd.concat([by_class, total.to_frame().T]).round(3)
    table.insert(0, "frames", [*true.value_counts().loc[by_class.index], len(new)])
    return table


def _draw(folder: Path, count: int, draw: Callable[[int], np.ndarray]) -> None:
    from PIL import Image

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(draw(number).astype(np.uint8)).save(folder / f"{number}.png")


def _draw_noise(number: int) -> np.ndarray:
    rng = derive_rng("benchmark", "white noise", number)
    return rng.integers(0, 256, (HEIGHT_PX, WIDTH_PX))


if __name__ == "__main__":
    sys.exit(main())
