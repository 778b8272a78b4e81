"""Logs a model bundle as an MLflow model: the bundle's files and the code that reads them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batteryscope.answers.choose import bundle_called
from batteryscope.answers.classes import CLASSES
from batteryscope.answers.kind import BundleKind
from batteryscope.answers.quantities import QUANTITIES
from batteryscope.core.safe_text import first_line
from batteryscope.errors import InputError
from batteryscope.provenance import PROJECT_ROOT

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

MODEL_NAME = "bundle"
BUNDLE_ARTIFACT = "bundle"
# What the library needs to read a bundle and predict; named here, because letting MLflow
# find out takes minutes.
REQUIRED_PACKAGES = (
    "mlflow", "torch", "torchvision", "timm", "kornia", "safetensors", "numpy", "scipy",
    "scikit-image", "scikit-learn", "pandas", "pandera", "pyarrow", "pillow", "pydantic",
    "pyyaml", "tqdm", "numba", "tifffile", "imagecodecs",
)  # fmt: skip
CODE = Path(__file__).with_name("bundle_model.py")  # MLflow runs it to load the model


@dataclass(frozen=True)
class ModelInterface:
    """The signature of a model, and an example of its input."""

    signature: "ModelSignature"
    example: "pd.DataFrame"


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
        known, _ = bundle_called(str(values.get("kind", "")))
        return INTERFACES[known](bundle, values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be read as a bundle's description ({first_line(error)})."
        ) from None


def _describe_rows(bundle: Path, values: Mapping[str, Any]) -> ModelInterface:
    features = [str(feature["name"]) for feature in values["features"]]
    signature = make_table_signature(features, [t["name"] for t in values["targets"]])
    return ModelInterface(signature, read_table_example(bundle, features))


def _describe_numbers(bundle: Path, values: Mapping[str, Any]) -> ModelInterface:
    targets = [str(target["name"]) for target in values["targets"]]
    ends = ("", "_low", "_high", "_fold_sd")
    return _describe_pictures(bundle, values, [f"{t}{end}" for t in targets for end in ends])


def _describe_classes(bundle: Path, values: Mapping[str, Any]) -> ModelInterface:
    numbers = ["confidence", *(f"p_{name}" for name in values["classes"])]
    return _describe_pictures(bundle, values, numbers, ("class", "prediction_set"))


def _describe_pictures(
    bundle: Path, values: Mapping[str, Any], numbers: Sequence[str], texts: Sequence[str] = ()
) -> ModelInterface:
    covariates = values.get("covariates", ())
    beside = [(str(c["column"]), bool(c.get("categories"))) for c in covariates]
    signature = make_picture_signature(beside, numbers, texts)
    return ModelInterface(signature, read_example(bundle, beside))


INTERFACES: Mapping[BundleKind, Callable[[Path, Mapping[str, Any]], ModelInterface]] = {
    CLASSES.bundles["tiles"]: _describe_classes,
    QUANTITIES.bundles["tiles"]: _describe_numbers,
    QUANTITIES.bundles["rows"]: _describe_rows,
}


def make_picture_signature(
    covariates: Sequence[tuple[str, bool]], numbers: Sequence[str], texts: Sequence[str]
) -> "ModelSignature":
    """Return the signature: files in base64 to the rows of ``predict_images.py``.

    Parameters
    ----------
    covariates
        Columns of what models are given beside the picture, and whether they hold names.
    numbers, texts
        Columns of the answer, of which rows may have more.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    files = [ColSpec("string", "image"), ColSpec("string", "file", required=False)]
    beside = [ColSpec("string" if named else "double", name) for name, named in covariates]
    params = [ParamSpec("answer_anyway", "boolean", False), ParamSpec("slices", "string", "")]
    return ModelSignature(
        inputs=Schema([*files, *beside]),
        outputs=_describe_answer(["file", *texts], numbers),
        params=ParamSchema(params),
    )


def make_table_signature(features: Sequence[str], targets: Sequence[str]) -> "ModelSignature":
    """Return the signature: domain and features to the rows of ``predict_table.py``."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    inputs = Schema([ColSpec("string", "domain"), *(ColSpec("double", n) for n in features)])
    numbers = [f"{target}{end}" for target in targets for end in ("", "_sd", "_low", "_high")]
    return ModelSignature(
        inputs=inputs,
        outputs=_describe_answer(["domain"], numbers),
        params=ParamSchema([ParamSpec("answer_anyway", "boolean", False)]),
    )


def _describe_answer(texts: Sequence[str], numbers: Sequence[str]) -> "Schema":
    from mlflow.types import ColSpec, Schema

    told = [*texts, "status", "reason", "note"]
    columns = [ColSpec("string", name, required=False) for name in told]
    return Schema([*columns, *(ColSpec("double", name, required=False) for name in numbers)])


def read_example(bundle: Path, covariates: Sequence[tuple[str, bool]] = ()) -> "pd.DataFrame":
    """Return the bundle's example input as a request that holds it in base64."""
    import pandas as pd

    path = bundle / "example_input.png"
    try:
        text = base64.b64encode(path.read_bytes()).decode()
        beside = {}
        if covariates:
            given = pd.read_csv(bundle / "example_covariates.csv", dtype=str)
            beside = {c: [given[c][0] if named else float(given[c][0])] for c, named in covariates}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({first_line(error)}).") from None
    return pd.DataFrame({"image": [text], "file": [path.name], **beside})


def read_table_example(bundle: Path, features: list[str]) -> "pd.DataFrame":
    """Return the rows that the bundle answered when it was made, in the units of the study."""
    import pandas as pd

    path = bundle / "example_output.csv"
    try:
        rows = pd.read_csv(path)[["domain", *features]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as example rows ({first_line(error)}).") from None
    return rows.astype(dict.fromkeys(features, "float64"))


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
            python_model=str(CODE),
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
