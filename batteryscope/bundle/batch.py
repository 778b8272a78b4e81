"""Asks a published model about a batch of pictures, scans or rows: the one way for all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from batteryscope.bundle.open import samples_of_bundle
from batteryscope.bundle.output import Judged, Summary, choose_table, write_rows
from batteryscope.config.table_format import TableFormat
from batteryscope.core.named_function import load_function
from batteryscope.core.progress import log, show_progress
from batteryscope.errors import ConfigError, InputError
from batteryscope.samples.choose import KINDS
from batteryscope.samples.kind import Samples

ALWAYS = ("bundle", "out", "answer_anyway")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a user asks of a published model; None where nothing is said.

    Attributes
    ----------
    bundle, out
        The model, and the table to write.
    answer_anyway
        Whether what is unlike all that trained is answered all the same.
    images
        Folder of pictures or scans, or one of them.
    table, domain
        Rows, and what all of them are.
    written
        How that table, or the one of covariates, is written.
    covariates, sample_column
        Table of what stands beside the pictures, and its column of files.
    device, batch_size
        Where the networks run (``auto``, ``cpu``, ``gpu``), and how many tiles they get at a time.
    collector
        Where the current collector is, of cross-sections (``bottom``, ``top``).
    slices
        Which slices of every scan (``FIRST:LAST:STEP``).
    """

    bundle: Path
    out: Path | None = None
    answer_anyway: bool = False
    images: Path | None = None
    table: Path | None = None
    domain: str | None = None
    written: TableFormat = field(default_factory=TableFormat)
    covariates: Path | None = None
    sample_column: str | None = None
    device: str | None = None
    batch_size: int | None = None
    collector: str | None = None
    slices: str | None = None

    def list_said(self) -> list[str]:
        """Return what is said beyond what every model is told."""
        own = [part.name for part in fields(self) if part.name not in ALWAYS]
        return [name for name in own if getattr(self, name) not in (None, TableFormat())]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A model that is ready to answer, and what it shall judge.

    Attributes
    ----------
    judged
        Rows of the table to write; each is judged when it is taken.
    summary
        Counts the rows, and has words for them.
    cautions
        What a user must know of all answers.
    closing_note
        What else may be said of them at the end.
    draw_beside
        Draws something beside the table; returns what, in words, or nothing.
    """

    judged: Judged
    summary: Summary
    cautions: Sequence[str]
    closing_note: str = ""
    draw_beside: Callable[[Path], str] | None = None


def answer_batch(asked: Asked) -> None:
    """Look what the model judges, ask it, and write a row for each as it comes.

    Raises
    ------
    ConfigError
        Something is said that does not go with the model.
    InputError
        The model or what it shall judge cannot be read, or nothing of it can be answered.
    """
    samples = samples_of_bundle(asked.bundle)
    what = check_asked(asked, samples)
    read = [asked.images, asked.covariates]
    if asked.table is not None and not asked.table.is_dir():  # which its reader refuses
        read.append(asked.table)
    out = choose_table(asked.out, asked.bundle, read)
    batch: Batch = load_function(samples.modules.predict, "open_batch")(asked)
    for line in batch.cautions:
        log.warning("%s", line)
    judged = batch.judged
    rows = show_progress(judged.rows, "predicting", judged.n_files, samples.noun)
    summary = write_rows(out, judged.columns, rows, batch.summary)
    for line in filter(None, [*summary.describe(), batch.closing_note]):
        log.info("%s", line)
    if batch.draw_beside and (drawn := batch.draw_beside(out)):
        log.info("%s", drawn)
    if summary.is_unanswered:
        raise InputError(
            f"{what}: {summary.describe_failure()}; the reasons are in {out}, the first is: "
            f"{summary.first_reason}"
        )


def check_asked(asked: Asked, samples: Samples) -> Path:
    """Refuse what does not go with a model of these samples; return what it shall judge.

    Raises
    ------
    ConfigError
        Naming the option.
    """
    needed = samples.options[0]
    judges = f"{asked.bundle} judges {samples.several}"
    for name in asked.list_said():
        if name not in samples.options:
            others = dict.fromkeys(k.several for k in KINDS if name in k.options)
            instead = f"give {_spell(needed)} instead" if name in _WHAT else "leave it out"
            raise ConfigError(
                f"{_spell(name)} is for {' or '.join(others)}, but {judges}; {instead}."
            )
    what: Path | None = getattr(asked, needed)
    if what is None:
        raise ConfigError(f"{_spell(needed)}: name what shall be judged; {judges}.")
    return what


# What can be judged.
_WHAT = {kind.options[0] for kind in KINDS}


def _spell(name: str) -> str:
    """Return an option as it is typed."""
    return "the format of a table" if name == "written" else f"--{name.replace('_', '-')}"
