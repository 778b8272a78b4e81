"""The content of a table study's bundle.json: all that its networks need beside the weights."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from batteryscope.answers.quantities import QUANTITIES
from batteryscope.bundle.integrity import LARGEST_NUMBER
from batteryscope.bundle.record import Digest, FamiliarityRecord, ModelRecord, read_record_as
from batteryscope.config.base import Settings
from batteryscope.config.table_data import Condition
from batteryscope.samples.kind import Samples
from batteryscope.samples.rows import ROWS

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


class TableBundleRecord(ModelRecord):
    """The whole of bundle.json.

    ``half_widths`` (target → domain) are shares of the prediction; None where there were
    too few rows for the wanted ``coverage``. ``measured_coverages`` (target → domain): the share
    of test rows that intervals made in the same way held. ``familiarity`` (domain): how rows are
    told that are unlike all that were trained on.
    """

    kinds = QUANTITIES.bundles["rows"].names
    judged = "numbers of a table's rows"

    kind: str
    torch_version: str
    arm: str
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
    familiarity: dict[str, FamiliarityRecord] = Field(default={}, exclude_if=lambda v: not v)

    @model_validator(mode="after")
    def _networks_and_ranges_of_every_domain(self) -> Self:
        known = {(member.domain, member.target) for member in self.members}
        names = {feature.name for feature in self.features}
        for domain in self.domains:
            absent = [t.name for t in self.targets if (domain.name, t.name) not in known]
            if absent or not names <= set(domain.ranges):
                lacking = f"no network for {absent[0]} of" if absent else "not all ranges of"
                raise ValueError(f"there is {lacking} '{domain.name}'.")
        return self

    @property
    def samples(self) -> Samples:
        """What the models judge."""
        return ROWS

    @property
    def domain_names(self) -> list[str]:
        """Names of the domains, the source first."""
        return [domain.name for domain in self.domains]


def read_record(folder: Path) -> TableBundleRecord:
    """Read and check bundle.json of models of rows.

    Raises
    ------
    InputError
        As :func:`batteryscope.bundle.record.read_record_as`.
    """
    return read_record_as(TableBundleRecord, folder)
