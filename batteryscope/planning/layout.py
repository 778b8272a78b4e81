"""Where the pieces of a study lie: the only place that knows the paths below ``work/<study>``.

Rules, programs and the report ask it. A layout whose root is a pattern (``work/{study}``) gives the
patterns of Snakemake's rules; one with a plan also says which pieces a study has.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batteryscope.config.project import read_study
from batteryscope.config.study import StudySettings, list_published_arms
from batteryscope.config.table_study import TableStudySettings
from batteryscope.plan import ArmPlan, StudyPlan, plan_study
from batteryscope.planning.grey_mismatches import list_mismatches
from batteryscope.planning.piece_layouts import (
    ArmLayout,
    DatasetLayout,
    SearchLayout,
    SplitLayout,
)
from batteryscope.planning.plan_table_sweeps import TableSweepPlan, plan_table_sweeps
from batteryscope.planning.study_modules import CLASSES, NUMBERS, ROWS, StudyModules

# The only folders outside of work/ that the workflow writes to; DVC versions them.
MODELS, REPORTS = Path("models"), Path("reports")


@dataclass(frozen=True)
class StudyLayout:
    """The pieces that have a place of their own, whatever the plan of the study.

    Parameters
    ----------
    root
        ``work/<study>``.
    """

    root: Path

    def dataset(self, source: str) -> DatasetLayout:
        """The data set (``data``) or the external one (``external``)."""
        return DatasetLayout(self.root / source)

    @property
    def data(self) -> DatasetLayout:
        """The study's own data set."""
        return self.dataset("data")

    @property
    def settings(self) -> Path:
        """Files with the settings of jobs, named after their content."""
        return self.root / "settings"

    def log(self, job: str) -> Path:
        """The log of a job."""
        return self.root / "logs" / f"{job}.log"

    def benchmark(self, job: str) -> Path:
        """What a job used."""
        return self.root / "benchmarks" / f"{job}.tsv"

    @property
    def capacities(self) -> Path:
        """The table of the half-cell model."""
        return self.root / "physics" / "capacities.csv"

    def tiles(self, tiles: str) -> Path:
        """A tile store."""
        return self.root / "tiles" / tiles

    def split(self, split: str = "") -> SplitLayout:
        """A division; rows have one that needs no name."""
        return SplitLayout(self.root / "splits" / split)

    def check(self, check: str) -> Path:
        """The proof that a network, its weights and the devices can be had."""
        return self.root / "checks" / f"{check}.json"

    def balance(self, balance: str) -> Path:
        """On which tiles a stage trains, and how often."""
        return self.root / "balance" / f"{balance}.parquet"

    def stage(self, chain: str) -> Path:
        """A trained stage."""
        return self.root / "stages" / chain

    def stage_part(self, chain: str, part: int | str) -> Path:
        """A share of its finished fits."""
        return self.stage(chain) / f"part{part}"

    def state(self, name: str) -> Path:
        """What survives a killed job; no rule declares it."""
        return self.root / "state" / name

    def baselines(self, split: str) -> Path:
        """Predictions of the baselines of one division."""
        return self.root / "baselines" / split / "predictions.parquet"

    @property
    def predicted(self) -> Path:
        """What the arms predict, a folder each."""
        return self.root / "predicted"

    def mismatched(self, arm: str) -> Path:
        """Predictions of test tiles with other grey levels than the arm was trained with."""
        return self.root / "mismatched" / arm / "predictions.parquet"

    @property
    def networks(self) -> Path:
        """All networks of a study of rows."""
        return self.root / "networks"

    @property
    def comparison(self) -> Path:
        """Tables and findings of the comparison."""
        return self.root / "comparison"

    @property
    def explained(self) -> Path:
        """What the networks of all arms look at."""
        return self.root / "explained"

    @property
    def proposals(self) -> Path:
        """Proposed settings of the process."""
        return self.root / "proposals"

    @property
    def sweep_comparison(self) -> Path:
        """The points of all sweeps, compared."""
        return self.root / "sweeps" / "comparison"

    @property
    def sweep_tracked(self) -> Path:
        """What of them was recorded in MLflow."""
        return self.root / "sweeps" / "tracked.json"

    def sweep_split(self, split: str) -> SplitLayout:
        """A division of rows that only points of a sweep use."""
        return SplitLayout(self.root / "sweeps" / "splits" / split)

    def sweep_predicted(self, arm: str) -> ArmLayout:
        """A point of a sweep whose capacities were predicted."""
        return ArmLayout(self.root / "sweeps" / "predicted" / arm)

    def sweep_networks(self, arm: str) -> Path:
        """The networks of a point of a sweep."""
        return self.root / "sweeps" / "networks" / arm

    @property
    def search(self) -> SearchLayout:
        """The search for settings."""
        return SearchLayout(self.root / "search")

    @property
    def bundle(self) -> Path:
        """The models, ready for new data."""
        return self.root / "bundle"

    @property
    def report(self) -> Path:
        """Page, figures and tables."""
        return self.root / "report"

    @property
    def tracked(self) -> Path:
        """What was recorded in MLflow."""
        return self.root / "tracked.json"

    @property
    def published(self) -> Path:
        """What was copied to :data:`MODELS` and :data:`REPORTS`."""
        return self.root / "published.json"


@dataclass(frozen=True)
class PictureLayout(StudyLayout):
    """The pieces of a study of pictures, whose arms share tiles, splits and stages."""

    plan: StudyPlan

    def find_dataset(self, source: str = "data") -> Path:
        """Return the folder of the pictures: the user's, or the generated one."""
        settings = self.plan.settings
        dataset = settings.dataset if source == "data" else settings.evaluate.external
        own = dataset.path if dataset is not None else None
        return Path(own) if own else self.dataset(source).images

    @property
    def main_tiles(self) -> Path:
        """The tile store of the main arm."""
        return self.tiles(self.plan.main.tiles)

    @property
    def main_split(self) -> SplitLayout:
        """The division of the main arm."""
        return self.split(self.plan.main.split)

    @property
    def external(self) -> DatasetLayout | None:
        """The external data set, where the study has one."""
        return None if self.plan.settings.evaluate.external is None else self.dataset("external")

    @property
    def sweeps(self) -> Path | None:
        """The compared points of sweeps, where any are run."""
        return self.sweep_comparison if self.plan.points else None

    @property
    def wanted_proposals(self) -> Path | None:
        """Proposed settings of a process, which no picture has."""
        return None

    @property
    def simulated(self) -> Path | None:
        """The table of the half-cell model, where the study has one."""
        return None if self.plan.settings.physics is None else self.capacities

    def arm(self, arm: str) -> ArmLayout:
        """What is known of an arm."""
        is_point = arm in self.plan.point_arms
        return self.sweep_predicted(arm) if is_point else ArmLayout(self.predicted / arm)

    def list_arms(self) -> dict[str, ArmLayout]:
        """Return all arms that are compared, by name."""
        return {name: self.arm(name) for name in self.plan.arms}

    def maps(self, arm: str) -> Path:
        """The maps of one arm, where they have a folder of their own."""
        return self.explained / arm

    def list_own_maps(self) -> list[Path]:
        """Return the user's own folders of masks and phase maps."""
        settings = self.plan.settings
        return [Path(p) for p in (settings.dataset.masks, settings.explain.phases) if p]

    def list_predictions(self) -> list[Path]:
        """Return what all arms predict."""
        return [self.predicted]

    def list_compared(self) -> list[Path]:
        """Return what stands beside the arms: baselines, survey, physics, other grey levels."""
        settings, tests = self.plan.settings, list_mismatches(self.plan)
        found = [self.mismatched(arm) for arm in dict.fromkeys(test.arm for test in tests)]
        if self.modules.baselines:
            found.append(self.baselines(self.plan.main.split))
        if settings.evaluate.survey:
            found.append(Path(settings.evaluate.survey))
        return found if self.simulated is None else [*found, self.simulated]

    def list_published(self) -> list[Path]:
        """Return what becomes the bundle: fits of the published arms, and what calibrates them."""
        arms = list_published_arms(self.plan.settings)
        parts = [part for arm in arms for part in self.list_fits(arm)]
        return [*parts, self.predicted]

    def list_data(self) -> list[Path]:
        """Return generated pictures and the measurements of all pictures."""
        own = self.plan.settings.dataset.path
        return [self.data.frames, *([] if own else [self.data.images])]

    def list_tiles(self) -> list[Path]:
        """Return the tile stores of all arms, each once."""
        return sorted({self.tiles(arm.tiles) for arm in self.plan.arms.values()})

    def describe_arms(self, arms: Iterable[ArmPlan] | None = None) -> dict[str, dict[str, Any]]:
        """Return where the pieces of every arm lie, and what it is, as plain values by name."""
        chosen = self.plan.arms.values() if arms is None else arms
        return {
            arm.name: {
                "split": self.split(arm.split).roles.as_posix(),
                "tiles": self.tiles(arm.tiles).as_posix(),
                "fits": [part.as_posix() for part in self.list_fits(arm.name)],
                "where": arm.recipe.split.test_where,
                "scheme": arm.recipe.split.scheme,
                "group": arm.recipe.split.group,
                "backbone": arm.recipe.model.backbone,
                "preprocess": arm.recipe.preprocess.model_dump(mode="json"),
            }
            for arm in chosen
        }

    def list_splits(self, arms: Iterable[ArmPlan] | None = None) -> dict[str, SplitLayout]:
        """Return the division of every arm, by its name."""
        chosen = self.plan.arms.values() if arms is None else arms
        return {arm.name: self.split(arm.split) for arm in chosen}

    def list_stages(self) -> dict[str, Path]:
        """Return the stages of all arms that are compared, each once, by name."""
        chains = sorted({chain for arm in self.plan.arms.values() for chain in arm.chains})
        return {chain: self.stage(chain) for chain in chains}

    def list_parts(self, chain: str) -> list[Path]:
        """Return the folders of finished fits of a stage."""
        parts = self.plan.stages[chain].settings.train.parallel_jobs
        return [self.stage_part(chain, part) for part in range(parts)]

    def list_fits(self, arm: str) -> list[Path]:
        """Return the folders of the fits that predict for an arm."""
        return self.list_parts(self.plan.every_arm[arm].chains[-1])

    def list_point_inputs(self) -> list[Path]:
        """Return the predictions of all points, or the folder of those that are one output."""
        arms = {point.arm for point in self.plan.points}
        return sorted(
            {self.arm(arm).root if arm in self.plan.point_arms else self.predicted for arm in arms}
        )

    @property
    def modules(self) -> StudyModules:
        """Who does what for this kind of study."""
        return NUMBERS if self.plan.settings.dataset.targets else CLASSES

    def list_learnt(self) -> list[Path]:
        """Return the folders of finished fits of all stages of all arms."""
        return [part for chain in self.list_stages() for part in self.list_parts(chain)]


@dataclass(frozen=True)
class RowLayout(StudyLayout):
    """The pieces of a study of rows."""

    plan: TableSweepPlan

    @property
    def sweeps(self) -> Path | None:
        """The compared points of sweeps, where any are run."""
        return self.sweep_comparison if self.plan.points else None

    def arm(self, arm: str) -> ArmLayout:
        """The networks that predict for an arm: a point's own, or those of the study."""
        return ArmLayout(self.sweep_networks(arm) if arm in self.plan.work else self.networks)

    @property
    def modules(self) -> StudyModules:
        """Who does what for this kind of study."""
        return ROWS

    def list_learnt(self) -> list[Path]:
        """Return the folder of all networks."""
        return [self.networks]

    def list_published(self) -> list[Path]:
        """Return what becomes the bundle: all networks."""
        return [self.networks]

    def list_data(self) -> list[Path]:
        """Return nothing: the manifest holds all of a row."""
        return []

    def list_tiles(self) -> list[Path]:
        """Return the tile stores, of which rows have none."""
        return []

    def list_own_maps(self) -> list[Path]:
        """Return nothing: rows have no maps."""
        return []

    def list_predictions(self) -> list[Path]:
        """Return what all arms predict, which lies with their networks."""
        return [self.networks]

    def list_compared(self) -> list[Path]:
        """Return nothing: baselines of rows are fitted in the comparison."""
        return []

    def list_splits(self) -> dict[str, SplitLayout]:
        """Return the division of all arms, by the name of the main one."""
        return {self.plan.settings.main_arm: self.split()}

    @property
    def main_split(self) -> SplitLayout:
        """The division of all arms."""
        return self.split()

    @property
    def wanted_proposals(self) -> Path | None:
        """The proposals, where the study asks for them."""
        return self.proposals if self.plan.settings.propose else None

    @property
    def external(self) -> DatasetLayout | None:
        """The external data set, which no study of rows has."""
        return None

    def point_split(self, arm: str) -> SplitLayout:
        """How a point divides the rows: as the study, or by itself."""
        own = self.plan.split_of.get(arm)
        return self.sweep_split(own) if own else self.split()

    def list_point_inputs(self) -> list[Path]:
        """Return the networks that predict for all points."""
        return sorted({self.arm(point.arm).root for point in self.plan.points})


def lay_out_study(
    root: Path, study: str, settings: StudySettings | TableStudySettings
) -> PictureLayout | RowLayout:
    """Plan a study and say where its pieces lie.

    Raises
    ------
    ConfigError
        If the settings cannot be planned.
    """
    if isinstance(settings, TableStudySettings):
        return RowLayout(root, plan_table_sweeps(study, settings))
    return PictureLayout(root, plan_study(study, settings))


def open_study(root: Path, study: str, settings: str) -> PictureLayout | RowLayout:
    """Say where the pieces of a study lie whose settings are JSON text or a JSON file.

    Raises
    ------
    ConfigError
        If the settings cannot be read or planned.
    """
    return lay_out_study(root, study, read_study(settings))
