"""Puts the workflow into the package that is built; pyproject.toml lists what belongs to it."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WorkflowHook(BuildHookInterface):
    """What a clone has beside the library, an installed package has in ``_workflow``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable installation finds those of the clone."""
        if version == "editable":
            return
        for source, name in self.config["files"].items():
            build_data["force_include"][source] = f"batteryscope/_workflow/{name}"
