"""The content of a table study's bundle.json: all that its networks need beside the weights."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from batteryscope.bundle.integrity import LARGEST_NUMBER
from batteryscope.bundle.record import (
    RECORD_FILE,
    Digest,
    FamiliarityRecord,
    Licence,
    explain_bad_record,
    read_json,
)
from batteryscope.config.base import Settings, validate_settings
from batteryscope.config.table_data import Condition
from batteryscope.errors import ConfigError, InputError
from batteryscope.samples.rows import ROWS

FORMAT_VERSION = 1
TENSORS_FILE = "networks.safetensors"
EXAMPLE_INPUT_FILE = "example_input.csv"
EXAMPLE_OUTPUT_FILE = "example_output.csv"

# A damaged description must not ask for more memory than any network of this kind needs.
MOST_MEMBERS = 20
Size = Annotated[PositiveInt, Field(le=1000)]


class NetworkShape(Settings):
    """Shape of a multilayer perceptron, as ``NetworkStack.describe`` gives it."""

    kind: Literal["network"]
    n: Literal[1]
    n_features: Size
    hidden_layers: Size
    nodes: Size


class AdapterShape(Settings):
    """Shape of a frozen network with its adapter, as ``AdapterStack.describe`` gives it."""

    kind: Literal["adapter"]
    frozen: NetworkShape
    adapter: NetworkShape


class ProcessShape(Settings):
    """Shape of a Gaussian process, as ``GaussianProcess.describe`` gives it."""

    kind: Literal["process"]
    n: Literal[1]
    n_features: Size
    rows: Annotated[PositiveInt, Field(le=LARGEST_NUMBER)]
    parent: "ProcessShape | None"


class AveragedShape(Settings):
    """Shape of several processes that answer together, as ``AveragedProcess.describe`` gives it."""

    kind: Literal["processes"]
    n_features: Size
    members: Annotated[list[ProcessShape], Field(min_length=1, max_length=MOST_MEMBERS)]


Shape = Annotated[
    NetworkShape | AdapterShape | ProcessShape | AveragedShape, Field(discriminator="kind")
]


class TableMember(Settings):
    """One network or Gaussian process: its tensors are named ``<task>/<name in the network>``."""

    task: str
    arm: str
    domain: str
    target: str
    repeat: NonNegativeInt
    fold: NonNegativeInt
    best_epoch: NonNegativeInt
    validation_mape: float | None
    network: Shape


class FeatureRecord(Settings):
    """One input.

    ``titles`` are the column titles under which it is looked for, with the factor that
    brings such a column to ``unit``; values outside ``plausible`` are impossible.
    """

    name: str
    label: str
    unit: str
    titles: dict[str, float] = Field(min_length=1)
    plausible: tuple[float, float] | None


class TargetRecord(Settings):
    """One output; predictions outside ``plausible`` are impossible."""

    name: str
    label: str
    unit: str
    plausible: tuple[float, float] | None = None


class DomainRecord(Settings):
    """One domain: rows of the data set, and lowest and highest value of every feature.

    ``conditions`` (by column) told which rows belong to it, where the study has such.
    """

    name: str
    conditions: dict[str, Condition] = Field(default={}, exclude_if=lambda value: not value)
    rows: PositiveInt
    ranges: dict[str, tuple[float, float]]


class TableData(Settings):
    """Identity of the data; ``digest`` is a hash over domain, numbers and group of all rows."""

    name: str
    generated: bool
    digest: Digest
    rows: PositiveInt


class TableBundleRecord(Settings):
    """The whole of bundle.json.

    ``half_widths`` (target → domain) are shares of the prediction; None where there were
    too few rows for the wanted ``coverage``. ``measured_coverages`` (target → domain): the share
    of test rows that intervals made in the same way held. ``familiarity`` (domain): how rows are
    told that are unlike all that were trained on.
    """

    format_version: int
    kind: Literal["table"]
    batteryscope_version: str
    torch_version: str
    study: str
    title: str
    arm: str
    paper: str
    paper_doi: str
    source: str
    features: list[FeatureRecord] = Field(min_length=1)
    targets: list[TargetRecord] = Field(min_length=1)
    domains: list[DomainRecord] = Field(min_length=1)
    coverage: float = Field(gt=0, lt=1)
    half_widths: dict[str, dict[str, float | None]]
    measured_coverages: dict[str, dict[str, float | None]] = {}
    members: list[TableMember] = Field(min_length=1)
    weights_sha256: Digest
    data: TableData
    metrics: dict[str, float]
    findings: list[dict[str, str]]
    licence: Licence
    familiarity: dict[str, FamiliarityRecord] = Field(default={}, exclude_if=lambda v: not v)

    @property
    def domain_names(self) -> list[str]:
        """Names of the domains, the source first."""
        return [domain.name for domain in self.domains]


def read_table_record(folder: Path) -> TableBundleRecord:
    """Read and check bundle.json.

    Raises
    ------
    InputError
        The folder or file is missing, is of another kind or version, or lacks something.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        what = f"holds no {RECORD_FILE}" if folder.is_dir() else "does not exist"
        raise InputError(
            f"{folder}: this bundle {what}; name the folder of a published model "
            "(models/<study>), or fetch it (dvc pull)."
        )
    values: Any = read_json(path)
    if not isinstance(values, dict) or values.get("kind") not in ROWS.bundle_kinds:
        raise InputError(
            f"{path}: this is no bundle of a table study; a model of images is applied with "
            "batteryscope predict."
        )
    if (version := values.get("format_version")) != FORMAT_VERSION:
        raise InputError(
            f"{path}: format_version is {version!r}, but this version of Batteryscope reads "
            f"{FORMAT_VERSION}; use the version that wrote the bundle, or publish it again."
        )
    try:
        record = validate_settings(TableBundleRecord, values, str(path))
    except ConfigError as error:
        raise InputError(f"{error} {explain_bad_record(values)}") from None
    known = {(member.domain, member.target) for member in record.members}
    names = {feature.name for feature in record.features}
    for domain in record.domains:
        absent = [t.name for t in record.targets if (domain.name, t.name) not in known]
        if absent or not names <= set(domain.ranges):
            lacking = f"no network for {absent[0]} of" if absent else "not all ranges of"
            raise InputError(
                f"{path}: there is {lacking} '{domain.name}'. The bundle is damaged; publish or "
                "fetch it again."
            )
    return record
