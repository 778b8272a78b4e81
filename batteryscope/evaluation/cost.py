"""What training took."""

from collections.abc import Sequence
from typing import Any


def summarise_cost(fits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Summarise the ``fit.json`` records of an arm's last stage.

    Returns
    -------
    dict
        ``n_fits``, ``parameters``, ``device``, ``seconds`` (sum over fits) and
        ``tiles_per_second`` (mean over fits).
    """
    return {
        "n_fits": len(fits),
        "parameters": fits[0]["parameters"],
        "device": fits[0]["device"],
        "seconds": round(sum(fit["seconds"] for fit in fits), 1),
        "tiles_per_second": round(sum(fit["tiles_per_second"] for fit in fits) / len(fits), 1),
    }
