"""What is asked for in ``evaluate`` but cannot have an effect in a study is refused."""

from collections.abc import Mapping, Sequence

from batteryscope.answers.choose import answer_of
from batteryscope.config.covariates import Covariate, CovariateTable
from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.study import StudySettings
from batteryscope.core.baseline_catalogue import Baseline, Need
from batteryscope.errors import ConfigError
from batteryscope.samples.choose import samples_cut_by, samples_of


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


def check_evaluate(study: StudySettings, preprocess: PreprocessSettings, key: str) -> None:
    """Refuse baselines that were asked for although they cannot have an effect.

    Parameters
    ----------
    study
        The study.
    preprocess
        Of the main arm, beside whose tiles measurements lie.
    key
        Where ``evaluate`` stands, for messages.

    Raises
    ------
    ConfigError
        Naming the key, what was found and what can be asked for.
    """
    if "baselines" in study.evaluate.model_fields_set:
        wanted = study.evaluate.baselines
        offered = list_offered(study, preprocess)
        known = answer_of(study.dataset).find_baselines(study.dataset)
        _check_baselines(wanted, known, offered, f"{key}.baselines")


def list_offered(study: StudySettings, preprocess: PreprocessSettings) -> set[Need]:
    """List what baselines can get in a study of pictures."""
    offered = set(samples_cut_by(preprocess).offers)
    return offered if study.dataset.covariates is None else offered | {"covariates"}


def _check_baselines(
    wanted: Sequence[str], known: Mapping[str, Baseline], offered: set[Need], key: str
) -> None:
    choice = [n for n, own in known.items() if own.is_asked_for and own.needs <= offered]
    given = [n for n, own in known.items() if not own.is_asked_for and own.needs <= offered]
    for name in wanted:
        baseline = known.get(name)
        if baseline is not None and (lacking := sorted(baseline.needs - offered)):
            raise ConfigError(
                f"{key}: '{name}' needs {NEEDS[lacking[0]]}, which this study does not have; "
                f"choose among {', '.join(choice)}, or leave it out."
            )
        if baseline is None or not baseline.is_asked_for:
            can = f"choose among {', '.join(choice)}" if choice else "leave baselines out"
            raise ConfigError(
                f"{key}: '{name}' has no effect here, where {', '.join(given)} are always "
                f"compared; {can}."
            )


NEEDS: Mapping[Need, str] = {
    "labels": "labels",
    "grey_levels": "grey levels of pictures",
    "metadata": "the settings of an instrument",
    "texture": "tiles",
    "thresholds": "crops of coatings (preprocess.method coating_crop)",
    "thickness": "crops of coatings (preprocess.method coating_crop)",
    "windings": "scans of cells (dataset.volumes)",
    "rows": "rows of a table",
    "covariates": "values beside the pictures (dataset.covariates)",
}
