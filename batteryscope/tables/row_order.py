"""The order in which rows are taken when a study asks for fewer of them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from batteryscope.seeds import derive_seed


def order_rows(sample_ids: Iterable[str], seed: int, repeat: int) -> list[str]:
    """Shuffle rows so that the first n are the same n for every arm and every n.

    The place of a row depends on its own ``sample_id``, the seed and the repeat only, so
    smaller sets are contained in larger ones, and removing a row moves no other one.

    Parameters
    ----------
    sample_ids
        Training rows of one domain and repeat, in any order.
    seed
        ``split.seed`` of the study.
    repeat
        Number of the repeat.

    Returns
    -------
    list of str
        The same rows, each once.
    """
    return sorted(set(sample_ids), key=lambda s: (derive_seed(seed, "row_order", repeat, s), s))


def thin_out(count: int, most: int) -> NDArray[np.int64]:
    """Return the places of ``most`` of ``count`` rows, evenly spaced; of all where there are fewer.

    Examples
    --------
    >>> thin_out(9, 3).tolist(), thin_out(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
