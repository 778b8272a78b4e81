"""Logs a model bundle as an MLflow model: the bundle's files and the code that reads them."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from batteryscope.provenance import PROJECT_ROOT
from batteryscope.tracking.model_signature import describe_interface

MODEL_NAME = "bundle"
BUNDLE_ARTIFACT = "bundle"
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

    interface = describe_interface(bundle)
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
            python_model=str(interface.code),
            artifacts={BUNDLE_ARTIFACT: str(bundle.absolute())},
            code_paths=[str(PROJECT_ROOT / "batteryscope")],
            signature=interface.signature,
            input_example=interface.example,
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
