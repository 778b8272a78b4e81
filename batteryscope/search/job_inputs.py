"""What the jobs of searches read and which settings they get, by the wildcards of their rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from batteryscope.core.named_function import load_function
from batteryscope.planning.job_inputs import JobInputs, list_weights, match_names
from batteryscope.search.find_plan import find_planner
from batteryscope.search.plan import SearchPlan

# What the search of a study does not depend on.
UNUSED = {"evaluate", "explain", "sweeps", "run_sweeps", "ablations", "propose"}


@dataclass(frozen=True)
class SearchJobInputs:
    """Inputs and parameters of the jobs of all searches.

    Attributes
    ----------
    jobs
        Those of all studies.
    searches
        By study, what is searched for; studies without a search are left out.
    """

    jobs: JobInputs
    searches: Mapping[str, SearchPlan]

    @cached_property
    def studies(self) -> str:
        """A pattern of the studies that have a search."""
        return match_names(self.searches)

    def plan_of(self, wildcards: Any) -> SearchPlan:
        """Return what is searched for in a study."""
        return self.searches[wildcards.study]

    def storage_of(self, wildcards: Any) -> str:
        """Return the database of a search; by default a file that no rule deletes."""
        own = self.plan_of(wildcards).settings.storage
        return own or f"sqlite:///{self._layout_of(wildcards).database.as_posix()}"

    def find_reached(self, wildcards: Any) -> Any:
        """Return the proof that a database of the user's was reached; random follows ASHA."""
        own = self.plan_of(wildcards).settings.storage
        asks = own and wildcards.strategy == "asha"
        return self._layout_of(wildcards).reached if asks else []

    def write_settings(self, wildcards: Any) -> str:
        """Write a study without what its search does not depend on."""
        study = self.jobs.study_of(wildcards).model_dump(mode="json", exclude=UNUSED)
        study["search"]["storage"] = None  # it holds no result, but perhaps a password
        return self.jobs.settings_file(wildcards.study, "search", study)

    def write_summary_settings(self, wildcards: Any) -> str:
        """Write a study without sweeps, for the page of its search."""
        study = self.jobs.study_of(wildcards)
        idle = study.model_copy(update={"sweeps": {}, "run_sweeps": []})
        return self.jobs.settings_file(wildcards.study, "searched", idle)

    def find_input(self, piece: str) -> Callable[[Any], Any]:
        """Return what gives a piece that candidates learn from, an empty list without one."""

        def find(wildcards: Any) -> Any:
            inputs = self.plan_of(wildcards).find_inputs(self.jobs.layout_of(wildcards))
            return getattr(inputs, piece) or []

        return find

    def find_weights(self, wildcards: Any) -> list[str]:
        """Return the weights that candidates start from, if they are a file of the user's."""
        return list_weights(self.find_input("weights")(wildcards))

    def count_gpus(self, wildcards: Any) -> int:
        """Return how many a worker can use."""
        return self.find_input("gpus")(wildcards) or 0

    def list_workers(self, wildcards: Any, strategy: str) -> list[Path]:
        """Return what the workers of a strategy leave."""
        workers = range(self.plan_of(wildcards).settings.workers)
        return [self._layout_of(wildcards).worker(strategy, i) for i in workers]

    def list_all_workers(self, wildcards: Any) -> list[Path]:
        """Return the same of all strategies of a study."""
        strategies = self.plan_of(wildcards).strategies
        return [path for s in strategies for path in self.list_workers(wildcards, s)]

    def list_created(self, wildcards: Any) -> list[Path]:
        """Return the notes of all searches of a study that were created."""
        layout = self._layout_of(wildcards)
        return [layout.created(strategy) for strategy in self.plan_of(wildcards).strategies]

    def find_finished_asha(self, wildcards: Any) -> list[Path]:
        """Return what ASHA leaves: random search gets as many epochs as it has used."""
        if wildcards.strategy != "random":
            return []
        created = self._layout_of(wildcards).created("asha")
        return [*self.list_workers(wildcards, "asha"), created]

    def _layout_of(self, wildcards: Any) -> Any:
        return self.jobs.layout_of(wildcards).search


def find_searches(jobs: JobInputs) -> SearchJobInputs:
    """Plan the searches of all studies.

    Raises
    ------
    ConfigError
        One is impossible.
    """
    found = {
        name: load_function(find_planner(study), "find_search")(name, study)
        for name, study in jobs.project.studies.items()
    }
    return SearchJobInputs(jobs, {name: plan for name, plan in found.items() if plan})
