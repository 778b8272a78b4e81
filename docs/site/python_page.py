"""The page of the site for Python: names that users import, and the interfaces of extensions."""

# What docs/extending.md names; the page says what each part must have.
INTERFACES = {
    "Readers": (
        "batteryscope.readers.picture.PictureFormat",
        "batteryscope.readers.picture.DecodedPage",
        "batteryscope.readers.picture.AcquisitionMetadata",
        "batteryscope.readers.picture.PictureError",
    ),
    "Preprocessing": (
        "batteryscope.config.preprocess.CutSettings",
        "batteryscope.preprocess.tile_batch.Preprocessor",
        "batteryscope.preprocess.tile_batch.TileBatch",
        "batteryscope.preprocess.tile_batch.UnusablePictureError",
    ),
    "Kinds of samples": (
        "batteryscope.samples.kind.Samples",
        "batteryscope.samples.kind.SampleModules",
    ),
    "Answers": (
        "batteryscope.answers.kind.Answer",
        "batteryscope.answers.kind.AnswerModules",
    ),
    "Baselines": (
        "batteryscope.core.baseline_catalogue.Baseline",
        "batteryscope.evaluation.sample_features.FeatureSources",
    ),
    "Figures": (
        "batteryscope.report.shared_figures.SharedEvidence",
        "batteryscope.core.style.Picture",
        "batteryscope.core.style.encode_picture",
        "batteryscope.core.style.make_figure",
    ),
}
FOR_USERS = (
    "batteryscope.api.load",
    "batteryscope.api.Model",
    "batteryscope.api.read_picture",
    "batteryscope.api.read_volume",
    "batteryscope.api.results",
    "batteryscope.readers.picture.Picture",
    "batteryscope.readers.volume.Volume",
)
HEAD = """\
# Python

`import batteryscope as bs` gives `load`, `read_picture`, `read_volume`, `results` and `Model`.
With examples: [From Python](../python.md).

## For users

"""
MIDDLE = """
## For extensions

The interfaces that [How to add …](../extending.md) names, each with a worked example there.
"""


def write_python_page() -> str:
    """Return the page, whose ``:::`` lines mkdocstrings replaces by signatures and docstrings."""
    lines = [HEAD, *(_refer(name) for name in FOR_USERS), MIDDLE]
    for title, names in INTERFACES.items():
        lines += [f"\n### {title}\n\n", *(_refer(name, 4) for name in names)]
    return "".join(lines)


def _refer(name: str, level: int = 3) -> str:
    return f"::: {name}\n    options:\n      heading_level: {level}\n\n"
