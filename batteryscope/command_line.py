"""The old place of `show_progress`, which the code of training names.

A change of that code, also of its imports, makes every finished fit train again.
"""

from batteryscope.core.progress import show_progress

__all__ = ["show_progress"]
