"""What goes into and comes out of a bundle as an MLflow model: code, signature, example."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.models import ModelSignature
    from numpy.typing import NDArray

DEFAULT_EXAMPLE_PX = 300
IMAGE_CODE = Path(__file__).with_name("bundle_model.py")
TABLE_CODE = Path(__file__).with_name("table_bundle_model.py")


@dataclass(frozen=True)
class ModelInterface:
    """The code that MLflow runs to load the model, its signature and an example of its input."""

    code: Path
    signature: "ModelSignature"
    example: "NDArray[np.uint8] | pd.DataFrame"


def describe_interface(bundle: Path) -> ModelInterface:
    """Describe the interface of a bundle, of pictures or of tables.

    Raises
    ------
    InputError
        If ``bundle.json`` or the example cannot be read.
    """
    path = bundle / "bundle.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return INTERFACES[str(values.get("kind", ""))](bundle, values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be read as a bundle's description ({first_line(error)})."
        ) from None


def _describe_rows(bundle: Path, values: Mapping[str, Any]) -> ModelInterface:
    features = [str(feature["name"]) for feature in values["features"]]
    signature = make_table_signature(features, [t["name"] for t in values["targets"]])
    return ModelInterface(TABLE_CODE, signature, read_table_example(bundle, features))


def _describe_numbers(bundle: Path, values: Mapping[str, Any]) -> ModelInterface:
    signature = make_number_signature([str(target["name"]) for target in values["targets"]])
    return ModelInterface(IMAGE_CODE, signature, read_example(bundle, _find_edge(values)))


def _describe_classes(bundle: Path, values: Mapping[str, Any]) -> ModelInterface:
    signature = make_signature([str(name) for name in values["classes"]])
    return ModelInterface(IMAGE_CODE, signature, read_example(bundle, _find_edge(values)))


def _find_edge(values: Mapping[str, Any]) -> int:
    return int(values["preprocess"].get("crop_px", DEFAULT_EXAMPLE_PX))


# By what bundle.json calls itself; one of classes has no such key.
INTERFACES: Mapping[str, Callable[[Path, Mapping[str, Any]], ModelInterface]] = {
    "": _describe_classes,
    "capacity": _describe_numbers,
    "quantities": _describe_numbers,
    "table": _describe_rows,
}


def make_signature(classes: list[str]) -> "ModelSignature":
    """Return the signature: uint8 images (n, height, width) to a probability per class.

    Class, sets of classes (where there are any), status and reason follow, as text.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
    columns = [ColSpec("double", f"p_{name}") for name in classes]
    told = [ColSpec("string", name) for name in ("class", "status", "reason")]
    told.insert(1, ColSpec("string", "prediction_set", required=False))
    return ModelSignature(inputs=Schema([images]), outputs=Schema([*columns, *told]))


def make_number_signature(targets: list[str]) -> "ModelSignature":
    """Return the signature: uint8 images to every number with its interval and fold spread.

    Status and reason follow, as text.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
    names = [f"{target}{end}" for target in targets for end in ("", "_low", "_high", "_fold_sd")]
    told = [ColSpec("string", name) for name in ("status", "reason")]
    outputs = Schema([*(ColSpec("double", name) for name in names), *told])
    return ModelSignature(inputs=Schema([images]), outputs=outputs)


def make_table_signature(features: list[str], targets: list[str]) -> "ModelSignature":
    """Return the signature: domain and features to every target with its interval."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema([ColSpec("string", "domain"), *(ColSpec("double", n) for n in features)])
    names = [f"{target}{end}" for target in targets for end in ("", "_low", "_high")]
    outputs = Schema([*(ColSpec("double", name) for name in names)])
    return ModelSignature(inputs=inputs, outputs=outputs)


def read_example(bundle: Path, edge_px: int) -> "NDArray[np.uint8]":
    """Return a corner of the bundle's example input, at most ``edge_px`` wide and high.

    A corner, because MLflow writes the numbers as text: a whole SEM image takes it
    half a minute and 22 MB. The bundle among the model's files holds the whole image.

    Returns
    -------
    (1, height, width) uint8 array
    """
    import numpy as np
    from PIL import Image

    path = bundle / "example_input.png"
    try:
        with Image.open(path) as image:
            corner = image.convert("L").crop(
                (0, 0, min(edge_px, image.width), min(edge_px, image.height))
            )
        return np.asarray(corner, dtype=np.uint8)[None]
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a picture ({first_line(error)}).") from None


def read_table_example(bundle: Path, features: list[str]) -> "pd.DataFrame":
    """Return the rows that the bundle answered when it was made, in the units of the study."""
    import pandas as pd

    path = bundle / "example_output.csv"
    try:
        rows = pd.read_csv(path)[["domain", *features]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as example rows ({first_line(error)}).") from None
    return rows.astype(dict.fromkeys(features, "float64"))
