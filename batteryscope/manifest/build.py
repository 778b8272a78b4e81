"""From the files of a data set to its sample table."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from batteryscope.config.dataset import DatasetSettings
from batteryscope.core.counted import count_of
from batteryscope.errors import ConfigError, InputError
from batteryscope.manifest.attach_targets import attach_targets
from batteryscope.manifest.computed_targets import HalfCellLaw
from batteryscope.manifest.covariates import attach_covariates
from batteryscope.manifest.grades import attach_grades
from batteryscope.manifest.grey_scale import (
    RANGE_COLUMNS,
    SOURCE_COLUMN,
    TYPE_COLUMN,
)
from batteryscope.manifest.inspect import ImageRecord, tabulate_frames
from batteryscope.manifest.labels import read_labels
from batteryscope.manifest.reading import PICTURES, Reading
from batteryscope.manifest.schema import (
    ACQUISITION_COLUMNS,
    NOTED_REASONS,
    ORIGIN_COLUMNS,
    WRITTEN_COLUMN,
    Reject,
    as_reject_table,
    find_dtypes,
    validate_manifest,
)
from batteryscope.manifest.select import select_samples
from batteryscope.manifest.stated_values import convert_stated
from batteryscope.manifest.writing_style import SeenWriting, note_unclear
from batteryscope.readers.pixel_size import describe_unequal
from batteryscope.readers.scan import FolderScan, natural_key


def find_duplicates(table: pd.DataFrame) -> list[Reject]:
    """Find images with equal pixels.

    Parameters
    ----------
    table
        Columns ``path, pixel_digest, class`` in the order in which the first is kept.

    Returns
    -------
    list of Reject
        ``duplicate_content`` for all but the first of a class. Where equal pixels carry
        different classes nobody can say which label is right: all are rejected as
        ``conflicting_labels``.
    """
    rejects: list[Reject] = []
    repeated = table[table["pixel_digest"].duplicated(keep=False)]
    for _, group in repeated.groupby("pixel_digest", sort=False):
        paths, classes = group["path"].tolist(), group["class"].tolist()
        if len(set(classes)) == 1:
            rejects += [
                Reject(
                    path,
                    "duplicate_content",
                    f"shows the same pixels as {paths[0]}, which is kept.",
                )
                for path in paths[1:]
            ]
            continue
        for path, name in zip(paths, classes, strict=True):
            other = next(i for i, c in enumerate(classes) if c != name)
            detail = (
                f"is labelled '{name}', but {paths[other]} shows the same pixels and is labelled "
                f"'{classes[other]}'; take out the wrong one."
            )
            rejects.append(Reject(path, "conflicting_labels", detail))
    return rejects


Rules = Mapping[str, Mapping[str, Any]]
Stated = Mapping[str, Mapping[Any, Any]]  # labels by path and column


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


log = logging.getLogger("batteryscope")


def build_manifest(
    files: FolderScan,
    settings: DatasetSettings,
    root: Path,
    law: HalfCellLaw | None = None,
    reading: Reading = PICTURES,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read all images once and tabulate them.

    Parameters
    ----------
    files
        What :func:`batteryscope.readers.scan.scan_images` found.
    settings
        Labels, expected size, largest size, and which samples to keep.
    root
        Folder of the data set.
    law
        What the half-cell model says, where it computes the targets.
    reading
        How files become records.

    Returns
    -------
    manifest
        The sample table, sorted by ``sample_id``; further named groups or columns of the
        labels come last. What the labels say about the acquisition goes before what
        the files say.
    rejects
        ``path, reason, detail`` of every image that is left out, in natural order.
        Samples that ``where`` leaves out are not listed, only counted in the log.
    frames
        What was measured on the frame of every sample of the manifest.

    Raises
    ------
    InputError
        No image is left, or the label table cannot be used.
    ConfigError
        Label columns or ``where`` name something impossible.
    """
    labels, rejects = read_labels(
        settings.labels,
        files,
        root,
        whole_paths=reading.whole_paths,
        only_class=settings.only_class,
    )
    given = (settings.labels, settings.targets, settings.covariates, settings.cycling)
    tables = {each.table if each else None for each in given}
    rejects += _list_unusable_names(files, tables)
    labelled = [path for path in files.images if path in labels.index]
    answers, labels = reading.inspect(root, labelled, labels, settings)
    rejects += [answer for answer in answers if isinstance(answer, Reject)]
    records = [answer for answer in answers if isinstance(answer, ImageRecord)]
    rejects += _note_sidecars(records)
    rejects += _note_unequal_edges(records)
    # A look into the table for each record would take most of the time of an ingest.
    rows = zip(labels.index, labels.to_dict("records"), strict=True)
    stated: Stated = {path: said for path, said in rows}  # noqa: C416 (typed)
    rejects += note_unclear([_as_seen(record, stated[record.path]) for record in records])
    _warn_about_pages(records)
    _warn_about_curves(records)

    table = _tabulate(records, stated, settings.labels.columns)
    rejects += find_duplicates(table)
    rejects.sort(key=lambda reject: natural_key(reject.path))
    left = {reject.path for reject in rejects if reject.reason not in NOTED_REASONS}
    table = table[~table["path"].isin(left)]
    if table.empty:
        raise InputError(_explain_nothing_left(root, rejects))
    _warn_about_spelling(table["class"])

    dtypes = find_dtypes(settings.labels.columns)
    extra = [c for c in labels.columns if c not in dtypes]
    extra_types: dict[str, str] = dict.fromkeys(extra, "str")
    extra_types |= reading.name_columns(table)
    if table[WRITTEN_COLUMN].notna().any():
        extra_types |= {WRITTEN_COLUMN: "str"}
    extra = list(extra_types)
    manifest = table[[*dtypes, *extra]].astype(dtypes | extra_types)
    manifest = manifest.sort_values("sample_id", ignore_index=True)
    manifest = validate_manifest(manifest, settings.labels.columns)
    kept = select_samples(manifest, settings.where)
    if kept.empty:
        raise InputError(
            f"{root}: dataset.where {settings.where} keeps none of the {len(manifest)} images; "
            "compare it with the manifest's columns."
        )
    if settings.where:
        log.info("dataset.where keeps %d of %d images.", len(kept), len(manifest))
    kept = name_domains(kept, settings.domains).reset_index(drop=True)
    kept = attach_grades(kept, settings.labels.grades)
    kept, without = attach_targets(settings.targets, kept, root, law)
    rejects = [*without, *rejects]  # first, since what a table lacks concerns many images
    if settings.covariates is not None:
        kept, without = attach_covariates(kept, settings.covariates, root, settings.target_names)
        rejects = [*without, *rejects]
    return kept, as_reject_table(rejects), tabulate_frames(records, kept)


def _list_unusable_names(files: FolderScan, tables: set[str | None]) -> list[Reject]:
    detail = "this file type cannot be read as a picture; convert it, or take it out."
    rejects = [
        Reject(path, "unsupported", detail) for path in files.unsupported if path not in tables
    ]
    detail = "is neither a file nor a folder; take it out."
    rejects += [Reject(path, "unreadable", detail) for path in files.special]
    rejects += [Reject(path, "foreign_file", words) for path, words in files.foreign]
    detail = "its name is not valid UTF-8; rename it."
    return rejects + [Reject(path, "unreadable", detail) for path in files.misnamed]


def _tabulate(
    records: Sequence[ImageRecord], stated: Stated, label_columns: Sequence[str]
) -> pd.DataFrame:
    """One row per readable image, all columns still of type object."""
    rows = []
    for record in records:
        said = {k: v for k, v in stated[record.path].items() if isinstance(v, str)}
        row: dict[str, Any] = {
            "sample_id": record.sha256[:16],
            "path": record.path,
            "sha256": record.sha256,
            "pixel_digest": record.pixel_digest,
            "width_px": record.width_px,
            "height_px": record.height_px,
            "bit_depth": record.bit_depth,
            SOURCE_COLUMN: record.bit_depth_source,
            TYPE_COLUMN: record.stored_type,
            WRITTEN_COLUMN: record.written_as,
            **dict(zip(RANGE_COLUMNS, record.grey_range or (None, None), strict=True)),
        }
        row |= {c: said.get(c) for c in ORIGIN_COLUMNS} | {"domain": said.get("domain", "")}
        row |= {c: getattr(record.metadata, c) for c in ACQUISITION_COLUMNS}
        for column in ACQUISITION_COLUMNS:
            if column in said:
                row[column] = convert_stated(said[column], column)
        row |= {c: said.get(c) for c in stated[record.path] if c not in row}
        row["class"] = "_".join(said[c] for c in label_columns)
        rows.append(row)
    columns = ["path", "pixel_digest", "class"]
    return pd.DataFrame(rows, dtype=object) if rows else pd.DataFrame(columns=columns)


def _explain_nothing_left(root: Path, rejects: Sequence[Reject]) -> str:
    counts = Counter(reject.reason for reject in rejects)
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return (
        f"{root}: none of the images can be used ({listed}); "
        f"for example {rejects[0].path}: {rejects[0].detail}"
    )


def _as_seen(record: ImageRecord, said: Mapping[Any, Any]) -> SeenWriting:
    """What a picture still leaves unclear that its labels do not state."""
    instrument = said.get("instrument")
    writing = record.metadata.writing
    open_ones = {n: t for n, t in writing.unclear.items() if not isinstance(said.get(n), str)}
    name = instrument if isinstance(instrument, str) else record.metadata.instrument or ""
    if len(open_ones) < len(writing.unclear):
        writing = replace(writing, unclear=open_ones)
    return SeenWriting(record.path, name, writing)


def _note_sidecars(records: Sequence[ImageRecord]) -> list[Reject]:
    """Note, once, that files beside images were not understood."""
    found = [record for record in records if record.metadata.unread_sidecar]
    if not found:
        return []
    first = found[0]
    place = first.path.rpartition("/")[0]
    name = "/".join(filter(None, [place, first.metadata.unread_sidecar]))
    more = f", nor in {len(found) - 1} more of this kind" if len(found) > 1 else ""
    detail = f"nothing in this file beside {first.path} was understood{more}; it is not used."
    return [Reject(name, "foreign_file", detail)]


def _note_unequal_edges(records: Sequence[ImageRecord]) -> list[Reject]:
    """Note, once, that pixels are no squares and no other source states their size."""
    found = [r for r in records if r.metadata.unequal_edges_um and not r.metadata.pixel_size_um]
    if not found:
        return []
    more = f" ({count_of(len(found), 'picture')} of this kind)" if len(found) > 1 else ""
    detail = describe_unequal(found[0].metadata.unequal_edges_um or (0, 0), more)
    return [Reject(found[0].path, "unclear_metadata", detail)]


def _warn_about_pages(records: Sequence[ImageRecord]) -> None:
    several = [record for record in records if record.n_pages > 1]
    if several:
        log.warning(
            "%d files hold more than one page, only the first page of each is used; "
            "the first such file is %s (%d pages).",
            len(several),
            several[0].path,
            several[0].n_pages,
        )


def _warn_about_curves(records: Sequence[ImageRecord]) -> None:
    bent = [record for record in records if record.curve]
    if bent:
        log.warning(
            "A gamma or transfer function stands in %s, such as %s (%s). It is not applied: grey "
            "levels are read as they are stored, so a browser may show them brighter or darker. "
            "Convert these pictures if others of the data set were saved without.",
            count_of(len(bent), "picture"),
            bent[0].path,
            bent[0].curve,
        )


def _warn_about_spelling(classes: pd.Series) -> None:
    seen: dict[str, str] = {}
    for name in sorted(classes.unique()):
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            log.warning(
                "The classes '%s' and '%s' differ only in upper and lower case; "
                "if they are one class, spell them alike.",
                other,
                name,
            )
