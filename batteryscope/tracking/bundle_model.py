"""Code of the MLflow model of a bundle; MLflow runs this file when it loads the model."""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class BundleModel(PythonModel):
    """Answers about pictures, scans or rows with the bundle that was logged beside this code."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle from the model's files."""
        from batteryscope.bundle.open import open_asker

        self.asker = open_asker(Path(context.artifacts["bundle"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return the rows that ``predict_images.py`` writes of the same files or rows.

        Parameters
        ----------
        context
            Unused: the bundle is loaded already.
        model_input : DataFrame
            Of pictures and scans ``image`` (a file in base64), ``file`` (its name, if it matters)
            and, for models that are given any, columns of covariates. Of rows ``domain`` and the
            features in the units of the study.
        params
            ``answer_anyway``, and ``slices`` of scans.

        Returns
        -------
        DataFrame
            A row per picture or row, of a scan one per slice and one of the cell.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        from batteryscope.errors import BatteryscopeError

        try:
            return self.asker.answer_request(model_input, **(params or {}))
        except BatteryscopeError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None


set_model(BundleModel())
