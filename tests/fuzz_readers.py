"""Damages files of users at random and reads them: a sentence, no traceback, no hang.

    python -m tests.fuzz_readers --inputs 10000 --seed 1

Every input is made from the seed and its number alone, so that one that failed can be made again
(``--first NUMBER --inputs 1``). Ends with an error if a reader raises anything but an error for
users, takes more than 10 s for one input, or needs more than 1 GB of memory. The corpus is
pictures and scans of all formats, tables, text files beside pictures, and published models.
"""

import argparse
import faulthandler
import logging
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from tests.fuzz_corpus import list_corpus

MOST_SECONDS, MOST_MEMORY_MB = 10, 1024
_TOKEN = re.compile(rb'-?\d[\d.eE+-]*|"[^"]*"(?!\s*:)|true|false|null')
_OTHER_VALUES = (
    b"0", b"-1", b"1e999", b"NaN", b"1000000", b"99999999999999999999", b"0.5", b"null", b"true",
    b'"x"', b'""', b"[]", b"{}", b"[" * 3000, b'{"a":' * 3000, b'"\\u0000"', b'"../../x"',
)  # fmt: skip


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut a file off, change some of its bytes, or both; changes are often near its start."""
    data = bytearray(content)
    kind = rng.integers(0, 10)
    if kind < 2 or not data:
        return bytes(data[: int(rng.integers(0, len(data) + 1))])
    reach = len(data) if kind < 6 else min(len(data), 600)
    for _ in range(int(rng.integers(1, 9))):
        place = int(rng.integers(0, reach))
        if kind == 9:
            length = int(rng.integers(1, 9))
            value = [b"\xff", b"\0", b"\x7f"][int(rng.integers(0, 3))]
            data[place : place + length] = value * length
        else:
            data[place] = int(rng.integers(0, 256))
    if kind == 5:
        del data[int(rng.integers(1, len(data) + 1)) :]
    return bytes(data)


def damage_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Put something else in the place of a number or text of a JSON file, or damage its bytes."""
    tokens = list(_TOKEN.finditer(content))
    if not tokens or rng.integers(0, 3) == 0:
        return damage(content, rng)
    token = tokens[int(rng.integers(0, len(tokens)))]
    other = _OTHER_VALUES[int(rng.integers(0, len(_OTHER_VALUES)))]
    return content[: token.start()] + other + content[token.end() :]


def run(n_inputs: int, seed: int, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Damage and read; return how often what came of it, and what went wrong."""
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    logging.getLogger("batteryscope").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sound = Path(scratch, "sound")
        sound.mkdir()
        corpus = list_corpus()
        for name, kind in corpus.items():
            kind.write(sound / name)
            kind.read(sound / name)  # imports everything, so that memory is compared afterwards
        names = sorted(corpus)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        for number in range(first, first + n_inputs):
            rng = np.random.default_rng([seed, number])
            name = names[number % len(names)]
            place = Path(scratch, "damaged", name)
            shutil.rmtree(place.parent, ignore_errors=True)
            place.parent.mkdir()
            _copy_damaged(sound / name, place, corpus[name].damaged, rng)
            started = time.perf_counter()
            faulthandler.dump_traceback_later(MOST_SECONDS * 6, exit=True)
            try:
                outcomes[corpus[name].read(place)] += 1
            except Exception:
                failures.append(f"input {number} ({name}): {traceback.format_exc()}")
            finally:
                faulthandler.cancel_dump_traceback_later()
            used = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            if used > MOST_SECONDS:
                failures.append(f"input {number} ({name}): took {used:.0f} s")
            if peak - before > MOST_MEMORY_MB:
                failures.append(f"input {number} ({name}): needed {peak - before} MB")
                break  # a peak stays one
    return outcomes, failures


def _copy_damaged(source: Path, target: Path, pattern: str, rng: np.random.Generator) -> None:
    if source.is_file():
        target.write_bytes(damage(source.read_bytes(), rng))
        return
    shutil.copytree(source, target)
    files = sorted(path for path in target.glob(pattern) if path.is_file())
    chosen = files[int(rng.integers(0, len(files)))]
    change = damage_json if chosen.suffix == ".json" else damage
    chosen.write_bytes(change(chosen.read_bytes(), rng))


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    arguments = parser.parse_args()
    outcomes, failures = run(arguments.inputs, arguments.seed, arguments.first)
    print(", ".join(f"{n} {what}" for what, n in outcomes.most_common()))
    for failure in failures[:20]:
        print(failure)
    print(f"{len(failures)} of {arguments.inputs} inputs failed (seed {arguments.seed}).")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
