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
        """Return one row of class probabilities, or of predicted numbers, per image.

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
            ``n`` rows, columns ``p_<class>`` or numbers with their intervals; NaN for an
            image that cannot be used.
        """
        import numpy as np

        frames = [np.asarray(image, dtype=np.uint8) for image in model_input]
        table = self.bundle.predict_frames(frames)
        return table[list(self.bundle.number_columns)].astype(float)


set_model(BundleModel())
