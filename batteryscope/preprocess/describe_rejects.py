"""What preprocessing left out, in sentences for the terminal."""

import pandas as pd

from batteryscope.core.counted import count_of


def describe_rejects(rejects: pd.DataFrame, manifest: pd.DataFrame) -> list[str]:
    """Say what was left out: a line per picture; of scans a line per scan and reason.

    Parameters
    ----------
    rejects
        ``sample_id, path, reason, detail``.
    manifest
        Sample table; of scans with ``volume``.
    """
    if rejects.empty:
        return []
    if "volume" not in manifest:
        return [f"{row.path}: {row.detail} ({row.reason})" for row in rejects.itertuples()]
    volumes = manifest.set_index("sample_id")["volume"]
    sizes = volumes.value_counts().to_dict()
    table = rejects.assign(volume=rejects["sample_id"].map(volumes))
    table["number"] = table["path"].str.rpartition("#")[2]
    lines = []
    for keys in table[["volume", "reason"]].drop_duplicates().itertuples():
        part = table[(table["volume"] == keys.volume) & (table["reason"] == keys.reason)]
        first = part.iloc[0]
        lines.append(
            f"{keys.volume}: {len(part)} of {count_of(sizes[keys.volume], 'slice')} left out "
            f"({keys.reason}); the first, number {first['number']}: {first['detail']}"
        )
    return lines
