"""Which samples settings, tables and bundles speak of: the only place that decides it."""

from collections.abc import Iterable

from batteryscope.config.dataset import DatasetSettings
from batteryscope.config.picture_generators import CrossSectionGenerator
from batteryscope.config.preprocess import PreprocessSettings
from batteryscope.config.study import StudySettings
from batteryscope.config.table_data import TableDatasetSettings
from batteryscope.config.table_study import TableStudySettings
from batteryscope.samples.coating import COATING
from batteryscope.samples.ct import CT
from batteryscope.samples.kind import Samples
from batteryscope.samples.rows import ROWS
from batteryscope.samples.sem import SEM

KINDS = (SEM, CT, COATING, ROWS)
# What a method of preprocessing is for.
CUT_BY = {method: kind for kind in KINDS for method in kind.methods}


def samples_of(
    settings: StudySettings | DatasetSettings | TableStudySettings | TableDatasetSettings,
) -> Samples:
    """Return what a study or a data set looks at.

    Whether a user's pictures show a powder or a coating says only the study, which cuts them; a
    data set by itself is read alike in both cases.
    """
    if isinstance(settings, TableStudySettings | TableDatasetSettings):
        return ROWS
    if isinstance(settings, StudySettings):
        of_data, cut = samples_of(settings.dataset), samples_cut_by(settings.preprocess)
        return cut if of_data.are_files and cut.are_files else of_data
    if settings.volumes:
        return CT
    is_drawn = settings.path is None and isinstance(settings.generator, CrossSectionGenerator)
    return COATING if is_drawn else SEM


def samples_cut_by(preprocess: PreprocessSettings) -> Samples:
    """Return what preprocessing cuts: of published models that is all that is known."""
    return CUT_BY[preprocess.method]


def samples_in(columns: Iterable[str]) -> Samples:
    """Return what the samples of a manifest with these columns are."""
    found = set(columns)
    return next((kind for kind in KINDS if kind.columns and found.issuperset(kind.columns)), SEM)
