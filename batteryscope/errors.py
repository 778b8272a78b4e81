"""Errors that a user can act on: one sentence each, printed without a traceback."""


class BatteryscopeError(Exception):
    """Base of all errors whose message is meant for the user."""


class ConfigError(BatteryscopeError):
    """The configuration names something unknown, impossible or missing."""


class InputError(BatteryscopeError):
    """A data set, table, weights file or bundle cannot be used as it is."""


class LeakageError(BatteryscopeError):
    """Training and test data share a group, a content hash or near-duplicate images."""


class DiskFullError(BatteryscopeError):
    """No space is left where results are written."""
