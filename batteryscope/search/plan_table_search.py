"""The search of a study of tables: an arm and the source network behind it, changed together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batteryscope.config.search import Interval, SearchSettings
from batteryscope.config.table_study import TableRecipe, TableStudySettings
from batteryscope.planning.layout import RowLayout
from batteryscope.planning.plan_table_sweeps import change_table_study
from batteryscope.provenance import TABLE_TRAINING_CODE, digest_training_code
from batteryscope.search.plan import SearchInputs, SearchPlan, Strategy

BEST_SWEEP = "searched"


@dataclass(frozen=True)
class TableSearch(SearchPlan):
    """A search among the settings of the networks of ``owner``."""

    owner: TableStudySettings

    recipe = TableRecipe
    trainer = "batteryscope.search.table_candidate"
    note = "search_of_rows.html.j2"
    generated_words = "A program made these rows; nobody measured them."

    @property
    def shares_samples(self) -> bool:
        """Whether rows that chose are test rows of other repeats."""
        return self.owner.split.repeats > 1

    def change(self, values: Mapping[str, Any], where: str = "candidate") -> TableStudySettings:
        """Return what a candidate trains: the arm with its values, and no ablations.

        Raises
        ------
        ConfigError
            If a value is impossible.
        """
        return change_table_study(self.owner, values, self.arm, where)

    def list_rungs(self, strategy: Strategy) -> list[int]:
        """Return after how many epochs a candidate is judged."""
        search = self.settings
        if strategy == "random":
            return [search.max_epochs]
        return list_rungs(search)

    def describe(self) -> dict[str, Any]:
        """Return the settings of the arm as configured."""
        return self.change({}).model_dump(mode="json")

    def digest_code(self) -> str:
        """Return a hash of the code that trains the networks."""
        return digest_training_code(places=TABLE_TRAINING_CODE)

    def find_inputs(self, layout: RowLayout) -> SearchInputs:
        """Return where split and rows lie."""
        return SearchInputs(split=layout.split().roles, rows=layout.data.manifest)

    def write_overlay(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return an overlay in which the best candidate is a point of a sweep beside the arms.

        The arms of such a study have fixed names. The other point has the settings as configured,
        so that the report sets both side by side, on test rows and in all repeats.
        """
        found: dict[str, Any] = {}
        for key, value in values.items():
            found |= dict.fromkeys(self._find_settings(key), value)
        found["train.epochs"] = self.settings.max_epochs
        configured = [self._find_configured(key)[0] for key in found]
        points = [configured] + [p for p in [list(found.values())] if p != configured]
        sweep: dict[str, Any] = {", ".join(found): points}
        if self.arm != self.owner.network_arm:
            sweep["arm"] = self.arm
        overlay = {"sweeps": {BEST_SWEEP: sweep}, "run_sweeps": [BEST_SWEEP]}
        return {"studies": {self.study: overlay}}

    def _find_settings(self, key: str) -> list[str]:
        """Return the key, or one per target if it stands for settings that differ now."""
        return self.owner.spread_key(key) if len(self._find_configured(key)) > 1 else [key]

    def _find_configured(self, key: str) -> list[Any]:
        """Return the different values, as configured, of the settings that a key changes."""
        found = []
        for setting in self.owner.spread_key(key):
            place: Any = self.owner.model_dump(mode="json", include={"networks", "train"})
            for part in setting.split("."):
                place = place[part]
            found += [place] if place not in found else []
        return found


def find_search(study: str, settings: TableStudySettings) -> TableSearch | None:
    """Plan the search of a study of rows; as :func:`plan_table_search`."""
    return plan_table_search(study, settings)


def plan_table_search(study: str, settings: TableStudySettings) -> TableSearch | None:
    """Check what a study's search may draw; None if it has no search.

    Raises
    ------
    ConfigError
        If a choice or limit is no possible value of its setting.
    """
    search = settings.search
    if search is None:
        return None
    plan = TableSearch(study, search, search.arm or settings.network_arm, settings)
    for key, choices in search.space.items():
        ends = [choices.low, choices.high] if isinstance(choices, Interval) else choices
        for value in ends:
            plan.change({key: value}, f"params.yaml: studies.{study}.search.space.{key}")
    return plan


def list_rungs(search: SearchSettings) -> list[int]:
    """Return after how many epochs successive halving looks, the last of all included.

    Examples
    --------
    >>> list_rungs(SearchSettings(space={"train.seed": [1]}, max_epochs=20))
    [1, 3, 9, 20]
    """
    rungs = []
    epochs = search.min_epochs
    while epochs < search.max_epochs:
        rungs.append(epochs)
        epochs *= search.reduction_factor
    return [*rungs, search.max_epochs]
