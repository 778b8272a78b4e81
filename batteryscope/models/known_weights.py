"""What a weights file asks of the network and its input, known by the content of the file."""

from dataclasses import dataclass
from pathlib import Path

from batteryscope.config.learning import ModelSettings
from batteryscope.errors import ConfigError
from batteryscope.provenance import digest_file

# Families of timm whose convolutions may pad as TensorFlow does; all others pad in one way.
PADDED_FAMILIES = (
    "efficientnet", "fbnet", "gc_efficientnet", "lcnet_", "mixnet", "mnasnet", "mobilenet_edgetpu",
    "mobilenetv1", "mobilenetv2", "mobilenetv3", "mobilenetv4", "semnasnet", "spnasnet",
    "test_efficientnet", "tinynet",
)  # fmt: skip


@dataclass(frozen=True)
class KnownWeights:
    """How a published network was trained.

    No installation has these files; ``name`` says what is not as published. ``mean`` and ``sd`` are
    those of its input with grey levels from 0 to 1; ``pad_type`` is ``same`` where TensorFlow
    trained it, None where the backbone leaves no choice.
    """

    name: str
    mean: float
    sd: float
    pad_type: str | None = None


KNOWN = {
    "1fd40dc40dea5a446c42f7e176651088080ce0fea1941a3b033925f2a71fe61e": KnownWeights(
        "ImageNet weights of MobileNetV2 1.0, trained with TensorFlow; statistics of batch "
        "normalisation re-created on SEM frames",
        0.5,
        0.5,
        "same",
    ),
    "b759df85235a20e5d379272934971c058a0ec4567a6f8340b7b0f921ce3449ca": KnownWeights(
        "ImageNet weights of SqueezeNet 1.1, trained with PyTorch", 0.449, 0.226
    ),
}


def complete_input(settings: ModelSettings) -> ModelSettings:
    """Return the settings with what a local weights file asks for, as far as nothing is stated.

    Without it the network would be built and see its pictures otherwise than in pretraining, which
    makes results worse and tells nobody.

    Raises
    ------
    ConfigError
        The file is not known, and the settings leave open what decides.
    """
    missing = _list_open_keys(settings)
    if not missing:
        return settings
    path = Path(settings.weights)
    digest = digest_file(path)
    known = KNOWN.get(digest)
    if known is None:
        raise ConfigError(
            f"model.weights: {path} (SHA-256 {digest[:12]}…) is no file whose pretraining is "
            f"known here; state {' and '.join(f'model.{key}' for key in missing)} as in that "
            "pretraining (mean and sd of the input with grey levels from 0 to 1, such as 0.449 and "
            "0.226 for ImageNet, or model.normalisation: none; pad_type same for weights from "
            "TensorFlow, else '')."
        )
    values = settings.model_dump()
    if settings.normalisation == "backbone":
        for key, value in (("input_mean", known.mean), ("input_sd", known.sd)):
            values[key] = value if values[key] is None else values[key]
    if known.pad_type is not None and settings.backbone.startswith(PADDED_FAMILIES):
        values["backbone_options"] = {"pad_type": known.pad_type} | settings.backbone_options
    return ModelSettings.model_validate(values)


def _list_open_keys(settings: ModelSettings) -> list[str]:
    """Keys that a local file decides and nobody has stated; none without such a file."""
    if settings.weights in ("random", "imagenet") or not Path(settings.weights).is_file():
        return []
    keys = [] if settings.normalisation == "none" else ["input_mean", "input_sd"]
    missing = [key for key in keys if getattr(settings, key) is None]
    if settings.backbone.startswith(PADDED_FAMILIES):
        missing += ["backbone_options.pad_type"] * ("pad_type" not in settings.backbone_options)
    return missing
