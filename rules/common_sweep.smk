# What the rules of sweeps share.


def sweep_pieces(wildcards):
    """The compared points of a study's sweeps; nothing if none is run."""
    return layout_of(wildcards).sweeps or []


def point_split(wildcards):
    return layout_of(wildcards).point_split(wildcards.arm).roles


def point_fits(wildcards):
    """The folders with the histories of all fits of points; networks of rows have none."""
    return [
        part
        for parts in layout_of(wildcards).list_point_fits().values()
        for part in parts
    ]


def point_splits(wildcards):
    """The divisions that scores of points depend on, each once."""
    return sorted(set(layout_of(wildcards).list_point_splits().values()))
