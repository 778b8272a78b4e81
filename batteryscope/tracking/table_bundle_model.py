"""Code of the MLflow model of a bundle of tables; MLflow runs this file when it loads the model."""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class TableBundleModel(PythonModel):
    """Predicts rows with the bundle that was logged beside this code."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle from the model's files."""
        from batteryscope.tables.bundle import load_table_bundle

        self.bundle = load_table_bundle(Path(context.artifacts["bundle"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return the rows that ``predict_table.py`` writes of the same rows.

        Parameters
        ----------
        context
            Unused: the bundle is loaded already.
        model_input : DataFrame
            ``domain`` and the features in the units of the study.
        params
            ``answer_anyway``.

        Returns
        -------
        DataFrame
            A row per row.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        from batteryscope.errors import BatteryscopeError
        from batteryscope.tables.bundle import answer_rows

        try:
            return answer_rows(model_input, self.bundle, **(params or {}))
        except BatteryscopeError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None


set_model(TableBundleModel())
