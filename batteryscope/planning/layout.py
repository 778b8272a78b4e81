"""Which pieces a study has, and where they lie: the only place that knows the paths of a plan.

Rules, programs and the report ask it. Layouts of pictures and of rows answer the same questions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from batteryscope.answers.choose import answer_of
from batteryscope.answers.kind import Answer
from batteryscope.answers.study_modules import StudyModules, join_modules
from batteryscope.config.json_text import read_settings
from batteryscope.config.project import read_study
from batteryscope.config.study import StudySettings, list_published_arms
from batteryscope.config.table_study import TableStudySettings
from batteryscope.config.targets import Quantity
from batteryscope.plan import ArmPlan, StudyPlan, plan_study
from batteryscope.planning.grey_mismatches import list_mismatches
from batteryscope.planning.piece_layouts import ArmLayout, DatasetLayout, SplitLayout
from batteryscope.planning.plan_table_sweeps import TableSweepPlan, plan_table_sweeps
from batteryscope.planning.study_layout import StudyLayout
from batteryscope.readers.folder import find_data_version, find_table_version
from batteryscope.samples.choose import samples_of
from batteryscope.samples.kind import Samples


@dataclass(frozen=True)
class PointSettings:
    """What the points of sweeps are measured by: labels, quantities, and the network of an arm."""

    label_columns: list[str]
    quantities: list[Quantity]
    backbones: dict[str, str]


@dataclass(frozen=True)
class PlannedLayout(StudyLayout):
    """The pieces of a study whose plan is known, whatever it looks at."""

    plan: StudyPlan | TableSweepPlan

    @property
    def samples(self) -> Samples:
        """What it looks at."""
        return samples_of(self.plan.settings)

    @property
    def answer(self) -> Answer:
        """What it predicts."""
        return answer_of(self.plan.settings.dataset)

    @property
    def modules(self) -> StudyModules:
        """Who does what for this kind of study."""
        return join_modules(self.samples, self.answer)

    @property
    def sweeps(self) -> Path | None:
        """The compared points of sweeps, where any are run."""
        return self.sweep_comparison if self.plan.points else None


@dataclass(frozen=True)
class PictureLayout(PlannedLayout):
    """The pieces of a study of pictures, whose arms share tiles, splits and stages."""

    plan: StudyPlan

    def find_dataset(self, source: str = "data") -> Path:
        """Return the folder of the pictures: the user's, or the generated one."""
        settings = self.plan.settings
        dataset = settings.dataset if source == "data" else settings.evaluate.external
        own = dataset.path if dataset is not None else None
        return Path(own) if own else self.dataset(source).images

    @property
    def cycling(self) -> Path | None:
        """The table of capacities over cycles, or the generated data set that holds it."""
        known = self.plan.settings.dataset.cycle_table
        if known is None:
            return None
        generated = self.plan.settings.dataset.generated
        return self.data.images if generated else self.find_dataset() / known.table

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
        settings = self.plan.settings
        arms = [test.arm for test in list_mismatches(self.plan)]
        found: list[Path] = []
        if self.is_audited:
            arms.append(self.plan.main.name)
            found.append(self.data.frames)
        found += [self.mismatched(arm) for arm in dict.fromkeys(arms)]
        if self.modules.baselines:
            found.append(self.baselines(self.plan.main.split))
            found += [self.shortcuts(self.plan.main.split)] if self.is_audited else []
        if settings.evaluate.survey:
            found.append(Path(settings.evaluate.survey))
        return found if self.simulated is None else [*found, self.simulated]

    @property
    def is_audited(self) -> bool:
        """Whether shortcuts are looked for."""
        return self.plan.settings.evaluate.shortcut_audit

    def list_published(self) -> list[Path]:
        """Return what becomes the bundle: fits of the published arms, and what calibrates them."""
        arms = list_published_arms(self.plan.settings)
        parts = [part for arm in arms for part in self.list_fits(arm)]
        return [*parts, self.predicted, self.main_tiles]

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

    def list_splits(self) -> dict[str, SplitLayout]:
        """Return the division of every arm, by its name."""
        return {arm.name: self.split(arm.split) for arm in self.plan.arms.values()}

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

    @property
    def point_arms(self) -> dict[str, ArmPlan]:
        """The arms that do the work of all points of sweeps, each once, by name."""
        arms = self.plan.every_arm
        return {name: arms[name] for name in sorted({point.arm for point in self.plan.points})}

    def list_point_fits(self) -> dict[str, list[Path]]:
        """Return the folders with the histories of the fits of points, by arm."""
        return {name: self.list_fits(name) for name in self.point_arms}

    def list_point_splits(self) -> dict[str, Path]:
        """Return the divisions of points, by arm."""
        return {name: self.split(arm.split).roles for name, arm in self.point_arms.items()}

    def describe_points(self) -> PointSettings:
        """Return what is measured of points."""
        dataset = self.plan.settings.dataset
        return PointSettings(
            dataset.labels.columns,
            dataset.quantities,
            {name: arm.recipe.model.backbone for name, arm in self.point_arms.items()},
        )

    def list_point_inputs(self) -> list[Path]:
        """Return the predictions of all points, or the folder of those that are one output."""
        arms = {point.arm for point in self.plan.points}
        return sorted(
            {self.arm(arm).root if arm in self.plan.point_arms else self.predicted for arm in arms}
        )

    def list_recipes(self) -> dict[str, dict[str, Any]]:
        """Return the settings of every arm, those of points of sweeps included."""
        arms = self.plan.every_arm
        return {name: arm.recipe.model_dump(mode="json") for name, arm in arms.items()}

    @property
    def data_version(self) -> str:
        """The hash by which DVC knows the data; empty if it does not."""
        return find_data_version(self.plan.settings.dataset.path)

    def list_learnt(self) -> list[Path]:
        """Return the folders of finished fits of all stages of all arms."""
        return [part for chain in self.list_stages() for part in self.list_parts(chain)]


@dataclass(frozen=True)
class RowLayout(PlannedLayout):
    """The pieces of a study of rows."""

    plan: TableSweepPlan
    cycling: ClassVar[None] = None
    external: ClassVar[None] = None
    simulated: ClassVar[None] = None

    def list_nothing(self) -> list[Path]:
        """Return no paths: the manifest holds all of a row, and the comparison fits baselines."""
        return []

    list_data = list_tiles = list_own_maps = list_compared = list_nothing

    def arm(self, arm: str) -> ArmLayout:
        """The networks that predict for an arm: a point's own, or those of the study."""
        return ArmLayout(self.sweep_networks(arm) if arm in self.plan.work else self.networks)

    def list_recipes(self) -> dict[str, dict[str, Any]]:
        """Return the settings of every arm, those of points of sweeps included."""
        settings, wanted = self.plan.settings, {"split", "networks", "train"}
        own: dict[str, TableStudySettings] = dict.fromkeys(settings.arms, settings)
        return {
            name: {"arm": name} | point.model_dump(mode="json", include=wanted)
            for name, point in (own | self.plan.work).items()
        }

    @property
    def data_version(self) -> str:
        """The hash by which DVC knows the data; empty if it does not."""
        return find_table_version([file.path for file in self.plan.settings.dataset.files])

    def list_learnt(self) -> list[Path]:
        """Return the folder of all networks."""
        return [self.networks]

    def list_published(self) -> list[Path]:
        """Return what becomes the bundle: all networks."""
        return [self.networks]

    def list_predictions(self) -> list[Path]:
        """Return what all arms predict, which lies with their networks."""
        return [self.networks]

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

    def point_split(self, arm: str) -> SplitLayout:
        """How a point divides the rows: as the study, or by itself."""
        own = self.plan.split_of.get(arm)
        return self.sweep_split(own) if own else self.split()

    def list_point_fits(self) -> dict[str, list[Path]]:
        """Return nothing: all networks of a point are trained together."""
        return {}

    def list_point_splits(self) -> dict[str, Path]:
        """Return the divisions of points, by arm."""
        return {p.arm: self.point_split(p.arm).roles for p in self.plan.points}

    def describe_points(self) -> PointSettings:
        """Return what is measured of points, which their predictions tell."""
        return PointSettings([], [], {})

    def list_point_inputs(self) -> list[Path]:
        """Return the networks that predict for all points."""
        return sorted({self.arm(point.arm).root for point in self.plan.points})


def _lay_out_pictures(root: Path, study: str, settings: Any) -> PictureLayout:
    return PictureLayout(root, plan_study(study, settings))


def _lay_out_rows(root: Path, study: str, settings: Any) -> RowLayout:
    return RowLayout(root, plan_table_sweeps(study, settings))


# By what networks are trained on.
PLANNERS: Mapping[str, Callable[[Path, str, Any], PictureLayout | RowLayout]] = {
    "tiles": _lay_out_pictures,
    "rows": _lay_out_rows,
}


def lay_out_study(
    root: Path, study: str, settings: StudySettings | TableStudySettings
) -> PictureLayout | RowLayout:
    """Plan a study and say where its pieces lie.

    Raises
    ------
    ConfigError
        If the settings cannot be planned.
    """
    return PLANNERS[samples_of(settings).learnt_from](root, study, settings)


def open_study(root: Path, study: str, settings: str) -> PictureLayout | RowLayout:
    """Say where the pieces of a study lie whose settings are JSON text or a JSON file.

    Raises
    ------
    ConfigError
        If the settings cannot be read or planned.
    """
    return lay_out_study(root, study, read_study(settings))


def open_rows(root: Path, study: str, settings: str) -> RowLayout:
    """Say the same of a study that can only be one of rows.

    Raises
    ------
    ConfigError
        If the settings cannot be read or planned.
    """
    return _lay_out_rows(root, study, read_settings(TableStudySettings, settings))
