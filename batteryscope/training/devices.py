"""Whether this machine has the devices that a training asks for."""

import os
import shutil
from importlib.util import find_spec

import torch

from batteryscope.config.learning import TrainSettings
from batteryscope.errors import ConfigError


def check_devices(train: TrainSettings, n_gpus: int | None = None) -> None:
    """Refuse settings that this machine cannot train with.

    Parameters
    ----------
    train
        Accelerator, number of devices and precision.
    n_gpus
        GPUs of this machine; counted if None.

    Raises
    ------
    ConfigError
        A GPU, or more of them than there are, are asked for; half precision on a CPU;
        several devices without GPUs; code is to be made without a compiler.
    """
    n_gpus = torch.cuda.device_count() if n_gpus is None else n_gpus
    if train.accelerator == "gpu" and n_gpus == 0:
        raise ConfigError(
            "train.accelerator: 'gpu' is asked for, but PyTorch finds none on this machine; "
            "choose 'auto' or 'cpu', or run where a GPU is."
        )
    on_gpu = train.accelerator != "cpu" and n_gpus > 0
    if not on_gpu and train.devices > 1:
        raise ConfigError(
            f"train.devices: {train.devices} devices need as many GPUs, found none in use; "
            "set 1 (a CPU uses all its cores by itself)."
        )
    if on_gpu and train.devices > n_gpus:
        raise ConfigError(
            f"train.devices: found {n_gpus} GPUs for {train.devices}; choose at most {n_gpus}."
        )
    if not on_gpu and train.precision == "16-mixed":
        raise ConfigError(
            "train.precision: '16-mixed' needs a GPU; choose '32' or 'bf16-mixed' on a CPU."
        )
    if train.compile and not _can_compile(on_gpu):
        missing = "the package triton" if on_gpu else "a C++ compiler (g++, or what CXX names)"
        raise ConfigError(
            f"train.compile: {missing} is not installed; install it, or set compile to false."
        )


def _can_compile(on_gpu: bool) -> bool:
    if on_gpu:
        return find_spec("triton") is not None
    return shutil.which(os.environ.get("CXX", "g++")) is not None
