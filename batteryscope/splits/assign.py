"""Who trains, who validates, who tests: for every repeat and fold."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from batteryscope.config.split import SplitSettings
from batteryscope.core.plural import count_of
from batteryscope.errors import InputError
from batteryscope.manifest.select import describe_conditions, select_samples
from batteryscope.samples.choose import samples_in
from batteryscope.splits.order import order_groups
from batteryscope.splits.take_part import (
    count_members,
    rank_by_lot,
    share_of,
    take_last,
    take_part,
)

SPLIT_COLUMNS = ["sample_id", "group_id", "repeat", "fold", "role"]
Roles = Mapping[str, str]


def split_samples(
    manifest: pd.DataFrame, groups: pd.Series, settings: SplitSettings
) -> pd.DataFrame:
    """Give every sample a role in every repeat and fold.

    Whole groups move together, and every class is spread over the parts in the same
    proportions. The lot of a group depends on its name, not on the other groups, so that
    an added image leaves nearly all others where they were.

    ``validation_fraction`` counts from what is left after the test part. With
    ``validate_on_test`` every tested sample has a second row, which validates.

    Parameters
    ----------
    manifest
        Sample table: ``sample_id``, ``class``, and for the scheme ``ordered`` ``acquired_at``
        and ``path``.
    groups
        Group by ``sample_id``.
    settings
        Scheme and fractions.

    Returns
    -------
    DataFrame
        ``sample_id, group_id, repeat, fold, role``, sorted by repeat, fold and sample (those that
        validate once more come last in each fold).

    Raises
    ------
    InputError
        A class has fewer groups than the scheme has parts, or is left without training data.
    """
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    classes = manifest.set_index("sample_id")["class"]
    groups = groups.loc[classes.index]
    testable = find_testable_groups(manifest, groups, settings.test_where, settings.shared_where)
    counts = count_members(name_strata(manifest), groups)
    _check_enough_groups(counts, testable, groups, settings, manifest)
    if not settings.stratify and settings.scheme != "ordered":
        counts = counts.sum(axis=1).to_frame("all")
    parts = []
    scheme = _SCHEMES[settings.scheme]
    for repeat, fold, roles in scheme(manifest, groups, counts, testable, settings):
        part = groups.rename_axis("sample_id").reset_index()
        role = part["group_id"].map(roles).fillna("train").astype("str")
        part = part.assign(repeat=repeat, fold=fold, role=role)
        parts.append(part)
        if settings.validate_on_test:
            parts.append(part[part["role"] == "test"].assign(role="validation"))
    split = pd.concat(parts, ignore_index=True)[SPLIT_COLUMNS]
    if settings.scheme != "leave_one_out":
        _check_training(split, classes)
    return split


def name_strata(manifest: pd.DataFrame) -> "pd.Series[str]":
    """Name by ``sample_id`` what a split spreads evenly: classes, of each domain by itself."""
    table = manifest.set_index("sample_id")
    if "domain" not in table or table["domain"].nunique() < 2:
        return table["class"]
    return table["class"] + " of " + table["domain"]


def find_testable_groups(
    manifest: pd.DataFrame,
    groups: pd.Series,
    where: Mapping[str, Any],
    shared: Mapping[str, Any] | None = None,
) -> list[str]:
    """List the groups that may be tested: those all of whose samples fit the conditions.

    Samples that fit the conditions ``shared`` count both among those and among the others; they
    fit ``where`` too, since what is judged goes by ``where`` alone.

    Raises
    ------
    InputError
        No group fits, a class exists on one side of the conditions only, or shared samples are
        not among those that may be tested.
    ConfigError
        The conditions name an unknown column.
    """
    if not where:
        return sorted(set(groups))
    fits = select_samples(manifest, where, "split.test_where")
    both = select_samples(manifest, shared, "split.shared_where") if shared else manifest.iloc[:0]
    if lost := sorted(set(both["sample_id"]) - set(fits["sample_id"])):
        raise InputError(
            f"split.shared_where {dict(shared or {})} fits {len(lost)} images (as {lost[0]}) that "
            f"split.test_where {dict(where)} does not fit, so they would never be judged; let "
            "test_where fit them too, such as domain: [additive, shared]."
        )
    others = manifest.drop(index=fits.index)
    found = set(groups.loc[fits["sample_id"]]) - set(groups.loc[others["sample_id"]])
    others = pd.concat([others, both])
    if not found:
        present = "; ".join(f"{c}: {_list_values(manifest[c])}" for c in where)
        raise InputError(
            f"split.test_where {dict(where)} (of the split itself, or of a sweep over "
            "dataset.where) fits no image whose whole group fits, so there is nothing to test. "
            f"The images have {present}; ask for values among these."
        )
    asked = describe_conditions(where)
    for here, there, place, lacking in (
        (fits, others, "elsewhere", f"with {asked} (split.test_where)"),
        (others, fits, f"with {asked} (split.test_where)", "elsewhere"),
    ):
        if len(here) and (missing := sorted(set(there["class"]) - set(here["class"]))):
            raise InputError(
                f"Class '{missing[0]}' has images {place}, but none {lacking}; add such images, or "
                "leave the class out with dataset.where."
            )
    return sorted(found)


def _list_values(column: pd.Series, most: int = 8) -> str:
    values = sorted(column.dropna().astype(str).unique())
    return ", ".join(values[:most] + ["…"] * (len(values) > most)) or "no value"


def _split_holdout(
    _manifest: pd.DataFrame,
    _groups: pd.Series,
    counts: pd.DataFrame,
    testable: list[str],
    settings: SplitSettings,
) -> Iterator[tuple[int, int, Roles]]:
    for repeat in range(settings.repeats):
        ranked = rank_by_lot(testable, settings.seed, "test", repeat)
        target = share_of(counts.loc[testable].sum().to_numpy(), settings.test_fraction)
        test = take_part(counts, ranked, target, n_left=_count_left(settings))
        yield repeat, 0, _with_validation(counts, test, settings, repeat, 0)


def _split_kfold(
    _manifest: pd.DataFrame,
    _groups: pd.Series,
    counts: pd.DataFrame,
    testable: list[str],
    settings: SplitSettings,
) -> Iterator[tuple[int, int, Roles]]:
    for repeat in range(settings.repeats):
        parts = _deal_parts(counts.loc[testable], settings, repeat)
        for fold, test in enumerate(parts):
            yield repeat, fold, _with_validation(counts, test, settings, repeat, fold)


def _split_holdout_kfold(
    _manifest: pd.DataFrame,
    _groups: pd.Series,
    counts: pd.DataFrame,
    testable: list[str],
    settings: SplitSettings,
) -> Iterator[tuple[int, int, Roles]]:
    ranked = rank_by_lot(testable, settings.seed, "test", 0)
    target = share_of(counts.loc[testable].sum().to_numpy(), settings.test_fraction)
    test = take_part(counts, ranked, target, n_left=settings.folds)
    rest = counts.drop(index=test)
    for repeat in range(settings.repeats):
        for fold, validation in enumerate(_deal_parts(rest, settings, repeat)):
            yield repeat, fold, _name_roles(test, validation)


def _split_ordered(
    manifest: pd.DataFrame,
    groups: pd.Series,
    counts: pd.DataFrame,
    testable: list[str],
    settings: SplitSettings,
) -> Iterator[tuple[int, int, Roles]]:
    test: list[str] = []
    validation: list[str] = []
    for everything in order_groups(manifest, groups).values():
        others = [name for name in everything if name not in set(testable)]
        total = int(counts.loc[others].to_numpy().sum())
        if others:
            share = _share(total, settings.validation_fraction)
            validation += take_last(counts, others, share, n_left=1)
        ordered = [name for name in everything if name in set(testable)]
        if not ordered:
            continue
        total = int(counts.loc[ordered].to_numpy().sum())
        share = _share(total, settings.test_fraction)
        last = take_last(counts, ordered, share, n_left=_count_left(settings))
        earlier = [name for name in ordered if name not in set(last)]
        total = int(counts.loc[earlier].to_numpy().sum())
        test += last
        if settings.validate_on_test:
            continue
        validation += take_last(
            counts, earlier, _share(total, settings.validation_fraction), n_left=1
        )
    for repeat in range(settings.repeats):
        yield repeat, 0, _name_roles(test, validation)


def _split_leave_one_out(
    manifest: pd.DataFrame,
    groups: pd.Series,
    counts: pd.DataFrame,
    testable: list[str],
    settings: SplitSettings,
) -> Iterator[tuple[int, int, Roles]]:
    column = settings.leave_out
    if column not in manifest.columns:
        raise InputError(
            f"split.leave_out: the manifest has no column '{column}'; "
            f"known columns: {', '.join(manifest.columns)}."
        )
    values = manifest.set_index("sample_id")[column].loc[groups.index]
    found = {
        str(name): sorted(set(part.dropna())) for name, part in values.groupby(groups.to_numpy())
    }
    if mixed := [name for name, own in found.items() if len(own) != 1]:
        raise InputError(
            f"The group '{mixed[0]}' has {len(found[mixed[0]])} values of '{column}', but "
            "split.scheme 'leave_one_out' needs one; choose another split.group or leave_out."
        )
    value_of = {name: own[0] for name, own in found.items()}
    if len(set(value_of.values())) < 3:
        raise InputError(
            f"The column '{column}' has {len(set(value_of.values()))} values, but leaving one out "
            "needs at least 3; take another split.scheme."
        )
    for repeat in range(settings.repeats):
        for fold, value in enumerate(sorted({value_of[name] for name in testable})):
            test = sorted(name for name in testable if value_of[name] == value)
            yield repeat, fold, _with_validation(counts, test, settings, repeat, fold)


_SCHEMES: dict[str, Any] = {
    "holdout": _split_holdout,
    "kfold": _split_kfold,
    "holdout_kfold": _split_holdout_kfold,
    "ordered": _split_ordered,
    "leave_one_out": _split_leave_one_out,
}


def _deal_parts(counts: pd.DataFrame, settings: SplitSettings, repeat: int) -> list[list[str]]:
    """Divide all groups into as many parts as there are folds."""
    left = rank_by_lot(list(counts.index), settings.seed, "fold", repeat)
    total = counts.sum().to_numpy()
    # Different classes round up in different folds, so that the folds are equally large.
    offset = np.arange(len(total)) / len(total)
    parts: list[list[str]] = []
    done = np.zeros_like(total)
    for fold in range(settings.folds - 1):
        until = np.floor(total * (fold + 1) / settings.folds + offset).astype(np.int64)
        part = take_part(counts, left, until - done, n_left=settings.folds - 1 - fold)
        parts.append(part)
        done = done + counts.loc[part].sum().to_numpy()
        left = [name for name in left if name not in set(part)]
    return [*parts, left]


def _with_validation(
    counts: pd.DataFrame, test: list[str], settings: SplitSettings, repeat: int, fold: int
) -> Roles:
    if settings.validate_on_test:
        return _name_roles(test, [])
    rest = counts.drop(index=test)
    ranked = rank_by_lot(list(rest.index), settings.seed, "validation", repeat, fold)
    target = share_of(rest.sum().to_numpy(), settings.validation_fraction)
    return _name_roles(test, take_part(rest, ranked, target, n_left=1))


def _count_left(settings: SplitSettings) -> int:
    """Return the groups that the test part leaves: one that trains, and one that validates."""
    return 1 if settings.validate_on_test else 2


def _name_roles(test: list[str], validation: list[str]) -> Roles:
    return dict.fromkeys(validation, "validation") | dict.fromkeys(test, "test")


def _share(total: int, fraction: float) -> int:
    return int(share_of(np.array([total]), fraction)[0])


def _check_enough_groups(
    counts: pd.DataFrame,
    testable: list[str],
    groups: pd.Series,
    settings: SplitSettings,
    manifest: pd.DataFrame,
) -> None:
    needed, why = settings.needed_groups
    word = _name_unit(manifest, groups)
    advice = "add images of it, or leave it out with dataset.where"
    if word == "cell":
        advice += (
            "; slices of one cell cannot test how a new cell is judged (split.group: slice would "
            "divide them and make the result too good)"
        )
    if word == "group":
        advice += "; split.group: image would divide groups and make the result too good"
    if "folds" in why:
        advice += "; or make split.folds smaller"
    if len(counts) < needed:
        raise InputError(
            f"The data set has {count_of(len(counts), word)}, but split.scheme '{settings.scheme}' "
            f"needs at least {needed} ({why}); {advice.replace(' of it', '')}."
        )
    if settings.stratify or settings.scheme == "ordered":
        n_groups = (counts.loc[testable] > 0).sum()
        n_groups = n_groups[n_groups > 0]
        name, n = min(n_groups.items(), key=lambda item: (item[1], item[0]))
        if n < needed:
            raise InputError(
                f"Class '{name}' has only {count_of(int(n), word)}, but split.scheme "
                f"'{settings.scheme}' needs at least {needed} ({why}); {advice}."
            )


def _name_unit(manifest: pd.DataFrame, groups: pd.Series) -> str:
    samples = samples_in(manifest.columns)
    return samples.noun if groups.is_unique else samples.group


def _check_training(split: pd.DataFrame, classes: pd.Series) -> None:
    trained = split[split["role"] == "train"]
    names = classes.loc[trained["sample_id"]].to_numpy()
    for (repeat, fold), part in trained.assign(name=names).groupby(["repeat", "fold"]):
        missing = sorted(set(classes) - set(part["name"]))
        if missing:
            raise InputError(
                f"Class '{missing[0]}' has no training sample in repeat {repeat}, fold {fold}, "
                "because its groups hold other classes as well; set split.stratify: true, "
                "make the fractions smaller, or add groups of this class."
            )
