"""Top views under an electron microscope, and all other pictures without a kind of their own."""

from batteryscope.samples.kind import NO_COATING, NO_CORE, PICTURE_MODULES, Samples

SEM = Samples(
    name="sem",
    noun="image",
    plural="images",
    given="a picture",
    goes_in="A picture",
    levels=("tile", "image", "specimen"),
    unit="specimen",
    group="group",
    learnt_from="tiles",
    modules=PICTURE_MODULES,
    methods=("sem_tiles", "sem_whole"),
    offers=frozenset({"labels", "grey_levels", "metadata", "texture"}),
    useless={"explain.polar_slices_per_class": NO_CORE, "explain.phases": NO_COATING},
)
