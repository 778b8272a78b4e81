"""The whole configuration: params.yaml, the demo scale and overlays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, PrivateAttr, field_validator

from batteryscope.config.any_study import STUDY_KINDS, AnyStudy, kind
from batteryscope.config.base import Settings, validate_settings
from batteryscope.config.choose_curve import choose_curve
from batteryscope.config.choose_sweeps import choose_sweeps
from batteryscope.config.json_text import read_values
from batteryscope.config.merge import merge_settings
from batteryscope.config.own_study import check_names, complete_studies, keep_to_own_data
from batteryscope.config.study import Name, StudySettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.config.written import Written, read_layers
from batteryscope.config.yaml_loader import FastLoader
from batteryscope.core.names import refuse_password
from batteryscope.errors import ConfigError

RESERVED_NAMES = {"all", "benchmarks", "logs"}  # Snakemake's default target, folders of work/


class TrackingSettings(Settings):
    """MLflow: the tracking database or server, and the switch to do without."""

    enabled: bool = True
    uri: str = "sqlite:///mlflow.db"

    @field_validator("uri")
    @classmethod
    def _uri_holds_no_password(cls, uri: str) -> str:
        return refuse_password(
            uri,
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI to "
            "all of the address",
        )


class Project(Settings):
    """The validated content of params.yaml with scale and overlays applied."""

    scale: Literal["demo", "paper"] = "demo"
    tracking: TrackingSettings = TrackingSettings()
    sweeps: list[str] | str = []  # which sweeps of the studies to run; ``all``
    curve: bool | int | str | list[int] = False  # a learning curve for studies that have none
    replace: list[str] | str = []  # studies whose published results may make room for other data
    studies: dict[Name, AnyStudy] = Field(min_length=1)
    # Not part of the settings: which of them stand in files, for messages.
    _written: dict[str, Written] = PrivateAttr(default_factory=dict)

    @property
    def written(self) -> Mapping[str, Written]:
        """What users wrote of every study, by its name."""
        return self._written

    @field_validator("studies")
    @classmethod
    def _names_are_free(cls, studies: dict[str, Settings]) -> dict[str, Settings]:
        if taken := RESERVED_NAMES & set(studies):
            raise ValueError(
                f"'{min(taken)}' has a meaning of its own; give the study another name."
            )
        return studies


class _RefusesTwice(yaml.constructor.SafeConstructor):
    """Refuses a key that occurs twice in a mapping, of which YAML would take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping, or complain about the second occurrence of a key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                problem = f"the key '{key.value}' occurs twice in one mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _StrictLoader(_RefusesTwice, yaml.SafeLoader):
    """Written in Python: its sentences about mistakes are those that we show."""


class _FastLoader(_RefusesTwice, FastLoader):
    """Takes a tenth of the time, which tells where a project has hundreds of studies."""


def load_project(params_path: Path, overlay: Mapping[str, Any] | None = None) -> Project:
    """Read, scale, overlay and validate the configuration.

    The order of precedence, lowest first: a study's settings, its ``demo`` section
    (at ``scale: demo``), the overlay, the overlay's ``demo`` section. A study that is
    ``based_on`` another one then takes that one's design
    (:func:`~batteryscope.config.own_study.complete_studies`).

    Parameters
    ----------
    params_path
        The file params.yaml.
    overlay
        Settings that replace those of the file key by key, as given by
        ``--configfile`` and ``--config``; mappings merge, everything else replaces.

    Raises
    ------
    ConfigError
        A sentence, and a line, for every key with a problem: what was found, what was expected.
    """
    where = params_path.name
    base = _read_yaml(params_path)
    raw = merge_settings(base, overlay or {})
    scale = raw.get("scale", "demo")
    studies = raw.get("studies")
    if not isinstance(studies, dict):
        raise ConfigError(f"{where}: studies is missing or not a mapping; name at least one study.")
    overlaid = (overlay or {}).get("studies", {}) or {}
    known = base.get("studies") or {}
    check_names(studies, known, where)
    for name, study in studies.items():
        if isinstance(study, dict):
            if not isinstance(study.get("demo") or {}, dict):
                raise ConfigError(
                    f"{where}: studies.{name}.demo: found {study['demo']!r}; "
                    "expected a mapping of settings."
                )
            raw["studies"][name] = _scale_study(
                known.get(name) or {}, overlaid.get(name) or {}, scale
            )
    raw["studies"] = complete_studies(raw["studies"], overlaid, where)
    for name, study in raw["studies"].items():
        if isinstance(study, dict) and isinstance(known.get(name), dict):
            given = overlaid.get(name) or {}
            raw["studies"][name] = keep_to_own_data(study, known[name], given)
    choose_sweeps(raw["studies"], raw.get("sweeps"))
    choose_curve(raw["studies"], raw.get("curve"))
    project = _drop_idle_sweeps(validate_settings(Project, raw, where, tell_all=True))
    project._written |= {
        name: read_layers(known.get(name), overlaid.get(name), scale) for name in project.studies
    }
    return project


def _drop_idle_sweeps(project: Project) -> Project:
    """Leave out the sweeps that are not run, now that they are known to be valid.

    What is not run shall not count as a changed setting either.
    """
    studies = {
        name: study.model_copy(
            update={"sweeps": {k: v for k, v in study.sweeps.items() if k in study.run_sweeps}}
        )
        for name, study in project.studies.items()
    }
    return project.model_copy(update={"studies": studies})


def read_study(text: str, where: str = "--settings") -> StudySettings | TableStudySettings:
    """Read the settings of a study, whatever its data are, from JSON text or a JSON file.

    Raises
    ------
    ConfigError
        There is no such file, it is no JSON, or a key or value of it is impossible.
    """
    values = read_values(text, where)
    if (found := kind(values)) not in STUDY_KINDS:
        known = ", ".join(map(repr, STUDY_KINDS))
        raise ConfigError(f"{where}: kind: found {found!r}; expected one of {known}.")
    return validate_settings(STUDY_KINDS[found], values, where)


def _scale_study(
    base: Mapping[str, Any], overlay: Mapping[str, Any], scale: object
) -> dict[str, Any]:
    study = dict(base)
    for layer in (base, overlay):
        if layer is overlay:
            study = merge_settings(study, {k: v for k, v in overlay.items() if k != "demo"})
        if scale == "demo":
            study = merge_settings(study, layer.get("demo") or {})
    study.pop("demo", None)
    return study


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        try:
            values = yaml.load(text, Loader=_FastLoader)
        except yaml.YAMLError:
            values = yaml.load(text, Loader=_StrictLoader)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: the file does not exist; run from the project's root."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "its text is not UTF-8"
        raise ConfigError(f"{path}: cannot be read ({problem}); correct the file.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}: not valid YAML ({place}{problem}); correct the file.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found {type(values).__name__}.")
    return values
