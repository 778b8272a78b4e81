"""From the files of a data set to its sample table."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from batteryscope.config.dataset import DatasetSettings
from batteryscope.core.plural import count_of
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
Stated = Mapping[str, Sequence[str | None]]  # labels of the records, by column


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
    has_label = set(labels.index)
    labelled = [path for path in files.images if path in has_label]
    answers, labels = reading.inspect(root, labelled, labels, settings)
    rejects += [answer for answer in answers if isinstance(answer, Reject)]
    records = [answer for answer in answers if isinstance(answer, ImageRecord)]
    rejects += _note_sidecars(records)
    rejects += _note_unequal_edges(records)
    stated = _take_texts(labels, records)
    rejects += note_unclear(_list_unclear(records, stated))
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


def _take_texts(labels: pd.DataFrame, records: Sequence[ImageRecord]) -> Stated:
    """Labels of the records in their order; None where a label is empty."""
    chosen = labels.loc[[record.path for record in records]]
    return {
        str(column): [text if isinstance(text, str) else None for text in chosen[column].tolist()]
        for column in chosen.columns
    }


def _tabulate(
    records: Sequence[ImageRecord], stated: Stated, label_columns: Sequence[str]
) -> pd.DataFrame:
    """One row per readable image, all columns still of type object.

    Column by column: a mapping for each row takes several times as long.
    """
    if not records:
        return pd.DataFrame(columns=["path", "pixel_digest", "class"])
    nothing: list[str | None] = [None] * len(records)
    low, high = RANGE_COLUMNS
    table: dict[str, Sequence[Any]] = {
        "sample_id": [record.sha256[:16] for record in records],
        "path": [record.path for record in records],
        "sha256": [record.sha256 for record in records],
        "pixel_digest": [record.pixel_digest for record in records],
        "width_px": [record.width_px for record in records],
        "height_px": [record.height_px for record in records],
        "bit_depth": [record.bit_depth for record in records],
        SOURCE_COLUMN: [record.bit_depth_source for record in records],
        TYPE_COLUMN: [record.stored_type for record in records],
        WRITTEN_COLUMN: [record.written_as for record in records],
        low: [record.grey_range[0] if record.grey_range else None for record in records],
        high: [record.grey_range[1] if record.grey_range else None for record in records],
    }
    table |= {column: stated.get(column, nothing) for column in ORIGIN_COLUMNS}
    table["domain"] = [domain or "" for domain in table["domain"]]
    for column in ACQUISITION_COLUMNS:
        read = [getattr(record.metadata, column) for record in records]
        table[column] = [
            own if text is None else convert_stated(text, column)
            for own, text in zip(read, stated.get(column, nothing), strict=True)
        ]
    table |= {column: texts for column, texts in stated.items() if column not in table}
    parts = [cast("Sequence[str]", stated[column]) for column in label_columns]
    table["class"] = ["_".join(words) for words in zip(*parts, strict=True)]
    return pd.DataFrame(table, dtype=object)


def _explain_nothing_left(root: Path, rejects: Sequence[Reject]) -> str:
    counts = Counter(reject.reason for reject in rejects)
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return (
        f"{root}: none of the images can be used ({listed}); "
        f"for example {rejects[0].path}: {rejects[0].detail}"
    )


def _list_unclear(records: Sequence[ImageRecord], stated: Stated) -> list[SeenWriting]:
    """What pictures still leave unclear that their labels do not state."""
    seen = []
    for i, record in enumerate(records):
        writing = record.metadata.writing
        if not writing.unclear:
            continue
        said = {column: texts[i] for column, texts in stated.items() if texts[i] is not None}
        open_ones = {name: text for name, text in writing.unclear.items() if name not in said}
        instrument = said.get("instrument") or record.metadata.instrument or ""
        seen.append(SeenWriting(record.path, instrument, replace(writing, unclear=open_ones)))
    return seen


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
