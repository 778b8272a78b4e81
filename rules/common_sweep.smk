# What the rules of sweeps share.


def sweep_arms(wildcards):
    """The arms that do the work of all points, each once."""
    return sorted({point.arm for point in plan_of(wildcards).points})


def sweep_pieces(wildcards, name="comparison"):
    """What the points of a study's sweeps leave; nothing if none is run."""
    plan = PLANS.get(wildcards.study)  # studies of tables have none
    has_points = plan is not None and bool(plan.points)
    return [f"work/{wildcards.study}/sweeps/{name}"] if has_points else []


def sweep_parts(study, arm):
    return stage_parts(study, PLANS[study].every_arm[arm].chains[-1])


def sweep_settings(wildcards):
    plan = plan_of(wildcards)
    arms = sweep_arms(wildcards)
    return {
        "points": [vars(point) for point in plan.points],
        "paper": [
            value.model_dump(mode="json")
            for sweep in plan.settings.sweeps.values()
            for value in sweep.paper
        ],
        "backbones": {arm: plan.every_arm[arm].recipe.model.backbone for arm in arms},
    }
