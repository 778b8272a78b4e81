"""The same picture twice: keep one of a class, none of contradicting classes."""

import pandas as pd

from batteryscope.manifest.schema import Reject


def find_duplicates(table: pd.DataFrame) -> list[Reject]:
    """Find images with equal pixels.

    Parameters
    ----------
    table
        Columns ``path, pixel_digest, class`` in the order in which the first is kept.

    Returns
    -------
    list of Reject
        ``duplicate_content`` for all but the first of a class. Where equal pixels carry
        different classes nobody can say which label is right: all are rejected as
        ``conflicting_labels``.
    """
    rejects: list[Reject] = []
    repeated = table[table["pixel_digest"].duplicated(keep=False)]
    for _, group in repeated.groupby("pixel_digest", sort=False):
        paths, classes = group["path"].tolist(), group["class"].tolist()
        if len(set(classes)) == 1:
            rejects += [
                Reject(
                    path,
                    "duplicate_content",
                    f"shows the same pixels as {paths[0]}, which is kept.",
                )
                for path in paths[1:]
            ]
            continue
        for path, name in zip(paths, classes, strict=True):
            other = next(i for i, c in enumerate(classes) if c != name)
            detail = (
                f"is labelled '{name}', but {paths[other]} shows the same pixels and is labelled "
                f"'{classes[other]}'; take out the wrong one."
            )
            rejects.append(Reject(path, "conflicting_labels", detail))
    return rejects
