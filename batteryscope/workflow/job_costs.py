"""What a run will take: from the times of earlier jobs of the same kind."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

CONTEXT_NAME = "times_are_of.txt"  # beside the benchmark files


@dataclass(frozen=True)
class PlannedJob:
    """A job that is about to run: its rule, its study ("" for none), its cores."""

    rule: str
    study: str
    benchmark: str
    cores: int


@dataclass(frozen=True)
class CostEstimate:
    """Number of jobs, their core-seconds, and how many jobs of which rule nothing is known of."""

    jobs: int
    core_seconds: float
    known: int
    unknown: Counter[str]


def read_seconds(path: Path) -> float | None:
    """Return the wall time of a job from its benchmark file; None if there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return float(lines[-1].split("\t")[lines[0].split("\t").index("s")])
    except (OSError, ValueError, IndexError):
        return None


def describe_context(scale: str, dataset: Any) -> str:
    """Say what the times of a study's jobs depend on above all: the scale and the images."""
    files = [file.path for file in getattr(dataset, "files", [])]
    return f"scale {scale}, {getattr(dataset, 'path', None) or ', '.join(files) or 'generated'}"


def note_context(work: Path, contexts: Mapping[str, str]) -> None:
    """Write down what the jobs of the studies are about to measure; older times count no more."""
    for study, context in contexts.items():
        path = work / study / "benchmarks" / CONTEXT_NAME
        if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != context:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(context, encoding="utf-8")


def is_comparable(benchmark: Path, context: str | None) -> bool:
    """Whether a time was measured at this scale and with these images; if unknown, it was."""
    noted = benchmark.parent / CONTEXT_NAME
    if context is None or not noted.is_file():
        return True
    if noted.read_text(encoding="utf-8", errors="replace") != context:
        return False
    return benchmark.is_file() and benchmark.stat().st_mtime >= noted.stat().st_mtime


def find_measured_jobs(
    work: Path, rules: Iterable[str], contexts: Mapping[str, str]
) -> Iterator[tuple[str, str, float, Path]]:
    """Find the benchmark files of earlier jobs whose times still count.

    Parameters are those of :func:`estimate_cost`.

    Yields
    ------
    rule, study, seconds, path
        ``seconds`` by the clock.
    """
    by_length = sorted(rules, key=len, reverse=True)
    for path in sorted(work.glob("*/benchmarks/*.tsv")):
        rule = next((r for r in by_length if path.stem == r or path.stem.startswith(f"{r}_")), None)
        seconds = read_seconds(path)
        study = path.parent.parent.name
        if rule is not None and seconds is not None and is_comparable(path, contexts.get(study)):
            yield rule, study, seconds, path


def estimate_cost(
    jobs: Sequence[PlannedJob],
    rules: Iterable[str],
    work: Path,
    cores: int,
    contexts: Mapping[str, str] | None = None,
) -> CostEstimate:
    """Estimate what jobs will take.

    Parameters
    ----------
    jobs
        The jobs that will run.
    rules
        Names of all rules; the name of a benchmark file begins with its rule's.
    work
        The folder with ``<study>/benchmarks/*.tsv``.
    cores
        Cores of the machine; a job takes no more.
    contexts
        :func:`describe_context` of the studies; times of other contexts do not count.

    Returns
    -------
    CostEstimate
        A job counts as long as it took before, else as the median of the jobs of its rule in
        its study, else in any study.
    """
    total, unknown = 0.0, Counter[str]()
    for job, seconds in zip(jobs, expect_seconds(jobs, rules, work, contexts), strict=True):
        if seconds is None:
            unknown[job.rule] += 1
        else:
            total += seconds * min(max(job.cores, 1), cores)
    return CostEstimate(len(jobs), total, len(jobs) - unknown.total(), unknown)


def expect_seconds(
    jobs: Sequence[PlannedJob],
    rules: Iterable[str],
    work: Path,
    contexts: Mapping[str, str] | None = None,
) -> list[float | None]:
    """Return the expected time of each job by the clock (s); None where nothing is known.

    Parameters are those of :func:`estimate_cost`.
    """
    contexts = contexts or {}
    times: dict[tuple[str, str], list[float]] = {}
    for rule, study, seconds, _ in find_measured_jobs(work, rules, contexts):
        for place in (study, ""):
            times.setdefault((rule, place), []).append(seconds)
    expected: list[float | None] = []
    for job in jobs:
        benchmark = Path(job.benchmark)
        comparable = job.benchmark and is_comparable(benchmark, contexts.get(job.study))
        own = read_seconds(benchmark) if comparable else None
        others = times.get((job.rule, job.study)) or times.get((job.rule, ""))
        expected.append(own if own is not None or not others else median(others))
    return expected


def describe_cost(estimate: CostEstimate, cores: int) -> str:
    """Say it in one sentence or two.

    Examples
    --------
    >>> describe_cost(CostEstimate(3, 240.0, 2, Counter({"train_stage": 1})), 2)
    'Expected: 3 jobs; 2 of them take about 2 min on 2 cores, judged by earlier runs. \
Nothing is known yet of: train_stage (1).'
    """
    text = f"Expected: {estimate.jobs} job{'' if estimate.jobs == 1 else 's'}"
    if estimate.known:
        whole = estimate.known == estimate.jobs
        who = f"{estimate.known} of them take"
        if whole:
            who = "it takes" if estimate.jobs == 1 else "they take"
        time = show_time(estimate.core_seconds / max(cores, 1))
        text += f"; {who} about {time} on {cores} cores, judged by earlier runs."
    else:
        who = "it takes" if estimate.jobs == 1 else "they take"
        return f"{text}; no earlier run tells how long {who}."
    if estimate.unknown:
        listed = ", ".join(f"{rule} ({n})" for rule, n in sorted(estimate.unknown.items()))
        text += f" Nothing is known yet of: {listed}."
    return text


def show_time(seconds: float) -> str:
    """Return ``40 s``, ``12 min`` or ``2.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
