"""Top views under an electron microscope, and all other pictures without a kind of their own."""

from batteryscope.samples.kind import SampleModules, Samples

SEM = Samples(
    name="sem",
    noun="image",
    plural="images",
    origin="a picture",
    goes_in="A picture",
    levels=("tile", "image", "specimen"),
    unit="specimen",
    group="group",
    learnt_from="tiles",
    modules=SampleModules(
        generate="batteryscope.demo.write_dataset",
        ingest="batteryscope.manifest.ingest_pictures",
        split="batteryscope.splits.divide_pictures",
        search="batteryscope.search.plan_search",
        predict="batteryscope.bundle.predict_pictures",
    ),
    methods=("sem_tiles", "sem_whole"),
    offers=frozenset({"labels", "grey_levels", "metadata", "texture"}),
)
