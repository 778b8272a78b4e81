"""What the report of a study of tables is made from, read and in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.table_study import TableStudySettings
from batteryscope.planning.layout import RowLayout
from batteryscope.provenance import digest_json
from batteryscope.report.read_pieces import (
    TEXT_COLUMNS,
    read_files,
    read_json,
    read_needed_table,
    read_table,
)
from batteryscope.tables.labels import order_domains
from batteryscope.tables.table_predictions import find_family

TEXTS = (*TEXT_COLUMNS, "ablation", "feature", "first", "second", "role_of_second", "task", "role")
COPIED = (
    "comparison.csv", "metrics.json", "ablations.csv", "intervals.csv", "paired.csv",
    "findings.json", "break_even.csv",
)  # fmt: skip
EXPLANATIONS = ("shap_values.csv", "ranking.csv", "rank_changes.csv", "partial_dependence.csv")


@dataclass(frozen=True)
class TableEvidence:
    """All pieces of the report of a study of tables; None or empty where one is missing.

    ``search`` tells how the ``proposals`` were found. ``intervals`` holds what sums up all
    repeats, ``fits`` the trained networks of the main study (``arm, target, domain, repeat,
    trained_parameters, best_epoch``). ``files`` are tables to copy beside the report, by name;
    ``data_hash`` identifies the rows that were used.
    """

    study: str
    settings: TableStudySettings
    generated: bool
    comparison: pd.DataFrame
    manifest: pd.DataFrame | None = None
    rejects: pd.DataFrame | None = None
    split: pd.DataFrame | None = None
    predictions: pd.DataFrame | None = None
    histories: pd.DataFrame | None = None
    fits: pd.DataFrame | None = None
    ablations: pd.DataFrame | None = None
    intervals: pd.DataFrame | None = None
    paired: pd.DataFrame | None = None
    findings: tuple[Mapping[str, Any], ...] | None = None
    shap_values: pd.DataFrame | None = None
    rank_changes: pd.DataFrame | None = None
    dependence: pd.DataFrame | None = None
    proposals: pd.DataFrame | None = None
    sweeps: pd.DataFrame | None = None
    search: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    data_hash: str = ""
    commit: str = ""

    @property
    def domains(self) -> list[str]:
        """Domains of the comparison, the source first."""
        present = set(self.comparison["domain"]) - {""}
        return order_domains(self.settings.dataset, sorted(present))

    @property
    def target_domains(self) -> list[str]:
        """Domains that the source network is transferred to."""
        return [d for d in self.domains if d != self.settings.dataset.source]

    @property
    def errors(self) -> pd.DataFrame:
        """The MAPE of all arms, in percent."""
        return self.comparison[self.comparison["metric"] == "mape"]

    @property
    def drawn_errors(self) -> pd.DataFrame:
        """The errors of all arms: MAPE, or MAE of targets that are 0 somewhere."""
        measured = self.comparison.dropna(subset="mean")
        cases = {
            metric: set(zip(rows["target"], rows["domain"], strict=True))
            for metric, rows in measured.groupby("metric")
        }
        absolute = {target for target, _ in cases.get("mae", set()) - cases.get("mape", set())}
        drawn = self.comparison["target"].map(lambda t: "mae" if t in absolute else "mape")
        return self.comparison[self.comparison["metric"] == drawn]

    def errors_of(self, target: str, domain: str) -> pd.DataFrame:
        """Return the errors of all arms in one case: MAPE, or MAE where a true value is 0."""
        rows = self.comparison
        rows = rows[(rows["target"] == target) & (rows["domain"] == domain)]
        ours = rows.dropna(subset="mean")["metric"]
        metric = "mae" if (ours == "mae").any() and not (ours == "mape").any() else "mape"
        return rows[rows["metric"] == metric]

    def arm_of(self, domain: str) -> str:
        """Return the arm that answers for a domain: the main one, at home its source."""
        main = self.settings.main_arm
        return find_family(main).source if domain == self.settings.dataset.source else main


def collect_table_evidence(layout: RowLayout, commit: str = "") -> TableEvidence:
    """Read everything that the report shows.

    Parameters
    ----------
    layout
        Where the pieces lie; only the comparison has to exist. Data count as generated if the
        settings name no files.
    commit
        The version of the code.

    Raises
    ------
    InputError
        If ``comparison.csv`` is missing or a file cannot be read.
    """
    settings = layout.plan.settings
    comparison = read_needed_table(layout.comparison / "comparison.csv", TEXTS)
    manifest = read_table(layout.data.manifest)
    proposals = layout.proposals if settings.propose else None
    intervals = _read(layout.comparison, "intervals.csv")
    if intervals is not None and "repeat" in intervals:
        intervals = intervals[intervals["repeat"].isna()]
    findings = read_json(layout.comparison / "findings.json")
    files = read_files(layout.comparison, COPIED)
    files |= read_files(layout.explained, EXPLANATIONS)
    if proposals is not None:
        files |= read_files(proposals, ("proposals.csv",))
    if layout.sweeps is not None:
        files |= read_files(layout.sweeps, ("sweeps.csv",))
    return TableEvidence(
        study=layout.plan.study,
        settings=settings,
        generated=settings.dataset.generated,
        comparison=comparison,
        manifest=manifest,
        rejects=read_table(layout.data.rejects, TEXTS),
        split=read_table(layout.split().roles),
        predictions=_read(layout.networks, "predictions.parquet"),
        histories=_read(layout.networks, "histories.parquet", "histories.csv"),
        fits=_list_fits(layout.networks),
        ablations=_read(layout.comparison, "ablations.csv"),
        intervals=intervals,
        paired=_read(layout.comparison, "paired.csv"),
        findings=None if findings is None else tuple(findings),
        shap_values=_read(layout.explained, "shap_values.csv"),
        rank_changes=_read(layout.explained, "rank_changes.csv"),
        dependence=_read(layout.explained, "partial_dependence.csv"),
        proposals=_read(proposals, "proposals.csv"),
        sweeps=_read(layout.sweeps, "sweeps.csv"),
        search=read_json(proposals / "proposals.json") if proposals else {},
        files=files,
        data_hash=_identify_rows(layout.data.summary, manifest),
        commit=commit,
    )


def _read(folder: Path | None, *names: str) -> pd.DataFrame | None:
    """Read the first of some tables that exists; None also for one without rows."""
    for name in names if folder is not None else ():
        table = read_table(Path(folder or ".") / name, TEXTS)
        if table is not None and not table.empty:
            return table
    return None


def _list_fits(folder: Path) -> pd.DataFrame | None:
    """List the networks of the main study with what training found, from ``networks.json``."""
    values = read_json(folder / "networks.json")
    if not values or not values.get("plan"):
        return None
    plan = pd.DataFrame(values["plan"])
    plan = plan[plan["ablation"].fillna("") == ""]
    facts = [values["networks"].get(task, {}) for task in plan["task"]]
    return plan.assign(
        trained_parameters=[fact.get("trained_parameters") for fact in facts],
        best_epoch=[fact.get("best_epoch") for fact in facts],
    ).dropna(subset=["trained_parameters", "best_epoch"])


def _identify_rows(place: Path, manifest: pd.DataFrame | None) -> str:
    summary = read_json(place)
    if summary and "manifest_hash" in summary:
        return str(summary["manifest_hash"])
    return "" if manifest is None else digest_json(sorted(manifest["sample_id"].astype(str)))
