"""Layer groups of a network, from the stem to the head: what is frozen, and what trains how fast.

A group is one of timm's coarse layer groups: the stem, then one stage of blocks after the other
(in a vision transformer one block after the other), then the head. A final normalisation belongs
to the head or to the last blocks, as timm has it.
"""

from typing import Literal

from timm.models import group_parameters
from torch import nn

from batteryscope.errors import ConfigError
from batteryscope.models.stage_statistics import StageStatistics
from batteryscope.models.two_layer_head import TwoLayerHead


def group_layers(backbone: nn.Module) -> list[list[str]]:
    """Return the names of all parameters by layer group, the stem first, the head last.

    Raises
    ------
    ConfigError
        If timm does not know the layer groups of this network.
    """
    network, prefix = backbone, ""
    if isinstance(backbone, StageStatistics | TwoLayerHead):
        network, prefix = backbone.network, "network."
    if not hasattr(network, "group_matcher"):
        raise ConfigError(
            f"model.backbone: timm knows no layer groups of this network "
            f"({type(network).__name__}); set model.freeze to 'none' or 'backbone', and leave "
            "train.unfreeze_every_epochs and train.layer_decay out."
        )
    matcher = network.group_matcher(coarse=True)  # type: ignore[operator]
    found = group_parameters(network, matcher)
    groups = [[prefix + name for name in found[number]] for number in sorted(found)]
    if isinstance(backbone, StageStatistics | TwoLayerHead):
        groups.append([f"head.{name}" for name, _ in backbone.head.named_parameters()])
    return groups


def group_trained_parameters(backbone: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters that are not frozen by layer group, the head first.

    Groups that are frozen as a whole are left out.

    Raises
    ------
    ConfigError
        If there is one group only, which makes treating groups differently pointless.
    """
    parameters = dict(backbone.named_parameters())
    groups = [
        [parameters[name] for name in names if parameters[name].requires_grad]
        for names in reversed(group_layers(backbone))
    ]
    trained = [group for group in groups if group]
    if len(trained) < 2:
        raise ConfigError(
            "model.freeze leaves a single layer group to train, with which "
            "train.unfreeze_every_epochs and train.layer_decay have no effect; freeze fewer, or "
            "leave them out."
        )
    return trained


def freeze_groups(
    backbone: nn.Module, freeze: Literal["none", "backbone"] | int, name: str
) -> None:
    """Keep layers from being trained: none, all but the classifier head, or the first groups.

    Parameters
    ----------
    backbone
        Changed in place.
    freeze
        As in the settings of the model.
    name
        Of the backbone, for messages.

    Raises
    ------
    ConfigError
        If the backbone has fewer groups than are to be frozen.
    """
    if freeze == "none" or freeze == 0:
        return
    if freeze == "backbone":
        head = {id(p) for p in backbone.get_classifier().parameters()}  # type: ignore[operator]
        frozen = {n for n, p in backbone.named_parameters() if id(p) not in head}
    else:
        groups = group_layers(backbone)
        if freeze >= len(groups):
            raise ConfigError(
                f"model.freeze: {freeze} of the {len(groups)} layer groups of '{name}' leave "
                "nothing to train; freeze fewer."
            )
        frozen = {name for group in groups[:freeze] for name in group}
    for parameter_name, parameter in backbone.named_parameters():
        parameter.requires_grad_(parameter_name not in frozen)
