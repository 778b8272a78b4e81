"""What an external data set must have in common with the data set of its study."""

from batteryscope.answers.choose import answer_of
from batteryscope.config.covariates import Covariate, CovariateTable
from batteryscope.config.dataset import DatasetSettings
from batteryscope.errors import ConfigError
from batteryscope.samples.choose import samples_of


def check_external(data: DatasetSettings, external: DatasetSettings, key: str) -> None:
    """Refuse an external data set that the models of a study cannot be judged by.

    Parameters
    ----------
    data, external
        Settings of the study's own and of its external data set.
    key
        Where the latter stands, for messages.

    Raises
    ------
    ConfigError
        One sentence that names the key, what was found and what to do.
    """
    if missing := [c for c in data.labels.columns if c not in external.labels.columns]:
        raise ConfigError(
            f"{key}.labels.columns: '{missing[0]}' is missing; an external data set needs the "
            f"label columns of the study, {data.labels.columns}."
        )
    if external.labels.grades:
        raise ConfigError(
            f"{key}.labels.grades: the models know the order of the classes, so it has no effect "
            "on an external data set; leave it out."
        )
    for dataset in (data, external):
        if why := samples_of(dataset).not_external:
            raise ConfigError(f"{key}: {why}")
    answer_of(data).check_external(data, external, key)


def check_external_covariates(
    given: CovariateTable | None, external: DatasetSettings, key: str
) -> None:
    """Refuse covariates of an external data set that are not those of the models.

    Parameters
    ----------
    given
        What the models learnt beside pictures; None if nothing.
    external
        Settings of the external data set.
    key
        Where they stand, for messages.

    Raises
    ------
    ConfigError
        One sentence that names the key, what was found and what to do.
    """
    if external.covariates is None:
        return
    if given is None:
        raise ConfigError(
            f"{key}.covariates: the published models are given no covariates, so these have no "
            "effect; leave it out."
        )
    known = {c.name: c for c in given.listed}
    found = {c.name: c for c in external.covariates.listed}
    where = f"{key}.covariates.columns"
    if missing := [name for name in known if name not in found]:
        raise ConfigError(
            f"{where}: '{missing[0]}' is missing; an external data set needs the covariates of the "
            f"study, {', '.join(known)}."
        )
    if unknown := [name for name in found if name not in known]:
        raise ConfigError(
            f"{where}.{unknown[0]}: the models are given {', '.join(known)} alone, so it has no "
            "effect; leave it out."
        )
    for name, own in known.items():
        if _describe(own) != _describe(found[name]):
            raise ConfigError(
                f"{where}.{name}: found {_describe(found[name])}, but the models learnt it from "
                f"{_describe(own)}; give the same here as in dataset.covariates, and values that "
                "agree with it."
            )


def _describe(covariate: Covariate) -> str:
    if covariate.categories:
        return f"the names {', '.join(sorted(covariate.categories))}"
    return f"numbers in {covariate.unit}"
