"""Domains by conditions on the columns of the manifest."""

import pandas as pd
import pytest

from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.build import name_domains

TABLE = pd.DataFrame(
    {
        "path": ["a.png", "b.png", "c.png"],
        "additive": ["none", "VC", "FEC"],
        "kv": [5.0, 5.0, 20.0],
        "domain": ["", "", "stated"],
    }
)


def test_conditions_name_domains():
    rules = {"plain": {"additive": "none"}, "additive": {"additive": ["VC"], "kv": 5}}
    assert name_domains(TABLE, rules)["domain"].tolist() == ["plain", "additive", "stated"]
    assert TABLE["domain"].tolist() == ["", "", "stated"]
    assert name_domains(TABLE, {}).equals(TABLE)


def test_impossible_conditions_are_explained():
    with pytest.raises(ConfigError, match=r"b.png fits both 'one' and 'two'"):
        name_domains(TABLE, {"one": {"additive": "VC"}, "two": {"kv": 5}})
    with pytest.raises(InputError, match=r"dataset.domains.one: .* fits none of the 3 images"):
        name_domains(TABLE, {"one": {"additive": "LiBOB"}})
    with pytest.raises(ConfigError, match=r"dataset.domains.one.aditive: .* did you mean"):
        name_domains(TABLE, {"one": {"aditive": "VC"}})
