"""A bundle that is not what was published is refused, with a digest or without one."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from batteryscope.bundle.integrity import check_record, check_seal, seal_bundle
from batteryscope.bundle.open import open_bundle
from batteryscope.errors import InputError
from batteryscope.provenance import digest_file
from batteryscope.tables.bundle import load_table_bundle
from batteryscope.workflow.publication import SIDECAR, is_published, publish_folder
from tests.bundled_study import bundle_study, make_study

BUNDLES = Path(__file__).parent / "fixtures" / "bundles"
KINDS = ("classes_of_images", "classes_of_scans", "capacities", "tables")
pytestmark = pytest.mark.usefixtures("one_thread")


def load(folder: Path):
    return load_table_bundle(folder) if folder.name == "tables" else open_bundle(folder)


def copy_bundle(kind: str, folder: Path, sealed: bool = True) -> Path:
    copy = Path(shutil.copytree(BUNDLES / kind / "bundle", folder / kind))
    if not sealed:
        (copy / SIDECAR).unlink()
    return copy


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def renew_hashes(folder: Path) -> None:
    """Make the record fit whatever weights lie there now, as somebody would who knows how."""
    path = folder / "bundle.json"
    record = json.loads(path.read_text())
    for member in record["members"]:
        own = f"{member['arm']}_" if "arm" in member else ""
        name = f"fold_{own}r{member['repeat']}_f{member['fold']}.safetensors"
        if (folder / name).is_file():
            member["weights_sha256"] = digest_file(folder / name)
    if "weights_sha256" in record:
        record["weights_sha256"] = digest_file(folder / "networks.safetensors")
    path.write_text(json.dumps(record))


def edit_weights(folder: Path, edit) -> None:
    """Change one tensor of every file of weights."""
    for path in folder.glob("*.safetensors"):
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        edit(tensors)
        save_file(tensors, path)
    renew_hashes(folder)


def spoil(value: float):
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        name = max(tensors, key=lambda n: tensors[n].numel())
        tensors[name].view(-1)[0] = value

    return edit


@pytest.mark.parametrize("kind", KINDS)
def test_stored_bundles_pass_with_and_without_their_digest(kind: str, tmp_path: Path) -> None:
    load(copy_bundle(kind, tmp_path))
    load(copy_bundle(kind, tmp_path / "bare", sealed=False))


@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_or_missing_file_is_named(kind: str, tmp_path: Path) -> None:
    folder = copy_bundle(kind, tmp_path)
    for path in sorted(p for p in folder.iterdir() if p.name != SIDECAR):
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        with pytest.raises(InputError, match=path.name) as caught:
            check_seal(folder)
        path.unlink()
        with pytest.raises(InputError, match=path.name):
            load(folder)
        path.write_bytes(content)
        assert "\n" not in str(caught.value)
    load(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(kind: str, value: float, tmp_path: Path) -> None:
    folder = copy_bundle(kind, tmp_path, sealed=False)
    edit_weights(folder, spoil(value))
    with pytest.raises(InputError, match="not finite"):
        load(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_other_weights_with_renewed_hashes_answer_otherwise(kind: str, tmp_path: Path) -> None:
    folder = copy_bundle(kind, tmp_path, sealed=False)

    def shuffle(tensors: dict[str, torch.Tensor]) -> None:
        for tensor in tensors.values():
            if tensor.is_floating_point():
                tensor.mul_(1.5)

    edit_weights(folder, shuffle)
    with pytest.raises(InputError, match="do not answer the bundle's own example as stored"):
        load(folder)


@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e999", "1.5"])
def test_another_temperature_is_noticed(value: str, tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    path = folder / "bundle.json"
    old = json.loads(path.read_text())["temperature"]
    path.write_text(path.read_text().replace(f'"temperature": {old}', f'"temperature": {value}'))
    with pytest.raises(InputError, match=r"not a finite number|as stored"):
        load(folder)


LIMIT = {
    "threshold": 0.5, "n_groups": 20, "calibrated_on": "test", "coverage_measured": 0.9,
    "coverage_low": 0.8, "coverage_high": 0.95, "n_measured": 20, "mean_size": 1.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({}, ""),
        ({"levels": {"image": LIMIT | {"threshold": None}}}, ""),
        ({"levels": {"image": LIMIT | {"threshold": float("nan")}}}, "not a finite number"),
        ({"levels": {"image": LIMIT | {"threshold": 1.5}}}, "sets.levels.image.threshold"),
        ({"levels": {"image": LIMIT | {"threshold": -0.1}}}, "sets.levels.image.threshold"),
        ({"levels": {"image": LIMIT | {"coverage_high": 2}}}, "coverage_high"),
        ({"levels": {"image": LIMIT | {"calibrated_on": "train"}}}, "calibrated_on"),
        ({"levels": {"tile": LIMIT}}, "sets.levels"),
        ({"levels": {}}, "sets.levels"),
        ({"coverage": 1.2}, "sets.coverage"),
        ({"grades": ["new", "old"]}, "sets.grades names new, old, but the classes are"),
    ],
)
def test_damaged_sets_are_refused_in_a_sentence(sets: dict, said: str, tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    change(folder / "bundle.json", sets={"coverage": 0.9, "levels": {"image": LIMIT}} | sets)
    if said:
        with pytest.raises(InputError, match=said) as caught:
            load(folder)
        assert "\n" not in str(caught.value)
        return
    bundle = load(folder)
    is_usable = not sets
    assert ("prediction_set" in bundle.columns) == is_usable
    assert ("need 9 independent units to calibrate" in bundle.closing_note) != is_usable


def test_sets_that_held_too_little_come_with_a_caution(tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    low = LIMIT | {"coverage_measured": 0.7, "coverage_high": 0.85}
    change(folder / "bundle.json", sets={"coverage": 0.9, "levels": {"image": low}})
    assert "held it of only 70 % in the test" in load(folder).closing_note


def test_a_bundle_from_before_has_no_sets_and_says_so() -> None:
    bundle = load(BUNDLES / "classes_of_images" / "bundle")
    assert "prediction_set" not in bundle.columns
    assert "published before there were any" in bundle.closing_note


def test_reversed_classes_are_noticed(tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    for path in (folder / "bundle.json", *folder.glob("fold_*.json")):
        change(path, classes=json.loads(path.read_text())["classes"][::-1])
    with pytest.raises(InputError, match="as stored"):
        load(folder)


def test_missing_and_exchanged_labels_are_noticed(tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    path = folder / "bundle.json"
    labels = json.loads(path.read_text())["class_labels"]
    first = sorted(labels)[0]
    change(path, class_labels=labels | {first: {"state": "pristine"}})
    with pytest.raises(InputError, match=f"class_labels.{first} lacks composition"):
        load(folder)
    change(path, class_labels=dict(zip(labels, list(labels.values())[::-1], strict=True)))
    with pytest.raises(InputError, match="as stored"):
        load(folder)


def test_classes_that_are_their_only_label_need_no_other(tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    path = folder / "bundle.json"
    labels = json.loads(path.read_text())["class_labels"]
    change(path, label_columns=["class"], class_labels={name: {} for name in labels})
    answer = json.loads((folder / "example_output.json").read_text())
    plain = {key: value for key, value in answer.items() if key not in ("composition", "state")}
    (folder / "example_output.json").write_text(json.dumps(plain))
    load(folder)


def test_network_that_is_not_listed_is_noticed(tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    path = folder / "bundle.json"
    members = json.loads(path.read_text())["members"]
    change(path, members=members[:1])
    with pytest.raises(InputError, match="r1_f0 is not listed"):
        load(folder)
    (folder / "fold_r1_f0.safetensors").unlink()
    table = pd.read_csv(folder / "training_images.csv", dtype=str, keep_default_na=False)
    table.drop(columns="r1_f0").to_csv(folder / "training_images.csv", index=False)
    with pytest.raises(InputError, match="as stored"):
        load(folder)
    change(path, members=[members[0], members[0]])
    with pytest.raises(InputError, match="listed twice"):
        load(folder)


def test_swapped_folds_do_not_fit_the_digest(tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path)
    one, two = folder / "fold_r0_f0.safetensors", folder / "fold_r1_f0.safetensors"
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    renew_hashes(folder)
    with pytest.raises(InputError, match=r"has SHA-256 .* but digest\.json says"):
        load(folder)


def test_unrolled_windings_are_narrower_than_high(tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_scans", tmp_path)
    bundle = load(folder)
    record, images = bundle.record, bundle.training_images
    narrow = {"unroll": True, "unroll_angles": record.input_px, "input_px": 2 * record.input_px}
    unrolled = record.preprocess.model_copy(update=narrow)
    check_record(folder, record.model_copy(update={"preprocess": unrolled}), images)
    wide = unrolled.model_copy(update={"unroll_angles": None})
    with pytest.raises(InputError, match="preprocess gives tiles"):
        check_record(folder, record.model_copy(update={"preprocess": wide}), images)


@pytest.mark.parametrize("part", ["record", "preprocess", "both", "description"])
def test_absurd_input_size_is_refused_without_memory(part: str, tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    path = folder / "bundle.json"
    preprocess = json.loads(path.read_text())["preprocess"] | {"input_px": 1_000_000}
    if part in ("record", "both"):
        change(path, input_px=1_000_000)
    if part in ("preprocess", "both"):
        change(path, preprocess=preprocess)
    if part == "description":
        for described in folder.glob("fold_*.json"):
            change(described, input_px=1_000_000)
    tracemalloc.start()
    with pytest.raises(InputError):
        load(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


@pytest.mark.parametrize(
    "described",
    [
        {"head_units": 100_000},
        {"head_units": 10**12},
        {"backbone_options": {"channel_multiplier": 100.0}},
        {"channels": 10**6},
    ],
)
def test_network_larger_than_its_weights_is_never_built(described: dict, tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    for path in folder.glob("fold_*.json"):
        change(path, **described)
    with pytest.raises(InputError, match="weights do not fit"):
        load(folder)


def test_network_of_a_table_larger_than_its_weights_is_never_built(tmp_path: Path) -> None:
    folder = copy_bundle("tables", tmp_path, sealed=False)
    path = folder / "bundle.json"
    members = json.loads(path.read_text())["members"]
    for member in members:
        shape = member["network"]
        for part in [shape] if shape["kind"] == "network" else [shape["frozen"], shape["adapter"]]:
            part |= {"hidden_layers": 1000, "nodes": 1000}
    change(path, members=members)
    with pytest.raises(InputError, match="more than it has"):
        load(folder)


@pytest.mark.parametrize("name", ["bundle.json", "fold_r0_f0.json", "example_output.json"])
def test_deeply_nested_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    folder = copy_bundle("classes_of_images", tmp_path, sealed=False)
    (folder / name).write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(InputError, match="nested") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_new_bundles_are_sealed_and_stay_so_when_published(tmp_path: Path) -> None:
    bundle = bundle_study(make_study(tmp_path / "study"))
    sealed = json.loads((bundle / SIDECAR).read_text())
    assert set(sealed["files"]) == {p.name for p in bundle.iterdir()} - {SIDECAR}
    target = tmp_path / "models" / "small"
    published = publish_folder(bundle, target)
    assert published == sealed
    assert is_published(target, published["digest"])
    load(target)
    (target / "notes.txt").write_text("the user's own file")
    load(target)


def test_list_of_files_is_checked_too(tmp_path: Path) -> None:
    folder = copy_bundle("tables", tmp_path)
    seal = json.loads((folder / SIDECAR).read_text())
    del seal["files"]["MODEL_CARD.md"]
    (folder / SIDECAR).write_text(json.dumps(seal))
    with pytest.raises(InputError, match="its digest is not that of the files"):
        load(folder)
    (folder / SIDECAR).write_text("[]")
    with pytest.raises(InputError, match="not a list of the bundle's files"):
        load(folder)
    seal_bundle(folder)
    assert np.isfinite(load(folder).record.coverage)
