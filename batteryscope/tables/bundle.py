"""The networks of a table study in a folder that was published, opened without trust."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from batteryscope.bundle.record import RECORD_FILE
from batteryscope.errors import InputError
from batteryscope.provenance import digest_file
from batteryscope.tables.bundle_record import (
    TENSORS_FILE,
    TableBundleRecord,
    TableMember,
    read_table_record,
)
from batteryscope.tables.ensemble import Place, Predict, TableEnsemble, ask_network
from batteryscope.tables.networks import Stack, build_stack


@dataclass(frozen=True)
class TableBundle:
    """A published model: the content of bundle.json, and its networks."""

    record: TableBundleRecord
    ensemble: TableEnsemble


def load_table_bundle(folder: Path) -> TableBundle:
    """Open a published model; nothing in it is run.

    Raises
    ------
    InputError
        If a file is missing, damaged or changed, or if weights do not fit their description.
    """
    record = read_table_record(folder)
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
    return TableBundle(record, TableEnsemble(members, widths))


def _rebuild_member(
    member: TableMember, tensors: Mapping[str, torch.Tensor], n_features: int
) -> Stack:
    shape = member.network.model_dump()
    inputs = shape["frozen"] if shape["kind"] == "adapter" else shape
    if inputs["n_features"] != n_features:
        raise ValueError(f"{member.task} reads {inputs['n_features']} features, not {n_features}")
    keys = {key: key.rpartition("/") for key in tensors}
    own = {name: tensors[key] for key, (task, _, name) in keys.items() if task == member.task}
    stack = build_stack(shape)
    stack.load_state_dict(own)
    return stack.eval()
