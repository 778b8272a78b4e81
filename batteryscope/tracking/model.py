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
DEFAULT_EXAMPLE_PX = 300
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
    from mlflow.models import Model

    classes, crop_px = _read_description(bundle)
    mlflow.set_tracking_uri(uri)
    # MLflow advises type hints here, which would check single images instead of the tensor.
    # The active run tells it the experiment, and so the place of the artifacts.
    with (
        warnings.catch_warnings(record=True),
        mlflow.start_run(run_id=run_id, log_system_metrics=False),
    ):
        Model.log(
            artifact_path=None,
            name=MODEL_NAME,
            flavor=_UntriedModel,
            flavor_name="pyfunc.ModelFromCode",
            validate_serving_input=False,
            python_model=str(MODEL_CODE),
            artifacts={BUNDLE_ARTIFACT: str(bundle.absolute())},
            code_paths=[str(PROJECT_ROOT / "batteryscope")],
            signature=make_signature(classes),
            input_example=read_example(bundle, crop_px),
            pip_requirements=list_requirements(),
        )


class _UntriedModel:
    """Saves a pyfunc model without predicting the example.

    ``mlflow.pyfunc.log_model`` offers no such choice: it would load the networks of all
    folds, which takes seconds and gigabytes, although the bundle was tried when it was
    made (``example_output.json``).
    """

    @staticmethod
    def save_model(validate_serving_input: bool, **options: Any) -> None:
        """Save as MLflow does; the first argument is meant for ``Model.log`` only."""
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(**options)


def _read_description(bundle: Path) -> tuple[list[str], int]:
    """Return the classes of a bundle and the edge of one tile in its images, in pixels."""
    path = bundle / "bundle.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        crop_px = int(values["preprocess"].get("crop_px", DEFAULT_EXAMPLE_PX))
        return [str(name) for name in values["classes"]], crop_px
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as a bundle's description ({error}).") from None
