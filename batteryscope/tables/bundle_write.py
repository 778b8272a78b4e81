"""The networks of a table study put into a folder that can be published and used alone."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from batteryscope.bundle.assemble import finish_bundle, list_common_fields
from batteryscope.bundle.record import Licence, read_json
from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.core.baseline_catalogue import BASELINE_PREFIX
from batteryscope.planning.layout import RowLayout
from batteryscope.provenance import digest_file
from batteryscope.tables.bundle import load_table_bundle
from batteryscope.tables.bundle_card import render_table_card
from batteryscope.tables.bundle_record import (
    EXAMPLE_INPUT_FILE,
    EXAMPLE_OUTPUT_FILE,
    TENSORS_FILE,
    DomainRecord,
    FeatureRecord,
    TableBundleRecord,
    TableData,
    TableMember,
    TargetRecord,
)
from batteryscope.tables.ensemble import (
    Place,
    check_features,
    choose_members,
    read_coverages,
    read_half_widths,
)
from batteryscope.tables.intervals import find_ranges
from batteryscope.tables.labels import name_column, order_domains
from batteryscope.tables.network_files import read_descriptions, read_networks, read_plan
from batteryscope.tables.predict_query import predict_query, read_query
from batteryscope.tables.row_familiarity import write_row_familiarity
from batteryscope.tables.row_schema import read_rows
from batteryscope.tables.summarise_rows import hash_rows
from batteryscope.tables.table_predictions import find_family

EXAMPLES_PER_DOMAIN = 2


def bundle_models(layout: RowLayout, out: Path) -> TableBundleRecord:
    """Bundle the networks of the main arm of a study of rows.

    Raises
    ------
    InputError
        If the networks do not fit the settings, or a piece of the study cannot be read.
    """
    settings, intervals = layout.plan.settings, layout.comparison / "intervals.csv"
    columns = [*settings.dataset.features, *settings.dataset.targets]
    return write_table_bundle(
        out,
        layout.plan.study,
        settings,
        read_rows(layout.data.manifest, columns),
        layout.networks,
        read_half_widths(intervals, settings.main_arm),
        read_coverages(intervals, settings.main_arm),
        read_json(layout.comparison / "metrics.json"),
        read_json(layout.comparison / "findings.json"),
    )


def write_table_bundle(
    out_dir: Path,
    study: str,
    settings: TableStudySettings,
    manifest: pd.DataFrame,
    networks_dir: Path,
    half_widths: Mapping[Place, float],
    coverages: Mapping[Place, float],
    metrics: Mapping[str, float],
    findings: Sequence[Mapping[str, str]] = (),
) -> TableBundleRecord:
    """Write a bundle; the same input gives the same bytes.

    Parameters
    ----------
    out_dir
        Folder to fill.
    study, settings
        Name and settings of the study.
    manifest
        All rows: ``sample_id, domain, group``, features and targets.
    networks_dir
        What training has left.
    half_widths
        (domain, target) → share of the prediction, infinite if unknown.
    coverages
        (domain, target) → share of test rows that such intervals held.
    metrics
        Flat metrics; those of the bundled arms and of the baselines are kept.
    findings
        What a reader must know beside the numbers, as ``{kind, severity, text}``.

    Raises
    ------
    InputError
        If the networks do not fit the settings.
    """
    dataset = settings.dataset
    descriptions = read_descriptions(networks_dir)
    check_features(descriptions["features"], list(dataset.features), networks_dir)
    chosen = choose_members(read_plan(descriptions), settings.main_arm)
    tasks = sorted(set(chosen["task"]))
    tensors = {
        f"{task}/{name}": tensor.contiguous()
        for task, network in read_networks(networks_dir, tasks).items()
        for name, tensor in network.state_dict().items()
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out_dir / TENSORS_FILE)

    own = (f"{settings.main_arm}.", f"{find_family(settings.main_arm).source}.", BASELINE_PREFIX)
    domains = order_domains(dataset, sorted(set(chosen["domain"])))
    known = write_row_familiarity(
        out_dir, manifest, list(dataset.features), domains, settings.evaluate.false_alarms
    )
    record = TableBundleRecord(
        **list_common_fields(study, settings, metrics, own, findings, _state_licence(dataset)),
        kind=TableBundleRecord.kinds[0],
        torch_version=str(torch.__version__),
        arm=settings.main_arm,
        source=dataset.source,
        features=_describe_features(dataset),
        targets=[
            TargetRecord(
                name=name, label=name_column(name, column), unit=column.unit, plausible=column.range
            )
            for name, column in dataset.targets.items()
        ],
        domains=[_describe_domain(domain, manifest, dataset) for domain in domains],
        coverage=settings.evaluate.coverage,
        half_widths=_arrange(half_widths, dataset, domains),
        measured_coverages=_arrange(coverages, dataset, domains),
        members=[
            _describe_member(line, descriptions["networks"]) for line in chosen.to_dict("records")
        ],
        weights_sha256=digest_file(out_dir / TENSORS_FILE),
        data=TableData(
            name=dataset.name,
            generated=dataset.generated,
            digest=hash_rows(manifest),
            rows=len(manifest),
        ),
        familiarity=known,
    )
    keep_example = partial(_write_example, out_dir, record, manifest)
    return finish_bundle(out_dir, record, render_table_card, keep_example)


def _describe_features(dataset: TableDatasetSettings) -> list[FeatureRecord]:
    records = []
    for name, column in dataset.features.items():
        headers = [column.header, *(file.headers.get(name) for file in dataset.files)]
        written = [title for title in headers if title] or [name]
        # Our own name stands for our own unit, unless the tables of the study use it for theirs.
        titles = {name: 1.0} | dict.fromkeys(written, column.scale)
        label = name_column(name, column)
        record = FeatureRecord(
            name=name, label=label, unit=column.unit, titles=titles, plausible=column.range
        )
        records.append(record)
    return records


def _describe_domain(
    domain: str, manifest: pd.DataFrame, dataset: TableDatasetSettings
) -> DomainRecord:
    rows = manifest[manifest["domain"] == domain]
    ranges = find_ranges(rows, list(dataset.features))
    conditions = dataset.domains.get(domain, {})
    return DomainRecord(name=domain, conditions=conditions, rows=len(rows), ranges=ranges)


def _describe_member(line: Mapping[Any, Any], networks: Mapping[str, Any]) -> TableMember:
    own = networks[line["task"]]
    places = {key: line[key] for key in ("task", "arm", "domain", "target", "repeat", "fold")}
    known = {key: own[key] for key in ("best_epoch", "validation_mape", "network")}
    return TableMember.model_validate(places | known)


def _arrange(
    values: Mapping[Place, float], dataset: TableDatasetSettings, domains: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Return target → domain → value; None where it is unknown or infinite."""

    def tell(domain: str, target: str) -> float | None:
        value = values.get((domain, target), np.inf)
        return round(value, 6) if np.isfinite(value) else None

    return {target: {d: tell(d, target) for d in domains} for target in dataset.targets}


def _state_licence(dataset: TableDatasetSettings) -> Licence:
    if dataset.generated:
        return Licence(weights="Weights: MIT; they were learnt from generated rows only.")
    return Licence(
        weights=f"The weights and the example were made from the data set '{dataset.name}'; "
        "whatever its licence demands holds for them too."
    )


def _write_example(out_dir: Path, record: TableBundleRecord, manifest: pd.DataFrame) -> None:
    """Keep the first rows of every domain that get an answer, and what the bundle says of them."""
    bundle = load_table_bundle(out_dir, checked=False)
    known = bundle.familiarity
    ordered = manifest.sort_values("sample_id")
    names = [feature.name for feature in record.features]
    chosen = []
    for domain in record.domain_names:
        own = ordered[ordered["domain"] == domain]
        if known is not None and domain in known.references:
            told = known.judge(domain, own[names].to_numpy(np.float64))
            own = own.iloc[np.argsort([bool(one.reasons) for one in told], kind="stable")]
        chosen.append(own.head(EXAMPLES_PER_DOMAIN))
    rows = pd.concat(chosen)
    example = rows[["domain"]].copy()
    for feature in record.features:
        example[feature.name] = rows[feature.name] / feature.titles[feature.name]
    path = out_dir / EXAMPLE_INPUT_FILE
    example.to_csv(path, index=False, lineterminator="\n")
    answer = predict_query(read_query(path, record), record, bundle.ensemble, known, True)
    answer.to_csv(out_dir / EXAMPLE_OUTPUT_FILE, index=False, lineterminator="\n")
