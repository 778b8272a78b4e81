"""What an external data set must have in common with the data set of its study."""

from batteryscope.config.dataset import DatasetSettings
from batteryscope.errors import ConfigError


def check_external(data: DatasetSettings, external: DatasetSettings, key: str) -> None:
    """Refuse an external data set that the models of a study cannot be judged by.

    Parameters
    ----------
    data, external
        Settings of the study's own and of its external data set.
    key
        Where the latter stands, for messages.

    Raises
    ------
    ConfigError
        One sentence that names the key, what was found and what to do.
    """
    if missing := [c for c in data.labels.columns if c not in external.labels.columns]:
        raise ConfigError(
            f"{key}.labels.columns: '{missing[0]}' is missing; an external data set needs the "
            f"label columns of the study, {data.labels.columns}."
        )
    if data.volumes is not None or external.volumes is not None:
        raise ConfigError(
            f"{key}: scans cannot be an external data set yet; leave it out, and judge other scans "
            "with predict_images.py."
        )
    if data.targets is None:
        return
    if data.path is not None and external.path is None:
        raise ConfigError(
            f"{key}: it is generated, but the images of the study are your own ('{data.path}'), so "
            "it would prove nothing; name a folder in path, or write 'external: null'."
        )
    known = [] if external.targets is None else external.targets.names
    if lacking := [name for name in data.targets.names if name not in known]:
        raise ConfigError(
            f"{key}.targets: '{lacking[0]}' is missing; an external data set needs "
            f"{data.targets.described}."
        )
