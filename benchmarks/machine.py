"""On which machine a measurement was made, and what else that machine was doing."""

import os
import platform
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Return processors, platform, versions, threads and the load of the last minute.

    A load average above 0 before the first benchmark is other work.
    """
    import torch

    return {
        "cpu_count": os.cpu_count(),
        "cpu": _name_processor(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", ""),
        "load_average_1min": round(os.getloadavg()[0], 2),
    }


def _name_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
