"""Which domain a sample belongs to, for example electrodes without and with an additive."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.select import select_samples

Rules = Mapping[str, Mapping[str, Any]]


def name_domains(manifest: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Fill the column ``domain`` by conditions on other columns.

    Parameters
    ----------
    manifest
        Sample table.
    rules
        Domain → column → value or list of values, as ``dataset.where``. Without rules the
        table stays as it is, and so do samples that no rule fits.

    Raises
    ------
    ConfigError
        An unknown column, or a sample that fits two domains.
    InputError
        A domain without samples.
    """
    named = manifest.copy()
    owner = pd.Series("", index=manifest.index)
    for domain, rule in rules.items():
        chosen = select_samples(manifest, rule, f"dataset.domains.{domain}").index
        if chosen.empty:
            raise InputError(
                f"dataset.domains.{domain}: {dict(rule)} fits none of the {len(manifest)} images; "
                "compare it with the manifest's columns."
            )
        if (owner[chosen] != "").any():
            place = owner[chosen][owner[chosen] != ""].index[0]
            raise ConfigError(
                f"dataset.domains: {manifest.loc[place, 'path']} fits both '{owner[place]}' and "
                f"'{domain}'; make the conditions exclude each other."
            )
        owner[chosen] = domain
    named["domain"] = owner.where(owner != "", manifest["domain"]).astype(manifest["domain"].dtype)
    return named
