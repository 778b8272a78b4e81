"""What a run will take: from the times of earlier jobs of the same kind."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


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


def estimate_cost(
    jobs: Sequence[PlannedJob], rules: Iterable[str], work: Path, cores: int
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

    Returns
    -------
    CostEstimate
        A job counts as long as it took before, else as the median of the jobs of its rule in
        its study, else in any study.
    """
    by_length = sorted(rules, key=len, reverse=True)
    times: dict[tuple[str, str], list[float]] = {}
    for path in sorted(work.glob("*/benchmarks/*.tsv")):
        rule = next((r for r in by_length if path.stem == r or path.stem.startswith(f"{r}_")), None)
        seconds = read_seconds(path)
        if rule is None or seconds is None:
            continue
        for study in (path.parent.parent.name, ""):
            times.setdefault((rule, study), []).append(seconds)
    total, known, unknown = 0.0, 0, Counter[str]()
    for job in jobs:
        own = read_seconds(Path(job.benchmark)) if job.benchmark else None
        others = times.get((job.rule, job.study)) or times.get((job.rule, ""))
        if own is None and not others:
            unknown[job.rule] += 1
            continue
        seconds = own if own is not None else median(others or [0.0])
        total += seconds * min(max(job.cores, 1), cores)
        known += 1
    return CostEstimate(len(jobs), total, known, unknown)


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
        time = _show_time(estimate.core_seconds / max(cores, 1))
        text += f"; {who} about {time} on {cores} cores, judged by earlier runs."
    else:
        who = "it takes" if estimate.jobs == 1 else "they take"
        return f"{text}; no earlier run tells how long {who}."
    if estimate.unknown:
        listed = ", ".join(f"{rule} ({n})" for rule, n in sorted(estimate.unknown.items()))
        text += f" Nothing is known yet of: {listed}."
    return text


def _show_time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
