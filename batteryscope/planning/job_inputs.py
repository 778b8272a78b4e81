"""What jobs read and which settings they get, answered for the wildcards of their rules.

Snakemake calls these methods with an object that has a value for every name in a rule's output:
``study``, and ``source``, ``arm``, ``chain`` and so on where a rule has them. Where a study has no
such piece, they return an empty list, which is no input.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from batteryscope.config.base import leave_out
from batteryscope.config.project import Project, load_project
from batteryscope.manifest.picture_states import (
    describe_replaced,
    describe_state,
    find_replaced,
    read_mark,
)
from batteryscope.planning.checks import check_project
from batteryscope.planning.grey_mismatches import list_mismatches
from batteryscope.planning.layout import PictureLayout, RowLayout, lay_out_study
from batteryscope.provenance import digest_file, write_settings
from batteryscope.readers.folder import fingerprint_folder
from batteryscope.workflow.report_figures import label_figure, read_captions, spell_caption

_fingerprint_once = cache(fingerprint_folder)
_describe_once = cache(describe_state)


def match_names(names: Iterable[str]) -> str:
    """Return a pattern of names of studies, which no name fits if there is none."""
    return "|".join(sorted(names)) or "(?!)"


def list_weights(weights: str) -> list[str]:
    """Return the weights that a network starts from, if they are a file of the user's own."""
    return [] if weights in ("imagenet", "random") else [weights]


@dataclass(frozen=True)
class JobInputs:
    """Inputs and parameters of jobs.

    Attributes
    ----------
    project
        The whole configuration.
    layouts
        By study, where its pieces lie.
    data_versions
        By study, the hash by which DVC knows its data; "" if it does not.
    tell
        Prints a line for people, once.
    looks_again
        Whether pictures are compared with those that were read: the main process does.
    """

    project: Project
    layouts: Mapping[str, PictureLayout | RowLayout]
    data_versions: Mapping[str, str]
    tell: Callable[[str], None] = print
    looks_again: bool = True
    _marks: dict[tuple[str, str], str] = field(default_factory=dict, init=False)

    def learning_from(self, trained_on: str) -> str:
        """Return a pattern of the studies whose networks learn from ``tiles`` or ``rows``."""
        layouts = self.layouts.items()
        return match_names(n for n, lay in layouts if lay.samples.learnt_from == trained_on)

    def simulated(self) -> str:
        """Return a pattern of the studies that have a half-cell model."""
        return match_names(n for n, layout in self.layouts.items() if layout.simulated)

    # A rule asks only what its kind of study has; no type can say so.
    def study_of(self, wildcards: Any) -> Any:
        """Return the settings of a study."""
        return self.project.studies[wildcards.study]

    def layout_of(self, wildcards: Any) -> Any:
        """Return where its pieces lie."""
        return self.layouts[wildcards.study]

    def plan_of(self, wildcards: Any) -> Any:
        """Return its stages and arms."""
        return self.layouts[wildcards.study].plan

    def stage_of(self, wildcards: Any) -> Any:
        """Return the stage that a job trains."""
        return self.plan_of(wildcards).stages[wildcards.chain]

    def work_of(self, wildcards: Any) -> str:
        """Return the folder with all pieces of a study, for a program."""
        return str(self.layout_of(wildcards).root.as_posix())

    def settings_file(self, study: str, name: str, settings: Any) -> str:
        """Write the settings of one job to a file named after them: a change re-runs the job."""
        return write_settings(self.layouts[study].settings, name, settings).as_posix()

    def study_file(self, wildcards: Any) -> str:
        """Write all settings of a study to a file."""
        return self.settings_file(wildcards.study, "study", self.study_of(wildcards))

    def settings_without(self, *sections: str) -> Callable[[Any], str]:
        """Return what writes the settings of a study without what a job does not depend on."""

        def write(wildcards: Any) -> str:
            kept = leave_out(self.study_of(wildcards), *sections)
            return self.settings_file(wildcards.study, "reduced", kept)

        return write

    def setting_of(self, name: str, find: Callable[[Any], Any]) -> Callable[[Any], str]:
        """Return what writes the part of the settings that one job depends on."""
        return lambda wildcards: self.settings_file(wildcards.study, name, find(wildcards))

    def dataset_of(self, wildcards: Any) -> Any:
        """Return the settings of a study's own data set, or of its external one (``source``)."""
        study, source = self.study_of(wildcards), getattr(wildcards, "source", "data")
        return study.dataset if source == "data" else study.external

    def reading_settings(self, wildcards: Any) -> Any:
        """Return those of a data set without what does not decide how its files are read."""
        settings = self.dataset_of(wildcards)
        unused = {"name": "data", "masks": None, "masks_show": ""}
        return settings.model_copy(update=unused | ({"generator": None} if settings.path else {}))

    def find_dataset(self, wildcards: Any) -> str:
        """Return the folder of the pictures, for a program."""
        source = getattr(wildcards, "source", "data")
        return str(self.layout_of(wildcards).find_dataset(source).as_posix())

    def find_external(self, wildcards: Any) -> str:
        """Return the folder of the external pictures, for a program."""
        return str(self.layout_of(wildcards).find_dataset("external").as_posix())

    def generated_images(self, wildcards: Any) -> Path | list[Path]:
        """Return the generated pictures; nothing where the user brings them."""
        source = getattr(wildcards, "source", "data")
        own = self.dataset_of(wildcards).path
        return [] if own else self.layout_of(wildcards).dataset(source).images

    def generated_external(self, wildcards: Any) -> str | list[str]:
        """Return the generated pictures of the external data set."""
        own = self.study_of(wildcards).evaluate.external.path
        return [] if own else self.find_external(wildcards)

    def generator_capacities(self, wildcards: Any) -> Path | list[Path]:
        """Return the table of the half-cell model where generated electrodes get labels by it."""
        needed = self.dataset_of(wildcards).generator.needs_capacities
        return self.layout_of(wildcards).capacities if needed else []

    def label_simulation(self, wildcards: Any) -> Path | list[Path]:
        """Return the table of the half-cell model where it computes capacities of a data set."""
        wanted = self.dataset_of(wildcards).computes_targets
        return (self.layout_of(wildcards).simulated or []) if wanted else []

    def label_options(self, wildcards: Any, input: Any) -> list[str]:
        """Return that table, and the cell that it describes, for the program that reads."""
        if not input.simulated:
            return []
        physics = self.study_of(wildcards).physics
        cell = self.settings_file(wildcards.study, "physics", physics)
        return ["--simulated", input.simulated, "--physics", cell]

    def cache_option(self, wildcards: Any) -> list[str]:
        """Return where what was read is kept: no output, so that it outlives a change."""
        return ["--cache", self._find_cache(wildcards.study, wildcards.source).as_posix()]

    def list_pictures(self, wildcards: Any) -> str:
        """Return names, sizes and times of the user's files: an edited image is noticed."""
        listing = _fingerprint_once(self.dataset_of(wildcards).path)
        return f"{listing}{self._mark_replaced(wildcards)}"

    def _find_cache(self, study: str, source: str) -> Path:
        return self.layouts[study].state(f"ingest_{source}.sqlite")

    def _mark_replaced(self, wildcards: Any) -> str:
        """Text that changes when a picture was replaced though size and date stayed."""
        key = wildcards.study, wildcards.source
        if key not in self._marks:
            self._marks[key] = self._find_mark(*key, self.dataset_of(wildcards).path)
        return self._marks[key]

    def _find_mark(self, study: str, source: str, folder: str | None) -> str:
        if folder is None:
            return ""
        file = self._find_cache(study, source)
        mark = read_mark(file)
        if self.looks_again:
            replaced, mark = find_replaced(file, Path(folder), _describe_once)
            if replaced:
                self.tell(describe_replaced(study, replaced))
        return f"-{mark}" if mark else ""

    def table_settings(self, wildcards: Any, *sections: str) -> str:
        """Write those sections of a study of rows that a job depends on."""
        kept = self.study_of(wildcards).keep_sections(*sections)
        return self.settings_file(wildcards.study, f"table-{sections[-1]}", kept)

    def table_files(self, wildcards: Any) -> Any:
        """Return the tables of a study: the user's, or the folder with the generated one."""
        files = self.study_of(wildcards).dataset.files
        return [file.path for file in files] or self.layout_of(wildcards).data.table

    def digest_tables(self, wildcards: Any) -> list[str]:
        """Return what the user's tables hold: an older one in place of a newer has its date."""
        files = [Path(file.path) for file in self.study_of(wildcards).dataset.files]
        return [digest_file(file) for file in files if file.is_file()]

    def version_option(self, wildcards: Any) -> list[str]:
        """Return the version of the data; quoting would swallow an empty text."""
        version = self.data_versions[wildcards.study]
        return [f"--data-version={version}"] if version else []

    def list_divisions(self, wildcards: Any) -> list[Path]:
        """Return the divisions of all arms, each once."""
        splits = self.layout_of(wildcards).list_splits().values()
        return sorted({split.roles for split in splits})

    def list_point_divisions(self, wildcards: Any) -> list[Path]:
        """Return the divisions that scores of points of sweeps depend on, each once."""
        return sorted(set(self.layout_of(wildcards).list_point_splits().values()))

    def list_point_fits(self, wildcards: Any) -> list[Path]:
        """Return the folders with the histories of all fits of points."""
        fits = self.layout_of(wildcards).list_point_fits().values()
        return [part for parts in fits for part in parts]

    def list_parents(self, wildcards: Any) -> list[Path]:
        """Return the fits that a stage starts from."""
        parent = self.stage_of(wildcards).parent
        return self.layout_of(wildcards).list_parts(parent) if parent else []

    def list_external(self, wildcards: Any) -> list[Path]:
        """Return the scores of the external data set, where there is one."""
        external = self.layout_of(wildcards).external
        return [external.metrics, external.flat_metrics] if external else []

    def measured_tiles(self, wildcards: Any) -> Path | list[Path]:
        """Return the tile store whose slices were measured, where a baseline asks for that."""
        wanted = self.study_of(wildcards).evaluate.baselines
        return self.layout_of(wildcards).main_tiles if "winding" in wanted else []

    def check_of(self, wildcards: Any) -> Any:
        """Return what has to be checked before training; stages share the check of a network."""
        stages = self.plan_of(wildcards).stages.values()
        return next(s.check for s in stages if s.check_id == wildcards.check)

    def balance_of(self, wildcards: Any) -> Any:
        """Return what has to be balanced; stages that train on the same tiles share it."""
        stages = self.plan_of(wildcards).stages.values()
        return next(s.balance for s in stages if s.balance_id == wildcards.balance)

    def count_gpus(self, wildcards: Any) -> int:
        """Return one, but for studies that shall not use any."""
        train = self.study_of(wildcards).train
        return 0 if getattr(train, "accelerator", "auto") == "cpu" else 1

    def count_stage_gpus(self, wildcards: Any) -> int:
        """Return as many as the training of a stage uses."""
        train = self.stage_of(wildcards).settings.train
        return 0 if train.accelerator == "cpu" else train.devices

    def grey_level_tests(self, wildcards: Any) -> str:
        """Return the other grey levels at which an arm is tested, by test, as JSON."""
        tests = list_mismatches(self.plan_of(wildcards))
        return json.dumps({test.name: test.tested for test in tests if test.arm == wildcards.arm})

    def audited_arm(self, wildcards: Any) -> str:
        """Return the arm if shortcuts are looked for in it, else ""."""
        is_main = wildcards.arm == self.plan_of(wildcards).main.name
        return wildcards.arm if is_main and self.layout_of(wildcards).is_audited else ""

    def baseline_settings(self, wildcards: Any) -> dict[str, Any]:
        """Return what decides which baselines are fitted."""
        evaluate = self.study_of(wildcards).evaluate
        return {"baselines": evaluate.baselines, "shortcut_audit": evaluate.shortcut_audit}

    def varied_options(self, wildcards: Any) -> list[str]:
        """Return the quantities over which the half-cell model is solved, for its program."""
        ranges = self.study_of(wildcards).drawn_ranges
        return [word for varied in ranges for word in ("--vary", *varied)]

    def label_figure(self, wildcards: Any) -> dict[str, str]:
        """Return the row of a figure in the list of Snakemake's report."""
        return label_figure(wildcards.figure, read_captions(self.layout_of(wildcards).report))

    def spell_caption(self, study: str, figure: str) -> str:
        """Return the whole caption of a figure."""
        return spell_caption(figure, read_captions(self.layouts[study].report))


def open_project(
    params: Path,
    overlay: Mapping[str, Any],
    work: Path,
    tell: Callable[[str], None] = print,
    looks_again: bool = True,
) -> JobInputs:
    """Read and check the configuration, and plan every study.

    Parameters
    ----------
    params
        The file params.yaml.
    overlay
        Settings that replace those of the file.
    work
        The folder with a folder per study.
    tell, looks_again
        See :class:`JobInputs`.

    Raises
    ------
    ConfigError, InputError
        A sentence for every key with a problem.
    """
    project = load_project(params, overlay)
    layouts = {n: lay_out_study(work / n, n, s) for n, s in project.studies.items()}
    check_project({name: layout.plan for name, layout in layouts.items()}, project.written)
    versions = {name: layout.data_version for name, layout in layouts.items()}
    return JobInputs(project, layouts, versions, tell, looks_again)
