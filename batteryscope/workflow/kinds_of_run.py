"""What Snakemake was asked to do: run, show something, or tend to its own notes."""

from typing import Any

# With one of these options Snakemake shows something and does no work.
SHOWING = (
    "dryrun",
    "lint",
    "list_rules",
    "list_target_rules",
    "list_changes",
    "list_input_changes",
    "list_params_changes",
    "list_untracked",
    "print_compilation",
    "dag",
    "rulegraph",
    "filegraph",
    "d3dag",
    "summary",
    "detailed_summary",
)
# With one of these it tends to its own notes and files, and publishes nothing.
NOT_PUBLISHING = (
    "unlock",
    "touch",
    "report",
    "archive",
    "containerize",
    "cleanup_metadata",
    "cleanup_shadow",
    "delete_all_output",
    "delete_temp_output",
    "list_conda_envs",
    "conda_cleanup_envs",
    "conda_create_envs_only",
)


def shows_only(options: Any) -> bool:
    """Whether Snakemake does no work with these options of its command line."""
    return any(getattr(options, name) for name in SHOWING)


def may_publish(options: Any) -> bool:
    """Whether such a run publishes results, or a dry run tells what one would."""
    others = [name for name in (*SHOWING, *NOT_PUBLISHING) if name != "dryrun"]
    return not any(getattr(options, name) for name in others)
