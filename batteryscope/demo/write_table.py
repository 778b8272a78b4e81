"""Write a generated table: electrodes with their process settings, or gas diffusion layers."""

import os
from pathlib import Path

from batteryscope.config.json_text import read_settings
from batteryscope.config.table_data import (
    GdlGenerator,
    ManufacturingGenerator,
    TableGeneratorKind,
)
from batteryscope.demo.gdl_dataset import write_gdl_table
from batteryscope.demo.manufacturing import write_manufacturing_table


def generate(settings: str, out: Path, workers: int | None, capacities: Path | None) -> str:
    """Generate a table by settings as JSON text or a file; return what was done in words.

    ``capacities`` are of no use here: they label pictures.
    """
    del capacities
    if read_settings(TableGeneratorKind, settings).kind == "gdl":
        layers = read_settings(GdlGenerator, settings)
        path = write_gdl_table(layers, out, workers or os.cpu_count() or 1)
    else:
        path = write_manufacturing_table(read_settings(ManufacturingGenerator, settings), out)
    return f"generated table: {path}"
