"""What the record of a bundle of capacities must hold, and what its card says."""

import json

import pytest

from batteryscope.bundle.number_record import NumberRecord, read_record
from batteryscope.bundle.number_write import render_number_card
from batteryscope.bundle.record import RECORD_FILE
from batteryscope.errors import InputError


def make_values(target_arm: str = "mass") -> dict:
    """Two networks of the arm ``mass``."""
    digest = "0" * 64
    target = {
        "name": "capacity_1c_ah_kg", "c_rate": 1, "unit": "Ah/kg", "arm": target_arm,
        "relative_half_width": 0.1, "coverage_wanted": 0.9, "coverage_measured": 0.85,
    }  # fmt: skip
    members = [
        {"repeat": 0, "fold": fold, "weights_sha256": digest, "best_epoch": 1,
         "n_train_images": 8, "arm": "mass"} for fold in range(2)
    ]  # fmt: skip
    data = {
        "name": "bands", "generated": False, "digest": digest, "n_images": 12,
        "n_images_per_class": {"50": 12}, "ranges": {}, "instruments": [], "n_sessions": 0,
    }  # fmt: skip
    return {
        "format_version": 1, "batteryscope_version": "0", "study": "bands", "title": "Bands",
        "paper": "", "paper_doi": "", "preprocess": {"method": "coating_crop"},
        "max_pixels": 10**7, "members": members, "data": data, "findings": [],
        "metrics": {"mass.image.mape": 5.0, "mass.image.mae": 6.0}, "licence": {"weights": "CC0"},
        "kind": "capacity", "backbone": "rate_cnn", "targets": [target],
    }  # fmt: skip


def test_a_target_without_networks_is_refused(tmp_path):
    (tmp_path / RECORD_FILE).write_text(json.dumps(make_values()))
    assert len(read_record(tmp_path).members) == 2
    (tmp_path / RECORD_FILE).write_text(json.dumps(make_values("volume")))
    with pytest.raises(InputError, match=r"is of the arm 'volume'.*networks are of \['mass'\]"):
        read_record(tmp_path)


def test_the_card_promises_nothing_about_the_average_of_the_networks():
    card = render_number_card(NumberRecord.model_validate(make_values()))
    text = " ".join(card.split())
    assert "the intervals were calibrated and measured on them" in text
    assert "Error and coverage of the average were not measured on these images" in text
    values = make_values()
    alone = NumberRecord.model_validate(values | {"members": values["members"][:1]})
    assert "average were not measured" not in render_number_card(alone)


@pytest.mark.parametrize(
    ("method", "level", "told"),
    [
        ("coating_crop", "image", "A picture goes in; the capacity over the C-rate in Ah/kg ("),
        ("ct_slices", "slice", "A scan of a cell goes in; the capacity over the C-rate in Ah/kg ("),
    ],
)
def test_the_card_has_the_errors_of_single_samples(method, level, told):
    name = "capacity_1c_ah_kg"
    errors = {f"mass.{level}.{name}.mape": 5.0, f"mass.{level}.{name}.mae": 6.0}
    errors |= {f"mass.specimen.{name}.{metric}": 99.0 for metric in ("mape", "mae")}
    values = make_values() | {"preprocess": {"method": method}, "metrics": errors}
    card = render_number_card(NumberRecord.model_validate(values))
    assert "| mass | capacity over the C-rate in Ah/kg | 5.00 % | 6 |\n" in card
    assert f"On test {level}s, each judged" in card
    assert told in card


def test_the_card_of_quantities_of_scans_has_their_errors():
    target = {
        "name": "health", "label": "health", "unit": "%", "arm": "all",
        "interval_kind": "absolute", "half_width": 2, "coverage_wanted": 0.9,
        "coverage_measured": 0.88,
    }  # fmt: skip
    values = make_values() | {"preprocess": {"method": "ct_slices"}, "kind": "quantities"}
    values |= {"members": [m | {"arm": "all"} for m in values["members"]], "targets": [target]}
    values["metrics"] = {"all.slice.health.mae": 1.5, "all.slice.health.r2": 0.75}
    card = render_number_card(NumberRecord.model_validate(values))
    assert "| health / % | all | 1.5 |  | 0.75 |\n" in card
    assert "share of test slices inside" in card
