"""Balancing, augmentation, model and training: the settings of one training stage."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from batteryscope.config.base import Settings

Share = Annotated[float, Field(ge=0, lt=1)]


class BalanceSettings(Settings):
    """Treatment of unequal class sizes, counted in training tiles.

    ``oversample`` replicates the tiles of every class up to the size of the
    ``reference`` class; larger classes stay as they are. ``class_weights`` weights
    the loss by 1/n_k, normalised so that the weights of all tiles average to 1.
    """

    method: Literal["none", "oversample", "class_weights"] = "none"
    reference: Literal["largest", "second_largest"] = "largest"


class AugmentSettings(Settings):
    """Random changes of training tiles, drawn anew per tile and epoch.

    ``flips`` and ``quarter_turns`` are lossless. ``rotation_deg``, ``shift`` (share
    of the tile edge) and ``scale`` (±share) resample with mirrored edges.
    ``brightness`` (± share of full scale) and ``contrast`` (±share) act on grey levels.
    """

    flips: bool = True
    quarter_turns: bool = True
    rotation_deg: NonNegativeFloat = 0.0
    shift: Share = 0.0
    scale: Share = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0


class ModelSettings(Settings):
    """Network: a timm backbone by name, its weights and its input.

    ``weights``: ``random``, ``imagenet`` (timm's hub), or the path of a local file,
    which ``weights_sha256`` may pin. ``grey_levels``: ``raw`` (divided by full
    scale), ``dataset`` (mean and sd of the training tiles), ``per_image`` (each tile
    standardised by itself), ``histogram_match`` (grey-level distribution of the
    training tiles) or ``clahe``. ``grey_input``: ``replicate`` the grey channel for
    an RGB stem, or ``sum_stem`` (the stem's weights summed over colour). ``freeze``:
    ``backbone`` trains the classifier head alone; a number keeps that many of the first
    layer groups (stem first) as they were, which is faster. ``pooling``: ``network`` takes
    the network's own end; ``stage_statistics`` puts one linear layer on mean and standard
    deviation of the feature maps of all its stages, which describe texture.
    """

    backbone: str = "efficientnet_b7"
    weights: str = "imagenet"
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    backbone_options: dict[str, str | float | int | bool] = {}
    input_mean: float | None = None
    input_sd: PositiveFloat | None = None
    grey_levels: Literal["raw", "dataset", "per_image", "histogram_match", "clahe"] = "raw"
    grey_input: Literal["replicate", "sum_stem"] = "replicate"
    dropout: Share = 0.2
    freeze: Literal["none", "backbone"] | NonNegativeInt = "none"
    pooling: Literal["network", "stage_statistics"] = "network"


class TrainSettings(Settings):
    """Optimisation of one stage.

    ``monitor`` picks the best epoch on the validation part, whose weights are kept.
    ``tiles_per_epoch`` draws that many training tiles per epoch (null: all).
    ``parallel_jobs`` divides folds and repeats over that many jobs.

    ``method``: ``gradient`` descent, or ``discriminant``, which leaves the network as it is
    and solves the last layer in closed form (linear discriminant analysis, its covariance
    shrunk by ``shrinkage``). It needs ``model.pooling: stage_statistics`` and
    ``model.freeze: backbone``; augmentation, epochs, batches and learning rate do not apply.
    """

    method: Literal["gradient", "discriminant"] = "gradient"
    shrinkage: Annotated[float, Field(ge=0, le=1)] = 0.1
    epochs: PositiveInt = 40
    batch_size: PositiveInt = 10
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 3.5e-4
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    warmup_epochs: NonNegativeFloat = 0.0
    label_smoothing: Share = 0.0
    monitor: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    early_stopping_epochs: PositiveInt | None = None
    tiles_per_epoch: PositiveInt | None = None
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "32"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt = 1
    parallel_jobs: PositiveInt = 1
    seed: int = 1

    @model_validator(mode="after")
    def _warmup_inside(self) -> Self:
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} is not shorter than epochs "
                f"{self.epochs}; make it smaller."
            )
        return self
