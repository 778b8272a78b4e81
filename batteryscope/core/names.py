"""Names and values as MLflow accepts them; needs neither MLflow nor any other heavy library."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

MAX_PARAMETER_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000
MAX_KEY_CHARACTERS = 250
CUT_NOTE = " … [cut]"
LIVE_TAG = "live"
KEY_TAG = "job_key"
DIGEST_TAG = "content_digest"
PARENT_TAG = "mlflow.parentRunId"
_USER_INFO = re.compile(r"(\b[\w+.-]+://)[^\s/?#]*@")
_SECRET_VALUE = re.compile(
    r"([?&;](?:pass\w*|pwd|token|secret\w*|\w*api_?key|access_key\w*|sig)=)[^&;#\s]*", re.IGNORECASE
)


def make_legal_name(name: str) -> str:
    """Replace what MLflow refuses in the name of a metric or parameter by ``_``.

    Letters, digits and ``_ - . / : space`` stay; names are cut at 250 characters, and
    parts that would leave the run's folder (``..``, a leading ``/``) lose their meaning.

    Examples
    --------
    >>> make_legal_name("p_50%(low)")
    'p_50__low_'
    """
    legal = re.sub(r"[^A-Za-z0-9_\-. :/]", "_", name)
    legal = re.sub(r"/+", "/", re.sub(r"\.{2,}", "_", legal)).strip("/") or "_"
    return "_" if legal == "." else legal[:MAX_KEY_CHARACTERS]


def cut_text(text: str, limit: int) -> str:
    """Cut a text to ``limit`` characters; a cut one ends in ``… [cut]``."""
    return text if len(text) <= limit else text[: limit - len(CUT_NOTE)] + CUT_NOTE


def flatten_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten nested settings to dotted names and texts.

    Parameters
    ----------
    values
        Plain JSON values; mappings are followed, lists become compact JSON.
    prefix
        Put before every name, with a dot.

    Returns
    -------
    dict
        Legal parameter names to texts of at most 6000 characters, in the order given.
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            flat |= flatten_settings(value, name)
        elif isinstance(value, str):
            flat[make_legal_name(name)] = cut_text(value, MAX_PARAMETER_CHARACTERS)
        else:
            text = json.dumps(value, ensure_ascii=False, default=str)
            flat[make_legal_name(name)] = cut_text(text, MAX_PARAMETER_CHARACTERS)
    return flat


def name_live_job(study: str, chain: str, fit: str) -> str:
    """Return the job key of a fit while it trains; arms that share it come later."""
    return f"{study}/{chain}/{fit}"


def hide_password(text: str) -> str:
    """Return an address, or a text with addresses, without the credentials that it may carry.

    Examples
    --------
    >>> hide_password("postgresql://ann:secret@host/db?password=secret")
    'postgresql://***@host/db?password=***'
    """
    return _SECRET_VALUE.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))


def holds_password(address: str) -> bool:
    """Whether an address says a password, or a token, to whoever reads it; a user name is none.

    Examples
    --------
    >>> [holds_password(f"postgresql://{who}@host/db") for who in ("ann", "ann:secret")]
    [False, True]
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # no address at all
        return False
    query = f"?{parts.query}"
    return bool(parts.password) or hide_password(query) != query


def refuse_password(address: str, instead: str) -> str:
    """Return an address of the settings as it is, if it holds no password.

    Settings are kept by git, and copied by DVC and Snakemake into files of their own.

    Raises
    ------
    ValueError
        It holds one; the sentence says ``instead`` what to do, and not the password.
    """
    if holds_password(address):
        raise ValueError(
            f"{hide_password(address)} holds a password, which git and DVC would keep; take it "
            f"out of the settings and {instead}."
        )
    return address


def describe_failure(error: BaseException, limit: int = 200) -> str:
    """Return the first line of an error, short enough for one warning, without passwords."""
    lines = hide_password(str(error)).strip().splitlines()
    return cut_text(lines[0] if lines else type(error).__name__, limit)
