# What the rules of sweeps share.

from batteryscope.tables.plan_sweeps import plan_table_sweeps

try:
    TABLE_SWEEPS = {
        name: plan_table_sweeps(name, study)
        for name, study in PROJECT.table_studies.items()
    }
except BatteryscopeError as error:
    refuse(error)
SWEPT = PLANS | TABLE_SWEEPS


def sweep_points(study):
    """The points of all sweeps of a study of either kind."""
    return SWEPT[study].points


def sweep_arms(wildcards):
    """The arms that do the work of all points, each once."""
    return sorted({point.arm for point in sweep_points(wildcards.study)})


def sweep_pieces(wildcards, name="comparison"):
    """What the points of a study's sweeps leave; nothing if none is run."""
    has_points = bool(sweep_points(wildcards.study))
    return [f"work/{wildcards.study}/sweeps/{name}"] if has_points else []


def image_arms(study):
    """The arms of points that tiles train, by name; networks of tables have no such plan."""
    arms = PLANS[study].every_arm if study in PLANS else {}
    worked = {point.arm for point in sweep_points(study)}
    return {name: arms[name] for name in sorted(worked & arms.keys())}


def sweep_fits(wildcards):
    """The folders with the histories of all fits."""
    study = wildcards.study
    arms = image_arms(study).items()
    return [(name, stage_parts(study, arm.chains[-1])) for name, arm in arms]


def sweep_splits(wildcards):
    study = wildcards.study
    return [
        (name, f"work/{study}/splits/{arm.split}/split.parquet")
        for name, arm in image_arms(study).items()
    ]


def sweep_labels(wildcards):
    study = wildcards.study
    return PROJECT.studies[study].dataset.labels.columns if study in PLANS else []


def point_split(wildcards):
    """How a point of a table study divides the rows: as the study, or by itself."""
    split = TABLE_SWEEPS[wildcards.study].split_of.get(wildcards.arm)
    folder = f"sweeps/splits/{split}" if split else "splits"
    return f"work/{wildcards.study}/{folder}/split.parquet"


def sweep_predictions(study, arm):
    """Where the predictions of an arm that does the work of a point lie."""
    if study in TABLE_SWEEPS:
        own = arm in TABLE_SWEEPS[study].work
        folder = f"sweeps/networks/{arm}" if own else "networks"
        return f"work/{study}/{folder}/predictions.parquet"
    if PROJECT.rooms[study] == "capacity" and arm in PLANS[study].point_arms:
        return f"work/{study}/sweeps/predicted/{arm}/predictions.parquet"
    return f"{arm_folder(study, arm)}/predictions.parquet"


def sweep_inputs(wildcards):
    """The predictions as inputs, or the folder around them where that is the output of a rule."""
    study, room = wildcards.study, PROJECT.rooms[wildcards.study]
    paths = {Path(sweep_predictions(study, arm)) for arm in sweep_arms(wildcards)}
    if room == "table":
        paths = {path.parent for path in paths}
    if room == "capacity":  # the study's own arms are predicted together
        paths = {p if p.parts[2] == "sweeps" else p.parents[1] for p in paths}
    return sorted(path.as_posix() for path in paths)


def without_sweeps(study):
    """A study's settings for jobs that sweeps and searches do not change."""
    alone = {"sweeps": {}, "run_sweeps": [], "search": None}
    return PROJECT.studies[study].model_copy(update=alone)


def sweep_settings(wildcards):
    """Everything that the comparison of the points is told."""
    study, points = wildcards.study, sweep_points(wildcards.study)
    arms = image_arms(study).items()
    return {
        "task": PROJECT.rooms[study],
        "points": [vars(point) for point in points],
        "paper": [
            value.model_dump(mode="json")
            for sweep in PROJECT.studies[study].sweeps.values()
            for value in sweep.paper
        ],
        "backbones": {name: arm.recipe.model.backbone for name, arm in arms},
        "bases": {point.arm: point.base for point in points},
        "quantities": [q.model_dump(mode="json") for q in list_quantities(study)],
    }
