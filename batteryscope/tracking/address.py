"""Addresses of tracking servers without the user names and passwords that they may carry."""

import base64
import os
from urllib.parse import unquote, urlsplit

ADDRESS = "MLFLOW_TRACKING_URI"
USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
TOKEN = "MLFLOW_TRACKING_TOKEN"
HTTP = ("http://", "https://")


def split_credentials(uri: str) -> tuple[str, str, str]:
    """Take an address apart into what may be shown, a user name and a password.

    Addresses of databases stay as they are, since their drivers want the password in them.

    Examples
    --------
    >>> split_credentials("https://ann:p%40ss@host:5000/mlflow")
    ('https://host:5000/mlflow', 'ann', 'p@ss')
    """
    if not uri.startswith(HTTP):
        return uri, "", ""
    parts = urlsplit(uri)
    known, at, host = parts.netloc.rpartition("@")
    name, _, password = known.partition(":")
    bare = parts._replace(netloc=host).geturl() if at else uri
    return bare, unquote(name), unquote(password)


def pass_credentials(uri: str) -> str:
    """Put the credentials of a server's address where MLflow looks for them.

    Returns
    -------
    str
        The address without them. MLflow sends them as a header; the environment of a process is
        shown to its owner only, its command line to everybody.
    """
    bare, name, password = split_credentials(uri)
    if name or password:
        os.environ.update({USERNAME: name, PASSWORD: password})
    return bare


def find_header() -> dict[str, str]:
    """Return the header that tells a server who asks; empty where nothing is known."""
    if token := os.environ.get(TOKEN):
        return {"Authorization": f"Bearer {token}"}
    name, password = os.environ.get(USERNAME, ""), os.environ.get(PASSWORD, "")
    if not (name or password):
        return {}
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}
