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
        """Return the targets with their intervals, one row per row.

        Parameters
        ----------
        context
            Unused: the bundle is loaded already.
        model_input : DataFrame
            ``domain`` and the features in the units of the study.
        params
            Unused.

        Returns
        -------
        DataFrame
            ``<target>``, ``<target>_low`` and ``<target>_high``.
        """
        from batteryscope.tables.predict_query import predict_query

        record = self.bundle.record
        rows = model_input[["domain", *(f.name for f in record.features)]].reset_index(drop=True)
        query = rows.assign(row=range(1, len(rows) + 1), reason="")
        answer = predict_query(query, record, self.bundle.ensemble)
        return answer[[f"{t.name}{end}" for t in record.targets for end in ("", "_low", "_high")]]


set_model(TableBundleModel())
