"""Puts the workflow into the package that is built; pyproject.toml lists what belongs to it."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOME = "batteryscope/_workflow"


class WorkflowHook(BuildHookInterface):
    """What a clone has beside the library, an installed package has in ``_workflow``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable installation finds those of the clone."""
        if version == "editable":
            return
        self._check_tag()
        for source, name in self.config["files"].items():
            for path in self._list_files(source):
                target = f"{name}{path.removeprefix(source)}"
                build_data["force_include"][path] = f"{HOME}/{target}"
        if commit := self._ask_git("rev-parse", "HEAD"):
            changes = self._ask_git("status", "--porcelain", "-uno")
            self._held = tempfile.TemporaryDirectory()
            note = Path(self._held.name) / "commit"
            note.write_text(commit[0] + ("+changes" if changes else "") + "\n", encoding="utf-8")
            build_data["force_include"][str(note)] = f"{HOME}/commit"

    def _check_tag(self) -> None:
        """A commit that is tagged as a release must be built as that release."""
        tags = [t for t in self._ask_git("tag", "--points-at", "HEAD") if t.startswith("v")]
        if tags and f"v{self.metadata.version}" not in tags:
            raise ValueError(
                f"pyproject.toml says version {self.metadata.version}, but this commit has the tag "
                f"{tags[0]}; set the version to {tags[0][1:]}, or move the tag (CONTRIBUTING.md)"
            )

    def _list_files(self, source: str) -> list[str]:
        """Return the files of a folder that belong to the project; the user's own stay out.

        Without git, which knows them, all that is there is taken.
        """
        if not (Path(self.root) / source).is_dir():
            return [source]
        known = self._ask_git("ls-files", "--", source)
        return [path for path in known if (Path(self.root) / path).is_file()] or [source]

    def _ask_git(self, *words: str) -> list[str]:
        """Return the lines that git says of the clone; none where this is not a clone."""
        if not (Path(self.root) / ".git").exists():
            return []
        try:
            done = subprocess.run(
                ["git", "-C", self.root, *words], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return []
        return done.stdout.splitlines()
