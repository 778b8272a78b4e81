"""AlexNet and GoogLeNet, which papers compare with and timm lacks, under timm's names and rules.

Importing this module makes ``alexnet`` and ``googlenet`` known to ``timm.create_model``. Networks
and ImageNet weights are torchvision's (Krizhevsky et al. 2012; Szegedy et al. 2015, with batch
normalisation and without the auxiliary classifiers).
"""

from typing import Any

from timm.models import register_model
from torch import nn

__all__ = ["alexnet", "googlenet"]

_STEMS = {"alexnet": "features.0", "googlenet": "conv1.conv"}
_HEADS = {"alexnet": "classifier.6", "googlenet": "fc"}
_GROUPS: dict[str, dict[str, Any]] = {
    "alexnet": {"stem": r"^features\.0\.", "blocks": r"^features\.(\d+)"},
    "googlenet": {
        "stem": r"^conv[123]\.",
        "blocks": [(rf"^inception{n}", (n,)) for n in (3, 4, 5)],
    },
}


@register_model
def alexnet(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build AlexNet; ``num_classes`` 0 gives its 4096 features."""
    return _build("alexnet", pretrained, **options)


@register_model
def googlenet(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build GoogLeNet; ``num_classes`` 0 gives its 1024 features."""
    return _build("googlenet", pretrained, aux_logits=False, **options)


def _build(
    name: str,
    pretrained: bool,
    num_classes: int = 1000,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    aux_logits: bool | None = None,
    **_timm: Any,
) -> nn.Module:
    from torchvision.models import get_model

    options: dict[str, Any] = {"weights": "DEFAULT" if pretrained else None}
    if name == "googlenet":
        # torchvision's own scaling of the input would come on top of ours.
        options |= {"transform_input": False, "init_weights": False}
        options["aux_logits"] = True if pretrained else aux_logits
    network: Any = get_model(name, **options)
    if name == "googlenet":
        network.aux_logits, network.aux1, network.aux2 = False, None, None
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = drop_rate
    stem = network.get_submodule(_STEMS[name])
    if in_chans != stem.in_channels:
        _replace(network, _STEMS[name], _copy_convolution(stem, in_chans))
    head = network.get_submodule(_HEADS[name])
    network.num_features = network.head_hidden_size = head.in_features
    if num_classes == 0:
        _replace(network, _HEADS[name], nn.Identity())
    elif num_classes != head.out_features:
        _replace(network, _HEADS[name], nn.Linear(head.in_features, num_classes))
    network.default_cfg = {"classifier": _HEADS[name], "first_conv": _STEMS[name]}
    network.group_matcher = lambda coarse=False: _GROUPS[name]
    network.get_classifier = lambda: network.get_submodule(_HEADS[name])
    return network


def _copy_convolution(old: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)
