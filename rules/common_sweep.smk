# What the rules of sweeps share.
SWEPT = PLANS | TABLE_SWEEPS


def sweep_points(study):
    """The points of all sweeps of a study of either kind."""
    return SWEPT[study].points


def sweep_arms(wildcards):
    """The arms that do the work of all points, each once."""
    return sorted({point.arm for point in sweep_points(wildcards.study)})


def sweep_pieces(wildcards):
    """The compared points of a study's sweeps; nothing if none is run."""
    return layout_of(wildcards).sweeps or []


def image_arms(study):
    """The arms of points that tiles train, by name; networks of tables have no such plan."""
    arms = PLANS[study].every_arm if study in PLANS else {}
    worked = {point.arm for point in sweep_points(study)}
    return {name: arms[name] for name in sorted(worked & arms.keys())}


def sweep_fits(wildcards):
    """The folders with the histories of all fits."""
    study = wildcards.study
    arms = image_arms(study).items()
    return [
        (name, [part.as_posix() for part in LAYOUTS[study].list_fits(name)])
        for name, _ in arms
    ]


def sweep_splits(wildcards):
    study = wildcards.study
    return [
        (name, LAYOUTS[study].split(arm.split).roles)
        for name, arm in image_arms(study).items()
    ]


def sweep_labels(wildcards):
    study = wildcards.study
    return PROJECT.studies[study].dataset.labels.columns if study in PLANS else []


def point_split(wildcards):
    return layout_of(wildcards).point_split(wildcards.arm).roles


def sweep_inputs(wildcards):
    return layout_of(wildcards).list_point_inputs()


def sweep_settings(wildcards):
    """Everything that the comparison of the points is told."""
    study, points = wildcards.study, sweep_points(wildcards.study)
    arms = image_arms(study).items()
    return {
        "scorer": LAYOUTS[study].modules.score_points,
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
