"""A few small generated scans of two states, which several tests read and cut."""

from batteryscope.config.dataset import DatasetSettings, VolumeSettings
from batteryscope.config.picture_generators import CtCellGenerator
from batteryscope.config.preprocess import CtSlicesSettings

MADE = CtCellGenerator(
    kind="ct_cell", cells_per_state=3, slices=4, size_px=160, states=["pristine", "cycle_aged"]
)
SETTINGS = DatasetSettings(
    name="scans",
    generator=MADE,
    volumes=VolumeSettings(),
    labels={"pattern": "(?P<state>pristine|cycle_aged)", "columns": ["state"]},
)
CUT = CtSlicesSettings(input_px=32, min_regularity=0.1)
CLASSES = ["cycle_aged", "pristine"]
