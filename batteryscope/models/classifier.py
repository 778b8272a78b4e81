"""Image classifiers: a timm backbone behind a grey input layer."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from batteryscope.answers.choose import answer_given
from batteryscope.answers.classes import CLASSES
from batteryscope.answers.kind import Answer
from batteryscope.answers.quantities import QUANTITIES
from batteryscope.config.covariates import Covariate, list_inputs
from batteryscope.config.learning import ModelSettings
from batteryscope.errors import ConfigError
from batteryscope.models import (  # noqa: F401 (they make their networks known to timm)
    classic_backbones,
    rate_cnn,
)
from batteryscope.models.covariate_input import HIDDEN_UNITS, CovariateInput
from batteryscope.models.cumulative_link import CumulativeLink
from batteryscope.models.grey_input import GreyInput
from batteryscope.models.known_weights import complete_input
from batteryscope.models.layer_groups import freeze_groups
from batteryscope.models.new_head import choose_dropout, initialise_head
from batteryscope.models.packaged_weights import MEAN, SD, find_packaged_weights
from batteryscope.models.pretrained import find_pretrained
from batteryscope.models.stage_statistics import StageStatistics
from batteryscope.models.two_layer_head import TwoLayerHead
from batteryscope.models.weights import load_pretrained
from batteryscope.models.weights_file import WeightsOrigin

IMAGENET_MEAN, IMAGENET_SD = 0.449, 0.226  # averaged over colour, for grey pictures
LARGEST_LOG = 80.0  # its power is the largest that single precision holds with room to spare


@dataclass(frozen=True)
class ModelDescription:
    """All that is needed to rebuild a network, apart from its weights."""

    backbone: str
    backbone_options: dict[str, Any]
    classes: list[str]
    input_px: int
    grey_levels: str
    channels: int
    mean: float
    sd: float
    dropout: float
    pooling: str = "network"
    head_units: int | None = None
    outputs: str = "class"
    flips_at_test: str = "none"
    log_outputs: Sequence[str] = ()
    covariates: Sequence[Mapping[str, Any]] = ()
    grades: Sequence[str] = ()
    kernel_centres: int = 0
    kernel_gamma: float = 0.0
    pool_samples: bool = False

    @property
    def inputs_beside(self) -> list[str]:
        """What the network is given beside the picture."""
        return list_inputs([Covariate.model_validate(c) for c in self.covariates])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; those with a default only if unusual."""
        values = asdict(self)
        for name in (
            "outputs", "flips_at_test", "log_outputs", "covariates", "grades",
            "kernel_centres", "kernel_gamma", "pool_samples",
        ):  # fmt: skip
            if values[name] == getattr(type(self), name):
                del values[name]
        return values


class TileClassifier(nn.Module):
    """A backbone that takes (B, C, H, W) tiles in 0…255 and gives (B, n_classes) logits.

    C is 1 for grey tiles, or the number of stacked slices. Covariates of the tiles' samples are a
    second input where ``covariates`` is not None. They have a part of their own, whose outputs are
    added; with two layers in the head they also join the pooled features.
    ``pretrained`` tells where the weights that it began with came from; None if they were random,
    or if it was rebuilt.
    """

    answer: ClassVar[Answer] = CLASSES
    pretrained: WeightsOrigin | None = None

    def __init__(self, description: ModelDescription) -> None:
        super().__init__()
        self.description = description
        self.input = GreyInput(
            description.grey_levels,  # type: ignore[arg-type]
            description.channels,
            description.mean,
            description.sd,
        )
        n_outputs = 1 if description.grades else len(description.classes)
        by_statistics = description.pooling == "stage_statistics"
        own_head = by_statistics or description.head_units is not None
        network = _create_backbone(
            description.backbone,
            num_classes=0 if own_head else n_outputs,
            in_chans=description.channels,
            drop_rate=description.dropout,
            **description.backbone_options,
        )
        self.backbone: nn.Module = network
        if by_statistics:
            self.backbone = StageStatistics(
                network, n_outputs, description.kernel_centres, description.kernel_gamma
            )
        elif description.head_units is not None:
            self.backbone = TwoLayerHead(
                network,
                description.head_units,
                n_outputs,
                description.dropout,
                len(description.inputs_beside),
            )
        self.covariates: CovariateInput | None = None
        if n_beside := len(description.inputs_beside):
            # Statistics of feature maps have one linear layer; so have the covariates beside them.
            hidden = 0 if by_statistics else HIDDEN_UNITS
            with torch.random.fork_rng(devices=[]):  # the head begins as it does without
                self.covariates = CovariateInput(n_beside, n_outputs, hidden)
        self.link = (
            CumulativeLink(description.classes, description.grades)
            if description.grades
            else nn.Identity()
        )

    def forward(self, tiles: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the logits of (B, C, H, W) tiles.

        ``covariates``, (B, n_inputs) in their own units, are those of the tiles' samples; where
        they are not given to a network that has them, it judges as at their means in training.
        """
        x = self.input(tiles).contiguous(memory_format=torch.channels_last)
        if self.covariates is None:
            return self.complete(self.backbone(x))
        z = self.standardise_covariates(len(x), covariates)
        joined = isinstance(self.backbone, TwoLayerHead)
        scores = self.backbone(x, z) if joined else self.backbone(x)
        return self.complete(scores + self.covariates(z))

    def complete(self, scores: Tensor) -> Tensor:
        """Return logits from the (B, n_outputs) scores of the head."""
        linked: Tensor = self.link(scores)
        return linked

    def learn_scale(self, targets: NDArray[Any]) -> None:
        """Take nothing from the training targets: logits have no unit."""

    def measure(self, tiles: Tensor) -> Tensor:
        """Return the (B, n) standardised statistics of the feature maps of (B, C, H, W) tiles."""
        assert isinstance(self.backbone, StageStatistics)  # the settings see to it
        x = self.input(tiles).contiguous(memory_format=torch.channels_last)
        return self.backbone.standardise(self.backbone.measure(x))

    def judge(self, measured: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Return the outputs for (B, n) samples by the mean of what :meth:`measure` gives."""
        assert isinstance(self.backbone, StageStatistics)
        scores = self.backbone.judge(measured)
        if self.covariates is not None:
            scores = scores + self.covariates(self.standardise_covariates(len(scores), covariates))
        return self.complete(scores)

    def standardise_covariates(self, n_tiles: int, covariates: Tensor | None) -> Tensor:
        """Return (n_tiles, n_inputs) covariates as the network learns from them."""
        assert self.covariates is not None
        if covariates is None:
            mean = self.covariates.get_buffer("mean")
            return mean.new_zeros(n_tiles, len(mean))
        return self.covariates.standardise(covariates)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.parameters())


class TileRegressor(TileClassifier):
    """As :class:`TileClassifier`, with (B, n_targets) numbers in their own units as outputs.

    Mean and standard deviation of the training targets are part of the model, so that its
    last layer gives numbers of the size of 1. Of ``description.log_outputs`` they are those of the
    logarithm, which is what the last layer then gives.
    """

    answer: ClassVar[Answer] = QUANTITIES

    def __init__(self, description: ModelDescription) -> None:
        super().__init__(description)
        n = len(description.classes)
        self.register_buffer("output_mean", torch.zeros(n))
        self.register_buffer("output_sd", torch.ones(n))
        is_log = torch.tensor([name in description.log_outputs for name in description.classes])
        self.register_buffer("is_log", is_log, persistent=False)
        self._any_log = bool(is_log.any())

    def transform(self, values: Tensor) -> Tensor:
        """Return (B, n_targets) values as the network learns them: some by their logarithms."""
        if not self._any_log:
            return values
        smallest = torch.finfo(values.dtype).tiny
        return torch.where(self.get_buffer("is_log"), values.clamp_min(smallest).log(), values)

    def learn_scale(self, targets: NDArray[Any]) -> None:
        """Take mean and spread of the (n, n_targets) training targets."""
        given = torch.from_numpy(np.asarray(targets, dtype=np.float64))
        values = self.transform(given.to(self.device)).cpu().numpy()
        spread = np.maximum(values.std(axis=0), 1e-3 * np.abs(values.mean(axis=0)) + 1e-9)
        self.get_buffer("output_mean").copy_(torch.from_numpy(values.mean(axis=0)))
        self.get_buffer("output_sd").copy_(torch.from_numpy(spread))

    def complete(self, scores: Tensor) -> Tensor:
        """Return values in the units of the targets from (B, n_targets) scores of the head."""
        scaled = scores.float()
        values = scaled * self.get_buffer("output_sd") + self.get_buffer("output_mean")
        if not self._any_log:
            return values
        # An untrained network may ask for more than a float holds.
        powers = values.clamp(-LARGEST_LOG, LARGEST_LOG).exp()
        return torch.where(self.get_buffer("is_log"), powers, values)


# The network of every answer, by the name of that.
NETWORKS = {network.answer.name: network for network in (TileClassifier, TileRegressor)}


def build_classifier(
    settings: ModelSettings,
    classes: list[str],
    input_px: int,
    seed: int,
    tile_channels: int = 1,
    epochs: int = 1,
    log_outputs: Sequence[str] = (),
    covariates: Sequence[Covariate] = (),
    grades: Sequence[str] = (),
) -> TileClassifier:
    """Build a network with the weights that the settings name.

    Parameters
    ----------
    settings
        Backbone, weights, grey-level treatment.
    classes
        Class names, or names of the targets, in the order of the outputs.
    input_px
        Edge of the input tiles, the shorter one if they are not square.
    seed
        For random weights and the new classifier head; the global random state of
        torch is left as it was.
    tile_channels
        1 for grey tiles; 3 for stacked slices, which take the place of the colours.
    epochs
        Length of the training, for the dropout where the settings leave it open.
    log_outputs
        Targets of which the network learns the logarithm.
    covariates
        What it is given beside the picture.
    grades
        The classes from the lowest to the highest, if the network shall learn their order.

    Raises
    ------
    ConfigError, InputError
        Unknown backbone; weights that cannot be had or do not fit; stacked slices for a network
        with one input channel.
    """
    check_backbone_name(settings.backbone)
    settings = complete_input(settings)
    channels = 1 if settings.grey_input == "sum_stem" else 3
    if tile_channels not in (1, channels):
        raise ConfigError(
            f"model.grey_input: '{settings.grey_input}' makes a network of one channel, but the "
            f"tiles have {tile_channels} (preprocess.stack_step, preprocess.colour); set it to "
            "'replicate', or stack_step to 0 and colour to false."
        )
    mean, sd = _normalisation(settings)
    description = ModelDescription(
        backbone=settings.backbone,
        backbone_options=dict(settings.backbone_options),
        classes=list(classes),
        input_px=input_px,
        grey_levels=settings.grey_levels,
        channels=channels,
        mean=mean,
        sd=sd,
        dropout=choose_dropout(settings.dropout, epochs, settings.freeze == "backbone"),
        pooling=settings.pooling,
        head_units=settings.head_units,
        outputs=answer_given(settings.outputs).describe_outputs(settings.outputs),
        grades=list(grades) or (),
        log_outputs=list(log_outputs) or (),
        covariates=[c.model_dump(mode="json") for c in covariates] or (),
        flips_at_test=settings.flips_at_test,
        kernel_centres=settings.kernel_centres or 0,
        kernel_gamma=0.0 if settings.kernel_centres is None else settings.kernel_gamma,
        pool_samples=settings.pool_samples,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _find_kind(description)(description)
        initialise_head(model.backbone.get_classifier())  # type: ignore[operator]
    if settings.weights != "random":
        state, model.pretrained = find_pretrained(settings)
        network = model.backbone
        if isinstance(network, StageStatistics | TwoLayerHead):
            network = network.network
        if channels == 1:
            state = _sum_stem(network, state)
        load_pretrained(network, state, model.pretrained.describe())
    freeze_groups(model.backbone, settings.freeze, settings.backbone)
    return model.to(memory_format=torch.channels_last)


def rebuild_classifier(description: dict[str, Any], state: dict[str, Tensor]) -> TileClassifier:
    """Rebuild a trained network from ``model.json`` and its weights."""
    described = ModelDescription(**description)
    model = _find_kind(described)(described)
    if isinstance(model.backbone, StageStatistics):
        state = model.backbone.complete_weights(state, "backbone.")
    model.load_state_dict(state)
    return model.eval().to(memory_format=torch.channels_last)


def check_backbone_name(name: str) -> None:
    """Raise a ConfigError naming the nearest known backbone if timm does not know ``name``."""
    if timm.is_model(name.split(".")[0]):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models() for the names."
    raise ConfigError(f"model.backbone: '{name}' is no backbone that timm knows; {hint}")


def _find_kind(description: ModelDescription) -> type[TileClassifier]:
    return NETWORKS[answer_given(description.outputs).name]


def _create_backbone(name: str, **options: Any) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=False, **options)
    except (TypeError, RuntimeError) as error:
        raise ConfigError(
            f"model.backbone_options: timm cannot build '{name}' with {options} "
            f"({str(error).splitlines()[0]}); leave out of backbone_options what it does not know."
        ) from None


def _normalisation(settings: ModelSettings) -> tuple[float, float]:
    """The grey mean and sd that the backbone's pretraining used, unless the settings say other."""
    if settings.normalisation == "none":
        return 0.0, 1.0
    config = timm.get_pretrained_cfg(settings.backbone)
    mean, sd = IMAGENET_MEAN, IMAGENET_SD
    if settings.weights == "imagenet" and find_packaged_weights(settings.backbone) is not None:
        mean, sd = MEAN, SD
    elif config is not None:
        mean = sum(config.mean) / len(config.mean)
        sd = sum(config.std) / len(config.std)
    if settings.input_mean is not None:
        mean = settings.input_mean
    return mean, settings.input_sd or sd


def _sum_stem(backbone: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sum RGB stem weights over colour: the same output for a grey picture, a third of the work."""
    stems = getattr(backbone, "default_cfg", {}).get("first_conv", "conv_stem")
    names = {f"{s}.weight" for s in ([stems] if isinstance(stems, str) else stems)}
    return {k: v.sum(1, keepdim=True) if k in names else v for k, v in state.items()}
