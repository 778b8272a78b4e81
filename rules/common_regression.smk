# Inputs of the rules for studies whose models predict capacities.


def label_simulation(wildcards):
    """The table of the half-cell model where it computes the capacities of a data set; else nothing."""
    targets = dataset_settings(wildcards).targets
    return layout_of(wildcards).simulated or [] if targets and targets.computed else []


def label_simulation_options(wildcards, input):
    """That table, and the cell that it describes, for the program that reads the data set."""
    if not input.simulated:
        return []
    physics = PROJECT.studies[wildcards.study].physics
    cell = settings_file(wildcards.study, "physics", physics)
    return ["--simulated", input.simulated, "--physics", cell]
