"""Code of the MLflow model of a bundle; MLflow runs this file when it loads the model."""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class BundleModel(PythonModel):
    """Judges files with the bundle that was logged beside this code."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle from the model's files."""
        from batteryscope.bundle.open import open_bundle

        self.bundle = open_bundle(Path(context.artifacts["bundle"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return the rows that ``predict_images.py`` writes of the same files.

        Parameters
        ----------
        context
            Unused: the bundle is loaded already.
        model_input : DataFrame
            ``image`` (a picture or scan in base64), ``file`` (its name, if it matters) and, for
            models that are given any, columns of covariates.
        params
            ``answer_anyway`` and ``slices``.

        Returns
        -------
        DataFrame
            A row per picture, of a scan one per slice and one of the cell.
        """
        from batteryscope.bundle.ask import answer_encoded

        return answer_encoded(self.bundle, model_input, **(params or {}))


set_model(BundleModel())
