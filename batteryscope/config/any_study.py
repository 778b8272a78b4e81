"""Settings of a study, whatever its data are."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Discriminator, Tag

from batteryscope.config.study import StudySettings
from batteryscope.config.table_study import TableStudySettings


def kind(study: object) -> str:
    """Return what the data of a study are, ``image`` or ``table``: pydantic chooses by it."""
    if isinstance(study, Mapping):
        return str(study.get("kind", "image"))
    return str(getattr(study, "kind", "image"))


AnyStudy = Annotated[
    Annotated[StudySettings, Tag("image")] | Annotated[TableStudySettings, Tag("table")],
    Discriminator(kind),
]
STUDY_KINDS: dict[str, type[StudySettings] | type[TableStudySettings]] = {
    "image": StudySettings,
    "table": TableStudySettings,
}
