"""Seeds derived from names, so that no result depends on a global random state."""

import hashlib

import numpy as np


def derive_seed(*parts: object) -> int:
    """Derive a 31-bit seed from an ordered list of names and numbers.

    The same parts give the same seed on every machine and Python version, and
    any change of a part gives an unrelated seed.

    Examples
    --------
    >>> derive_seed(7, "cathode_state", "fold", 0) == derive_seed(7, "cathode_state", "fold", 0)
    True
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF


def derive_rng(*parts: object) -> np.random.Generator:
    """Return a NumPy generator seeded with :func:`derive_seed`."""
    return np.random.default_rng(derive_seed(*parts))
