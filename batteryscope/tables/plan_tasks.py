"""Which networks a study of tables trains, and on which rows."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
import pandas as pd

from batteryscope.config.table_study import (
    ProcessArm,
    TableArm,
    TableSplitSettings,
    TableStudySettings,
)
from batteryscope.errors import InputError
from batteryscope.tables.network_tasks import NetworkTask, Rows, TaskKind
from batteryscope.tables.row_order import order_rows
from batteryscope.tables.table_predictions import (
    MAIN_STUDY,
    NETWORKS,
    PROCESSES,
    Family,
    find_family,
)

SplitRows = Callable[[pd.DataFrame, TableSplitSettings, Sequence[str]], pd.DataFrame]
PLAN_COLUMNS = [
    "task", "arm", "target", "domain", "repeat", "fold", "ablation", "value", "parent",
]  # fmt: skip
_KINDS: dict[str, TaskKind] = {
    NETWORKS.source: "scratch",
    "adapter": "adapter",
    "scratch": "scratch",
    "fine_tuning": "fine_tuning",
    PROCESSES.source: "process",
    "transfer_process": "process",
}
_AS_THEY_ARE = (NETWORKS.as_it_is, PROCESSES.as_it_is)
_SOURCE_ROWS_ARMS = (*_AS_THEY_ARE, "adapter", "transfer_process")
_TARGET_ROWS_ARMS = ("adapter", "scratch", "transfer_process")


class Variant(NamedTuple):
    """What an ablation changes; both parts are empty in the study itself."""

    ablation: str = MAIN_STUDY
    value: float | None = None


class Fit(NamedTuple):
    """One training of one target: who trains is decided by variant, repeat and fold."""

    target: str
    variant: Variant
    repeat: int
    fold: int


class RoleKey(NamedTuple):
    """Some rows of one division. ``test_fraction`` is None in the study's own split."""

    test_fraction: float | None
    repeat: int
    fold: int
    domain: str
    role: str


@dataclass(frozen=True)
class StudyPlan:
    """All networks of a study.

    Attributes
    ----------
    tasks
        What is trained.
    table
        One row per arm and domain in which it predicts: ``task`` (name of the task whose
        model predicts; the arms ``pretrained`` and ``pretrained_process`` have none of their
        own and name that of the source), ``arm, target, domain, repeat, fold``, ``ablation``
        (empty, ``source_rows``, ``target_rows`` or ``test_fraction``) with its ``value`` (NaN
        without), ``parent`` (task whose model it builds on, or empty).
    samples
        Names of the rows, sorted, of every division, domain and role.
    """

    tasks: list[NetworkTask]
    table: pd.DataFrame
    samples: Mapping[RoleKey, list[str]]


def plan_tasks(
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    settings: TableStudySettings,
    split_rows: SplitRows,
) -> StudyPlan:
    """List all models of a study with their rows.

    Every target and repeat has a network of the source domain, the arm ``source``, and for arms of
    Gaussian processes a process, ``source_process``. Every other domain has the arms of the
    settings; ``pretrained`` is the source network as it is, ``pretrained_process`` the source
    process. Models on fewer rows take the first ones of ``order_rows``, as the baselines do.

    Parameters
    ----------
    manifest
        ``sample_id``, ``domain``, features and targets as columns.
    split
        ``sample_id, repeat, fold, role``.
    settings
        The study.
    split_rows
        Divides the manifest anew, for the ablation ``test_fractions``.

    Raises
    ------
    InputError
        If the source domain has no rows, or networks would learn from a target that is 0.
    """
    source = settings.dataset.source
    domains = sorted(manifest["domain"].unique())
    if source not in domains:
        raise InputError(
            f"dataset.source: found '{source}', of which the table has no rows; expected one of "
            f"{', '.join(domains)}; correct the name or add the rows."
        )
    features = list(settings.dataset.features)
    samples = _index_samples(manifest, split, None)
    for test_fraction in settings.ablations.test_fractions:
        changed = settings.split.model_copy(update={"test_fraction": test_fraction})
        other = split_rows(manifest, changed, features)
        samples |= _index_samples(manifest, other, test_fraction)
    planner = _Planner(manifest, settings, samples)
    targets_of = [domain for domain in domains if domain != source]
    for target in settings.dataset.targets:
        for fraction, repeat, fold in dict.fromkeys(key[:3] for key in samples):
            variant = Variant() if fraction is None else Variant("test_fraction", fraction)
            fit = Fit(target, variant, repeat, fold)
            parents = planner.add_sources(fit, settings.arms)
            planner.add_arms(fit, targets_of, settings.arms, parents)
            if fraction is None:
                planner.add_source_rows(fit, targets_of)
                planner.add_target_rows(fit, targets_of, parents)
    _check_percentages(planner.tasks, manifest, settings.arms)
    table = pd.DataFrame(planner.records, columns=PLAN_COLUMNS)
    return StudyPlan(planner.tasks, table.astype({"value": "float64"}), samples)


def _index_samples(
    manifest: pd.DataFrame, split: pd.DataFrame, fraction: float | None
) -> dict[RoleKey, list[str]]:
    roles = split.merge(manifest[["sample_id", "domain"]], on="sample_id")
    columns = [roles[name] for name in ("repeat", "fold", "domain", "role", "sample_id")]
    samples: dict[RoleKey, list[str]] = defaultdict(list)
    for repeat, fold, domain, role, sample_id in zip(*columns, strict=True):
        samples[RoleKey(fraction, int(repeat), int(fold), domain, role)].append(sample_id)
    return {key: sorted(samples[key]) for key in sorted(samples, key=lambda key: key[1:])}


def _check_percentages(
    tasks: Sequence[NetworkTask], manifest: pd.DataFrame, arms: Sequence[TableArm]
) -> None:
    """Refuse networks that would learn from a 0, of which their loss, a percentage, is none."""
    for task in tasks:
        for rows in (task.train, task.validation):
            zeros = np.flatnonzero(rows.targets == 0)
            if task.kind == "process" or not len(zeros):
                continue
            row = manifest.set_index("sample_id").loc[rows.sample_ids[zeros[0]]]
            networks = [arm for arm in arms if find_family(arm) is NETWORKS]
            raise InputError(
                f"arms: found {', '.join(networks)}, and the target '{task.target}' is 0 in "
                f"{row['path']}, line {row['row']}; networks learn by the percentage of the true "
                "value that they err, which 0 does not have; expected Gaussian processes alone; "
                f"write arms: [{', '.join(get_args(ProcessArm))}], or leave such rows out."
            )


class _Planner:
    """Collects tasks, and the rows of the table that say what they are for."""

    def __init__(
        self,
        manifest: pd.DataFrame,
        settings: TableStudySettings,
        samples: Mapping[RoleKey, list[str]],
    ) -> None:
        self.settings = settings
        self.samples = samples
        columns = [*settings.dataset.features, *settings.dataset.targets]
        self.rows = manifest.set_index("sample_id")[columns].astype("float64")
        self.tasks: list[NetworkTask] = []
        self.records: list[tuple[object, ...]] = []

    def add_sources(
        self, fit: Fit, arms: Sequence[TableArm], n_rows: int | None = None
    ) -> dict[Family, str]:
        """Add what the arms build on in the source domain; return its name by family."""
        source = self.settings.dataset.source
        families = dict.fromkeys(find_family(arm) for arm in arms)
        return {f: self._add_task(fit, source, f.source, None, n_rows) for f in families}

    def add_arms(
        self,
        fit: Fit,
        domains: Sequence[str],
        arms: Sequence[TableArm],
        parents: Mapping[Family, str],
        n_rows: int | None = None,
    ) -> None:
        """Add some arms of the target domains, on all or on ``n_rows`` of their training rows."""
        for domain in domains:
            for arm in arms:
                parent = parents[find_family(arm)]
                if arm in _AS_THEY_ARE:
                    self._record(parent, fit, domain, arm, parent)
                else:
                    self._add_task(fit, domain, arm, parent, n_rows)

    def add_source_rows(self, fit: Fit, domains: Sequence[str]) -> None:
        """Add source models of fewer rows, and what is transferred from them."""
        arms = [arm for arm in _SOURCE_ROWS_ARMS if arm in self.settings.arms]
        source = self.settings.dataset.source
        for n_rows in self.settings.ablations.source_rows:
            if n_rows < len(self._take_samples(fit, source, "train")):
                fewer = fit._replace(variant=Variant("source_rows", n_rows))
                self.add_arms(fewer, domains, arms, self.add_sources(fewer, arms, n_rows))

    def add_target_rows(
        self, fit: Fit, domains: Sequence[str], parents: Mapping[Family, str]
    ) -> None:
        """Add models of the target domains that have fewer rows."""
        arms = [arm for arm in _TARGET_ROWS_ARMS if arm in self.settings.arms]
        for n_rows in self.settings.ablations.target_rows:
            larger = [d for d in domains if n_rows < len(self._take_samples(fit, d, "train"))]
            fewer = fit._replace(variant=Variant("target_rows", n_rows))
            self.add_arms(fewer, larger, arms, parents, n_rows)

    def _add_task(
        self, fit: Fit, domain: str, arm: str, parent: str | None, n_rows: int | None
    ) -> str:
        kind = _KINDS[arm]
        parent = None if kind == "scratch" else parent
        name = _name_task(fit, domain, arm)
        train = self._take_samples(fit, domain, "train")
        if n_rows is not None:
            train = order_rows(train, self.settings.split.seed, fit.repeat)[:n_rows]
        validation = self._take_samples(fit, domain, "validation")
        self.tasks.append(
            NetworkTask(
                name=name,
                target=fit.target,
                kind=kind,
                network=self.settings.networks[fit.target],
                train=self._take_rows(train, fit.target),
                validation=self._take_rows(validation, fit.target),
                seed_names=(name,),
                parent=parent,
            )
        )
        self._record(name, fit, domain, arm, parent)
        return name

    def _record(self, task: str, fit: Fit, domain: str, arm: str, parent: str | None) -> None:
        ablation, value = fit.variant
        place = (fit.repeat, fit.fold, ablation, np.nan if value is None else value)
        self.records.append((task, arm, fit.target, domain, *place, parent or ""))

    def _take_samples(self, fit: Fit, domain: str, role: str) -> list[str]:
        return self.samples.get(find_role(fit.variant, fit.repeat, fit.fold, domain, role), [])

    def _take_rows(self, sample_ids: Sequence[str], target: str) -> Rows:
        part = self.rows.loc[list(sample_ids)]
        features = part[list(self.settings.dataset.features)].to_numpy()
        return Rows(tuple(sample_ids), features, part[target].to_numpy())


def _name_task(fit: Fit, domain: str, arm: str) -> str:
    ablation, value = fit.variant
    suffix = f"/{ablation}={value:g}" if ablation else ""
    return f"{fit.target}/{domain}/{arm}/r{fit.repeat}_f{fit.fold}{suffix}"


def find_role(variant: Variant, repeat: int, fold: int, domain: str, role: str) -> RoleKey:
    """Return the key of :attr:`StudyPlan.samples` under which a network's rows stand."""
    fraction = variant.value if variant.ablation == "test_fraction" else None
    return RoleKey(fraction, repeat, fold, domain, role)
