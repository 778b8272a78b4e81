# Inputs of the rules for studies whose models predict capacities.


def regression_arms(wildcards):
    """Where the pieces of every arm lie, as JSON for programs that take all arms at once."""
    arms = plan_of(wildcards).arms.items()
    return json.dumps({n: regression_pieces(wildcards.study, arm) for n, arm in arms})


def regression_pieces(study, arm):
    layout = LAYOUTS[study]
    return {
        "split": layout.split(arm.split).roles.as_posix(),
        "tiles": layout.tiles(arm.tiles).as_posix(),
        "fits": [part.as_posix() for part in layout.list_fits(arm.name)],
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


def regression_tiles(wildcards):
    tiles = {arm.tiles for arm in plan_of(wildcards).arms.values()}
    return [layout_of(wildcards).tiles(name) for name in sorted(tiles)]


def regression_fits(wildcards):
    chains = {arm.chains[-1] for arm in plan_of(wildcards).arms.values()}
    return [p for c in sorted(chains) for p in layout_of(wildcards).list_parts(c)]


def simulated_capacities(wildcards):
    """The table of the half-cell model; nothing for a study without physics."""
    return layout_of(wildcards).simulated or []


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
    return ["--simulated", input.simulated, "--physics", cell]


def phase_maps(wildcards):
    """The folder of phase maps: the user's, or the one that generated cross-sections bring."""
    study = PROJECT.studies[wildcards.study]
    if study.explain.phases:
        return ["--phases", study.explain.phases]
    generated = study.dataset.path is None
    folder = f"{dataset_folder(wildcards.study)}/.phases"
    return ["--phases", folder] if generated else []
