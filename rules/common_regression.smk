# Inputs of the rules for studies whose models predict capacities.


def regression_arms(wildcards):
    """Where the pieces of every arm lie, as JSON for programs that take all arms at once."""
    arms = plan_of(wildcards).arms.items()
    return json.dumps({n: regression_pieces(wildcards.study, arm) for n, arm in arms})


def regression_pieces(study, arm):
    root = f"work/{study}"
    return {
        "split": f"{root}/splits/{arm.split}/split.parquet",
        "tiles": f"{root}/tiles/{arm.tiles}",
        "fits": stage_parts(study, arm.chains[-1]),
        "where": arm.recipe.split.test_where,
        "scheme": arm.recipe.split.scheme,
        "group": arm.recipe.split.group,
        "backbone": arm.recipe.model.backbone,
        "preprocess": arm.recipe.preprocess.model_dump(mode="json"),
    }


def point_pieces(wildcards):
    return regression_pieces(
        wildcards.study, plan_of(wildcards).point_arms[wildcards.arm]
    )


def regression_splits(wildcards):
    root = f"work/{wildcards.study}/splits"
    return sorted(
        {f"{root}/{a.split}/split.parquet" for a in plan_of(wildcards).arms.values()}
    )


def regression_tiles(wildcards):
    arms = plan_of(wildcards).arms.values()
    return sorted({f"work/{wildcards.study}/tiles/{arm.tiles}" for arm in arms})


def regression_fits(wildcards):
    arms = plan_of(wildcards).arms.values()
    chains = sorted({arm.chains[-1] for arm in arms})
    return [part for chain in chains for part in stage_parts(wildcards.study, chain)]


def simulated_capacities(wildcards):
    """The table of the half-cell model; nothing for a study without physics."""
    has_physics = PROJECT.studies[wildcards.study].physics is not None
    return [f"work/{wildcards.study}/physics/capacities.csv"] if has_physics else []


def label_simulation(wildcards):
    """The table of the half-cell model where it computes the capacities of a data set; else nothing."""
    targets = dataset_settings(wildcards).targets
    return simulated_capacities(wildcards) if targets and targets.computed else []


def label_simulation_options(wildcards, input):
    """That table, and the cell that it describes, for the program that reads the data set."""
    if not input.simulated:
        return []
    physics = PROJECT.studies[wildcards.study].physics
    cell = settings_file(wildcards.study, "physics", physics)
    return ["--simulated", *input.simulated, "--physics", cell]


def phase_maps(wildcards):
    """The folder of phase maps: the user's, or the one that generated cross-sections bring."""
    study = PROJECT.studies[wildcards.study]
    if study.explain.phases:
        return ["--phases", study.explain.phases]
    generated = study.dataset.path is None
    folder = f"{dataset_folder(wildcards.study)}/.phases"
    return ["--phases", folder] if generated else []


def generated_images(wildcards):
    study = PROJECT.studies[wildcards.study]
    return [] if study.dataset.path else dataset_folder(wildcards.study)
