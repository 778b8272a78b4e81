"""The fastest safe loader of YAML that is installed."""

try:
    from yaml import CSafeLoader as FastLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as FastLoader  # type: ignore[assignment]

__all__ = ["FastLoader"]
