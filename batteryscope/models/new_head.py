"""What a new classifier head starts with: small weights, and dropout if there is time for it."""

from torch import nn

# Networks of the EfficientNet family get heads from timm whose weights have a standard deviation of
# 0.17. With a thousand features such a head begins with logits far from 0, which training has to
# undo first, and dropout makes the noise of such logits as large as they are.
INITIAL_SD = 0.01
USUAL_DROPOUT = 0.2
# Below so many epochs dropout costs more than it gives: measured on the public frames.
EPOCHS_FOR_DROPOUT = 20


def initialise_head(classifier: nn.Module) -> None:
    """Give the last layer of a network small weights and no bias, so that all outputs start near 0.

    The loss of a classifier then starts at the logarithm of the number of classes, whatever
    the backbone; a regressor starts with the mean of its targets.

    Parameters
    ----------
    classifier
        The head, or a module that holds it; its last linear or convolutional layer is changed in
        place. Without one nothing is changed.
    """
    layers = [m for m in classifier.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        return
    nn.init.trunc_normal_(layers[-1].weight, std=INITIAL_SD, a=-2 * INITIAL_SD, b=2 * INITIAL_SD)
    if layers[-1].bias is not None:
        nn.init.zeros_(layers[-1].bias)


def choose_dropout(dropout: float | None, epochs: int, is_frozen: bool = False) -> float:
    """Return the share of features that a head drops in training.

    The size of the head does not enter: with the small weights of :func:`initialise_head` the noise
    of dropout is small, however many features there are.

    Parameters
    ----------
    dropout
        The share that the settings name, 0 to 1; None to choose it here.
    epochs
        Length of the training. A few epochs of fine-tuning have no time to overfit, and with
        dropout they are not enough: 0. From twenty epochs on: 0.2, as timm has it.
    is_frozen
        Whether the head trains alone. A linear layer on given features is no network that
        dropout could make more robust: 0.

    Returns
    -------
    float
        0 to 1.
    """
    if dropout is not None:
        return dropout
    return USUAL_DROPOUT if epochs >= EPOCHS_FOR_DROPOUT and not is_frozen else 0.0
