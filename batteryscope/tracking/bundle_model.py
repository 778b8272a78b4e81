"""Code of the MLflow model of a bundle; MLflow runs this file when it loads the model."""

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class BundleModel(PythonModel):
    """Classifies images with the bundle that was logged beside this code."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle from the model's files."""
        from batteryscope.bundle import load_bundle

        self.bundle = load_bundle(context.artifacts["bundle"])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Return one row of class probabilities per image.

        Parameters
        ----------
        context
            Unused: the bundle is loaded already.
        model_input : (n, height, width) uint8 array
            Whole images, grey levels of 0 to 255.
        params
            Unused.

        Returns
        -------
        DataFrame
            ``n`` rows, as ``predict_frames`` of the bundle gives them.
        """
        import numpy as np

        frames = [np.asarray(image, dtype=np.uint8) for image in model_input]
        return self.bundle.predict_frames(frames)


set_model(BundleModel())
