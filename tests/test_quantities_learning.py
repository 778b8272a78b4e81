"""Networks learn quantities of any size: by value, or by logarithm."""

import json

import numpy as np
import pytest
import torch

from batteryscope.config.learning import AugmentSettings, ModelSettings, TrainSettings
from batteryscope.config.study import StudySettings
from batteryscope.errors import ConfigError
from batteryscope.models.classifier import TileRegressor, build_classifier, rebuild_classifier
from batteryscope.plan import plan_study
from batteryscope.training.regression import RegressionModule
from tests.small_params import small_study

SETTINGS = ModelSettings(
    backbone="test_resnet", weights="random", outputs=["porosity", "size"], dropout=0.0
)
TRUTH = np.array([[10, 1e-3], [30, 1e3]], np.float32)


def make_model() -> TileRegressor:
    model = build_classifier(SETTINGS, ["porosity", "size"], 32, 1, log_outputs=["size"])
    assert isinstance(model, TileRegressor)
    model.learn_scale(TRUTH)
    return model.eval()


def test_the_scale_of_a_logarithm_is_that_of_the_logarithms():
    model = make_model()
    assert model.get_buffer("output_mean").tolist() == pytest.approx([20, 0], abs=1e-5)
    sd = [10, np.log(1e3)]
    assert model.get_buffer("output_sd").tolist() == pytest.approx(sd, rel=1e-5)
    with torch.no_grad():
        values = model(torch.full((2, 1, 32, 32), 100, dtype=torch.uint8))
    assert (values[:, 1] > 0).all()  # whatever it says, a logarithm has no value below 0


def test_a_loss_counts_factors_where_the_logarithm_is_learnt():
    model = make_model()
    train = TrainSettings(loss="mae", epochs=1)
    module = RegressionModule(model, train, AugmentSettings(), 1, 1)
    predicted = torch.tensor([[20.0, 1e1], [30.0, 1e3]])
    losses = module._measure(predicted, torch.from_numpy(TRUTH))
    # One standard deviation of the porosity, four thirds of one of the size: a factor of 10⁴.
    assert losses.tolist() == pytest.approx([(1 + 4 / 3) / 2, 0], abs=1e-5)


def test_a_stored_network_says_the_same_and_others_store_as_before():
    model = make_model()
    described = json.loads(json.dumps(model.description.as_dict()))
    assert described["log_outputs"] == ["size"]
    again = rebuild_classifier(described, model.state_dict())
    tiles = torch.randint(0, 255, (2, 1, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(again(tiles), model(tiles))
    plain = build_classifier(SETTINGS, ["porosity", "size"], 32, 1)
    assert "log_outputs" not in plain.description.as_dict()
    assert "is_log" not in plain.state_dict()  # bundles of before have none


def plan(quantity, **change):
    study = small_study(model={"outputs": "all"}, **change)
    study["dataset"]["targets"] = {
        "quantities": {"value": quantity}, "table": ".quantities.csv", "sample_column": "file"
    }  # fmt: skip
    return plan_study("s", StudySettings.model_validate(study))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train": {"loss": "mape"}}, r"train\.loss is a percentage of the true value"),
        ({"train": {"loss": "mse", "monitor": "val_mape"}}, r"train\.monitor is a percentage"),
        ({"train": {"loss": "cross_entropy"}}, r"is for classes.*choose mape, mae or mse"),
        ({"train": {"loss": "mse"}, "arms": {"a": {"change": {"model.outputs": ["valu"]}}}},
         r"model\.outputs names 'valu', which is none of the quantities value"),
        ({"train": {"loss": "mse"}, "arms": {"a": {"change": {"model.outputs": "class"}}}},
         r"predicts numbers \(dataset\.targets\), but model\.outputs is 'class'"),
        ({"train": {"loss": "mse"},
          "arms": {"a": {"stages": [{"name": "fit", "change": {"model.outputs": None}}]}}},
         r"model\.outputs names 'None', which is none of the quantities value"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_numbers_are_refused(change, sentence):
    change["train"].setdefault("monitor", "val_loss")
    with pytest.raises(ConfigError, match=sentence):
        plan({"unit": "%", "low": 0, "high": 60}, **change)


def test_a_plan_knows_what_is_learnt_by_its_logarithm_and_what_may_be_zero():
    train = {"loss": "mape", "monitor": "val_mape"}
    planned = plan({"unit": "µm", "low": 1, "transform": "log"}, train=train)
    [stage] = planned.stages.values()
    assert stage.settings.targets == stage.settings.log_targets == ["value"]
    assert stage.settings.zero_targets == []
    planned = plan({"unit": "%"}, train={"loss": "mse", "monitor": "val_loss"})
    [stage] = planned.stages.values()
    assert stage.settings.zero_targets == ["value"]
