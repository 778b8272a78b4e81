"""The vendor tag of TESCAN SEM pictures (TIFF tag 50431).

Its content is a row of blocks: size (4 bytes, of the rest of the block), kind (2 bytes), data.
That is the layout which Gwyddion reads (module ``tescan``).
"""

import struct
from typing import Literal

TESCAN_TAG = 50431
_LAST = 0
# Kinds of blocks with lines ``Key=value``: the sections of TESCAN's text files. 1 is a thumbnail.
_SECTIONS = {2: "MAIN", 3: "SEM", 4: "GAMA", 5: "FIB"}


def find_tescan_text(content: bytes, byte_order: Literal["<", ">"] = "<") -> str:
    """Return the text of the tag as TESCAN writes it into ``.hdr`` files.

    Parameters
    ----------
    content
        The tag's bytes. A damaged or cut block ends the search.
    byte_order
        That of the file.

    Returns
    -------
    str
        Sections, ``[MAIN]`` first; empty if there is no such block.
    """
    texts: dict[str, str] = {}
    place = 0
    while place + 6 <= len(content):
        size, kind = struct.unpack_from(f"{byte_order}IH", content, place)
        end = place + 4 + size
        if size < 2 or end > len(content) or kind == _LAST:
            break
        if section := _SECTIONS.get(kind):
            lines = content[place + 6 : end].rstrip(b"\0").decode("cp1252", errors="replace")
            texts.setdefault(section, lines)
        place = end
    if "MAIN" not in texts:
        return ""
    return "\n".join(f"[{name}]\n{texts[name]}" for name in _SECTIONS.values() if name in texts)
