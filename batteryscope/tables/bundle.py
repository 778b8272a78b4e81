"""The models of a table study in a folder that was published, opened without trust."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from batteryscope.bundle.integrity import check_example, check_seal, list_not_finite
from batteryscope.bundle.record import RECORD_FILE
from batteryscope.config.table_format import TableFormat
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.provenance import digest_file
from batteryscope.tables.bundle_record import (
    EXAMPLE_INPUT_FILE,
    EXAMPLE_OUTPUT_FILE,
    TENSORS_FILE,
    TableBundleRecord,
    TableMember,
    read_record,
)
from batteryscope.tables.ensemble import Place, Predict, TableEnsemble, ask_network
from batteryscope.tables.networks import Stack, build_stack
from batteryscope.tables.predict_query import predict_query, read_query
from batteryscope.tables.row_familiarity import RowFamiliarity, read_row_familiarity


@dataclass(frozen=True)
class TableBundle:
    """A published model: the content of bundle.json, its networks, and what rows they know."""

    record: TableBundleRecord
    ensemble: TableEnsemble
    familiarity: RowFamiliarity | None = None


def load_table_bundle(folder: Path, *, checked: bool = True) -> TableBundle:
    """Open a published model; nothing in it is run.

    Parameters
    ----------
    folder
        The bundle.
    checked
        Compare all files with their digests, and the answer to the example with the stored one;
        False while a bundle is being written.

    Raises
    ------
    InputError
        If a file is missing, damaged or changed, if weights do not fit their description, or if
        the example is not answered as it was.
    """
    record = read_record(folder)
    path = folder / TENSORS_FILE
    if not path.is_file():
        raise InputError(f"{path}: this file of the bundle is missing; publish or fetch it again.")
    if (found := digest_file(path)) != record.weights_sha256:
        raise InputError(
            f"{path}: the weights have SHA-256 {found[:12]}…, but {RECORD_FILE} says "
            f"{record.weights_sha256[:12]}…; the file is damaged or of another training. "
            "Publish or fetch the bundle again."
        )
    try:
        tensors = load_file(path)
        if broken := list_not_finite(tensors):
            raise ValueError(f"{broken[0]} holds numbers that are not finite")
        members: dict[Place, list[Predict]] = {}
        for member in record.members:
            stack = _rebuild_member(member, tensors, len(record.features))
            members.setdefault((member.domain, member.target), []).append(ask_network(stack))
    except Exception as error:  # safetensors has an exception class of its own
        raise InputError(
            f"{path}: the weights do not fit {RECORD_FILE} ({str(error).splitlines()[0]}); "
            "publish or fetch the bundle again."
        ) from None
    widths = {
        (domain, target): np.inf if width is None else width
        for target, own in record.half_widths.items()
        for domain, width in own.items()
    }
    known = read_row_familiarity(folder, record.familiarity, len(record.features))
    bundle = TableBundle(record, TableEnsemble(members, widths), known)
    if checked:
        check_seal(folder)
        _check_example(folder, bundle)
    return bundle


def answer_rows(
    rows: pd.DataFrame, bundle: TableBundle, answer_anyway: bool = False
) -> pd.DataFrame:
    """Predict rows in memory as ``predict_table.py`` predicts those of a file; None where empty.

    A column with the name of a feature holds it in the unit of the study, also where files have it
    in another one under this name.

    Raises
    ------
    InputError
        A feature is missing, or nothing tells the domain.
    """
    named = [
        feature.model_copy(update={"titles": feature.titles | {feature.name: 1.0}})
        for feature in bundle.record.features
    ]
    record = bundle.record.model_copy(update={"features": named})
    with TemporaryDirectory() as held:
        path = Path(held) / "rows.csv"
        rows.to_csv(path, index=False)
        written = TableFormat(encoding="utf-8", separator=",", decimal=".")
        try:
            query = read_query(path, record, written=written)
        except InputError as error:
            raise InputError(str(error).replace(f"{held}/", "")) from None
    found = predict_query(query, bundle.record, bundle.ensemble, bundle.familiarity, answer_anyway)
    return found.astype(object).where(found.notna(), None)  # JSON knows no NaN


def _check_example(folder: Path, bundle: TableBundle) -> None:
    """Refuse a bundle that no longer says of its example what it said."""
    path = folder / EXAMPLE_OUTPUT_FILE
    try:
        stored = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        what = f"is not readable ({first_line(error)})" if path.is_file() else "is missing"
        raise InputError(
            f"{path}: this file of the bundle {what}; publish or fetch the bundle again."
        ) from None
    query = read_query(folder / EXAMPLE_INPUT_FILE, bundle.record)
    found = predict_query(query, bundle.record, bundle.ensemble, bundle.familiarity, True)
    if len(found) != len(stored):
        raise InputError(
            f"{path}: {len(stored)} answers are stored, {len(found)} are given; publish or fetch "
            "the bundle again."
        )
    answers = [str(column) for column in stored if column not in ("reason", "note")]
    for expected, given in zip(stored.to_dict("records"), found.to_dict("records"), strict=True):
        known, told = (
            {key: None if pd.isna(row.get(key)) else row[key] for key in answers}
            for row in (expected, given)
        )
        check_example(known, told, path, "cpu")


def _count_network(shape: Mapping[str, Any]) -> int:
    """Weights that a described network has at least, without its biases and scales."""
    nodes = int(shape["nodes"])
    return int(shape["n_features"] * nodes + nodes**2 * (shape["hidden_layers"] - 1) + nodes)


def _count_adapter(shape: Mapping[str, Any]) -> int:
    return _count_network(shape["frozen"]) + _count_network(shape["adapter"])


def _count_process(shape: Mapping[str, Any]) -> int:
    """Numbers that a described process has at least: its rows, their weights, its lengths."""
    parent = _count_process(shape["parent"]) if shape["parent"] else 0
    return int(shape["rows"] * (shape["n_features"] + 2) + shape["n_features"]) + parent


def _count_processes(shape: Mapping[str, Any]) -> int:
    return sum(_count_process(member) for member in shape["members"])


_COUNTS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "network": _count_network,
    "adapter": _count_adapter,
    "process": _count_process,
    "processes": _count_processes,
}


def _rebuild_member(
    member: TableMember, tensors: Mapping[str, torch.Tensor], n_features: int
) -> Stack:
    shape = member.network.model_dump()
    inputs = shape.get("members", [shape.get("frozen", shape)])
    if found := {part["n_features"] for part in inputs} - {n_features}:
        raise ValueError(f"{member.task} reads {min(found)} features, not {n_features}")
    keys = {key: key.rpartition("/") for key in tensors}
    own = {name: tensors[key] for key, (task, _, name) in keys.items() if task == member.task}
    wanted = _COUNTS[shape["kind"]](shape)
    if wanted > sum(tensor.numel() for tensor in own.values()):
        raise ValueError(f"{member.task} is described with {wanted} weights, more than it has")
    stack = build_stack(shape)
    stack.load_state_dict(own)
    return stack.eval()
