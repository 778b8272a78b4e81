"""Logs a model bundle as an MLflow model: the bundle's files and the code that reads them."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.errors import InputError
from batteryscope.provenance import PROJECT_ROOT

if TYPE_CHECKING:
    import numpy as np
    from mlflow.models import ModelSignature
    from numpy.typing import NDArray

MODEL_NAME = "bundle"
BUNDLE_ARTIFACT = "bundle"
MODEL_CODE = Path(__file__).with_name("bundle_model.py")
# What the library needs to read a bundle and predict; named here, because letting MLflow
# find out takes minutes.
REQUIRED_PACKAGES = (
    "mlflow", "torch", "torchvision", "timm", "kornia", "safetensors", "numpy", "scipy",
    "scikit-image", "scikit-learn", "pandas", "pandera", "pyarrow", "pillow", "pydantic",
    "pyyaml", "tqdm", "numba", "tifffile", "imagecodecs",
)  # fmt: skip


def list_requirements() -> list[str]:
    """Return pinned requirements of the bundle's code, as installed here."""
    pinned = []
    for name in REQUIRED_PACKAGES:
        try:
            # A local label such as "+cu128" is no version that a package index knows.
            pinned.append(f"{name}=={version(name).split('+')[0]}")
        except PackageNotFoundError:
            continue
    return pinned


def make_signature(classes: list[str]) -> "ModelSignature":
    """Return the signature: uint8 images (n, height, width) to a probability per class."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
    columns = [ColSpec("double", f"p_{name}") for name in classes]
    return ModelSignature(inputs=Schema([images]), outputs=Schema([*columns]))


def read_example(bundle: Path) -> "NDArray[np.uint8]":
    """Return the bundle's example input as an array of shape (1, height, width), uint8."""
    import numpy as np
    from PIL import Image

    path = bundle / "example_input.png"
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"), dtype=np.uint8)[None]
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}).") from None


def log_bundle(uri: str, run_id: str, bundle: Path) -> None:
    """Log a bundle as the model of a run.

    The model holds the bundle's files and a copy of this package, so that
    ``mlflow.pyfunc.load_model`` needs nothing else; no object is pickled.

    Parameters
    ----------
    uri
        The tracking store.
    run_id
        The run that the model belongs to; it ends up FINISHED.
    bundle
        Folder of the bundle.

    Raises
    ------
    InputError
        If ``bundle.json`` or the example cannot be read.
    """
    import warnings

    import mlflow

    signature = make_signature(_read_classes(bundle))
    mlflow.set_tracking_uri(uri)
    # MLflow advises type hints here, which would check single images instead of the tensor.
    with (
        warnings.catch_warnings(record=True),
        mlflow.start_run(run_id=run_id, log_system_metrics=False),
    ):
        mlflow.pyfunc.log_model(
            name=MODEL_NAME,
            python_model=str(MODEL_CODE),
            artifacts={BUNDLE_ARTIFACT: str(bundle.absolute())},
            code_paths=[str(PROJECT_ROOT / "batteryscope")],
            signature=signature,
            input_example=read_example(bundle),
            pip_requirements=list_requirements(),
        )


def _read_classes(bundle: Path) -> list[str]:
    path = bundle / "bundle.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return [str(name) for name in values["classes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a bundle's description ({error}).") from None
