"""Settings of a study that cannot have an effect are refused where they were written.

A value that was inherited, from a study's design or from below the layer that took its effect away,
is nobody's mistake and stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from batteryscope.answers.choose import answer_of
from batteryscope.config.base import CountsWith, Settings, show_asked
from batteryscope.config.study import StudySettings
from batteryscope.config.sweep import resolve_values
from batteryscope.config.table_study import NetworkArm
from batteryscope.config.written import Written
from batteryscope.errors import ConfigError
from batteryscope.plan import RECIPE_SECTIONS, STAGE_SECTIONS, ArmPlan, StudyPlan
from batteryscope.planning.plan_table_sweeps import TableSweepPlan
from batteryscope.samples.choose import samples_of

# What decides which kind of answer and of samples a study has.
DECIDES_KIND = (
    "dataset.targets", "dataset.volumes", "dataset.generator", "dataset.path", "preprocess.method",
)  # fmt: skip


@dataclass(frozen=True)
class _Asked:
    """A setting that stands somewhere in a study.

    ``prefix`` and the dotted ``name`` are its place below the study, ``arms`` run with its
    ``value``; of them only the stage of that number, if it is not None.
    """

    prefix: str
    name: str
    value: Any
    arms: Sequence[ArmPlan]
    stage: int | None = None

    @property
    def place(self) -> str:
        """Where it stands, below the study."""
        return f"{self.prefix}{self.name}"


def check_effects(plan: StudyPlan, written: Written, key: str) -> None:
    """Refuse settings that were written although they cannot have an effect.

    Parameters
    ----------
    plan
        Of the study.
    written
        What users wrote of it.
    key
        Where the study stands, for messages.

    Raises
    ------
    ConfigError
        Naming the key, what was found, why it has no effect, and what to do.
    """
    for name, why in find_useless(plan.settings).items():
        for asked in _list_asked(plan, name):
            if written.stands(asked.place, DECIDES_KIND):
                raise ConfigError(
                    f"{key}.{asked.place}: found{show_asked(asked.value)}, but it has no effect: "
                    f"{why}; leave it out."
                )
    for section in RECIPE_SECTIONS:
        for rule in _list_rules(plan, section):
            for asked in _list_asked(plan, f"{section}.{rule.key}"):
                _check_companion(plan, written, key, asked, rule)


def check_row_effects(plan: TableSweepPlan, written: Written, key: str) -> None:
    """Refuse what networks alone have in a study of rows none of whose arms needs it.

    Parameters and errors are those of :func:`check_effects`.
    """
    study = plan.settings
    of_networks = [
        f"train.{name}" for name in ("epochs", "batch_size", "learning_rate", "restarts")
    ]
    of_networks += [
        f"networks.{t}.{name}" for t in study.networks for name in ("hidden_layers", "nodes")
    ]
    of_adapters = [f"networks.{target}.adapter_nodes" for target in study.networks]
    idle = dict.fromkeys(of_adapters, "an adapter") if "adapter" not in study.arms else {}
    if not set(get_args(NetworkArm)) & set(study.arms):
        idle |= dict.fromkeys(of_networks, "a network")
    for name, lacking in idle.items():
        section, *target, setting = name.split(".")
        settings = study.networks[target[0]] if target else getattr(study, section)
        asked = getattr(settings, setting)
        if asked != _find_usual(settings, setting) and written.stands(name, ["arms"]):
            raise ConfigError(
                f"{key}.{name}: found{show_asked(asked)}, but it has no effect: none of the arms "
                f"{', '.join(study.arms)} has {lacking}; add one to arms, or leave it out."
            )


def find_useless(study: StudySettings) -> dict[str, str]:
    """Return the settings without effect in a study of this kind, by dotted key, and why."""
    useless = {**samples_of(study).useless, **answer_of(study.dataset).find_useless(study.dataset)}
    if study.needs_physics:
        useless.pop("physics", None)
    return useless


def _check_companion(
    plan: StudyPlan, written: Written, key: str, asked: _Asked, rule: CountsWith
) -> None:
    """Refuse a setting if no arm that runs with it has the value beside it that it needs."""
    section = asked.name.partition(".")[0]
    other = f"{section}.{rule.other}"
    found = [
        getattr(settings, rule.other)
        for settings in _list_sections(plan, asked, section)
        if rule in settings.counts_with
    ]
    searched = plan.settings.search.space.get(other) if plan.settings.search else None
    tried = searched if isinstance(searched, list) else []
    if not found or asked.value in rule.off or any(map(rule.counts, [*found, *tried])):
        return
    beside = [other, f"{asked.prefix}{other}"]
    if asked.prefix.startswith("search."):
        beside += ["search.arm", "arms"]
    if written.stands(asked.place, beside):
        said = rule.describe_idle(asked.value, found[0], section)
        raise ConfigError(f"{key}.{asked.place.removesuffix(f'.{rule.key}')}: {said}")


def _list_rules(plan: StudyPlan, section: str) -> list[CountsWith]:
    """List what is known of the section in all arms, and in what they start from."""
    rules: list[CountsWith] = []
    recipes = [arm.recipe for arm in plan.every_arm.values()]
    for settings in (getattr(owner, section) for owner in (plan.settings, *recipes)):
        rules += [rule for rule in settings.counts_with if rule not in rules]
    return rules


def _list_sections(plan: StudyPlan, asked: _Asked, section: str) -> list[Settings]:
    """List the section's settings, all changes applied, in the arms that run with a value."""
    if section not in STAGE_SECTIONS:
        return [getattr(arm.recipe, section) for arm in asked.arms]
    chains = [
        arm.chains if asked.stage is None else [arm.chains[asked.stage]] for arm in asked.arms
    ]
    return [getattr(plan.stages[name].settings, section) for chain in chains for name in chain]


def _list_asked(plan: StudyPlan, name: str) -> Iterator[_Asked]:
    """List the places where a setting stands, by dotted name, with another value than usual."""
    study = plan.settings
    usual = _find_usual(study, name)
    value = _find(study, name)
    if value is not _NOTHING and value != usual:
        yield _Asked("", name, value, list(plan.every_arm.values()))
    for arm_name, arm in study.arms.items():
        arms = _list_descendants(plan, arm_name)
        places: list[tuple[str, Mapping[str, Any], int | None]] = [
            (f"arms.{arm_name}.change.", _flatten(arm.change), None)
        ]
        places += [
            (f"arms.{arm_name}.stages.{n}.change.", stage.change, n)
            for n, stage in enumerate(arm.stages)
        ]
        for prefix, change, stage in places:
            if change.get(name, usual) != usual:
                yield _Asked(prefix, name, change[name], arms, stage)
    for sweep in study.run_sweeps:
        points = [(p, resolve_values(p.values)) for p in plan.points if p.sweep == sweep]
        tried = [(p, values[name]) for p, values in points if values.get(name, usual) != usual]
        if tried:
            arms = [plan.every_arm[point.arm] for point, _ in tried]
            yield _Asked(f"sweeps.{sweep}.", name, tried[0][1], arms)
    if study.search is not None and name in study.search.space:
        arm_plan = plan.arms[study.search.arm or study.best_known_arm]
        last = len(arm_plan.chains) - 1
        yield _Asked("search.space.", name, study.search.space[name], [arm_plan], last)


def _list_descendants(plan: StudyPlan, arm: str) -> list[ArmPlan]:
    """List an arm, with those of learning curves and sweeps that start from it."""
    of_curve = [name for name, (base, _) in plan.settings.curve_arms.items() if base == arm]
    of_sweeps = [point.arm for point in plan.points if point.base == arm]
    return [plan.every_arm[name] for name in dict.fromkeys([arm, *of_curve, *of_sweeps])]


def _flatten(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of an arm by dotted key, where it gives whole sections as well."""
    flat: dict[str, Any] = {}
    for key, value in change.items():
        inner = value if key in RECIPE_SECTIONS and isinstance(value, Mapping) else None
        flat |= {key: value} if inner is None else {f"{key}.{k}": v for k, v in inner.items()}
    return flat


_NOTHING = object()  # an alternative of the settings that does not have the key


def _find(settings: Any, name: str) -> Any:
    for key in name.split("."):
        settings = getattr(settings, key, _NOTHING)
    return settings


def _find_usual(settings: Any, name: str) -> Any:
    """Return the default of a setting, where its class has it."""
    above, _, key = name.rpartition(".")
    owner = _find(settings, above) if above else settings
    field = getattr(type(owner), "model_fields", {}).get(key)
    return _NOTHING if field is None else field.get_default(call_default_factory=True)
