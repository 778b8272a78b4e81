"""Code of the MLflow model of a bundle; MLflow runs this file when it loads the model."""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class BundleModel(PythonModel):
    """Judges images with the bundle that was logged beside this code."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle from the model's files."""
        from batteryscope.bundle.open import open_bundle

        self.bundle = open_bundle(Path(context.artifacts["bundle"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return a row per image: class probabilities, or predicted numbers, and whether to use it.

        Parameters
        ----------
        context
            Unused: the bundle is loaded already.
        model_input : (n, height, width) uint8 array
            Whole images with grey levels of 0 to 255, data bar included or not.
        params
            Unused.

        Returns
        -------
        DataFrame
            ``n`` rows, columns ``p_<class>`` or numbers with their intervals, then those of
            ``class``, ``prediction_set``, ``status`` and ``reason`` that the bundle gives. The
            numbers are NaN where ``status`` is not ``ok``: ``rejected`` for an image that cannot
            be used, ``unlike_training`` for one unlike all training images; ``reason`` says why.
        """
        import numpy as np

        frames = [np.asarray(image, dtype=np.uint8) for image in model_input]
        table = self.bundle.predict_frames(frames)
        numbers = table[list(self.bundle.number_columns)].astype(float)
        told = [name for name in ("class", "prediction_set", "status", "reason") if name in table]
        return numbers.join(table[told].fillna("").astype(str))


set_model(BundleModel())
