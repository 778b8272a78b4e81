"""Runs the programs of a search as the rules do, ASHA first and then random search."""

from collections.abc import Sequence
from pathlib import Path

from batteryscope.answers.study_modules import TRACK_SEARCH
from batteryscope.planning.study_layout import StudyLayout
from tests.tracking_study import load_script


def run_search_programs(
    folder: Path, study: Sequence[str], digested: Sequence[str], data: Sequence[str], uri: str
) -> None:
    """Create, train and summarise in ``folder``, where the process is; results in ``summary``.

    Parameters
    ----------
    folder
        Holds everything.
    study
        Arguments that every program gets: name, settings.
    digested
        Files by whose content the search is named.
    data
        Arguments of the worker that name its data.
    uri
        MLflow.
    """
    common = [*study, "--storage", f"sqlite:///{folder}/candidates.db"]
    for strategy in ("asha", "random"):
        asha = ["--asha", "asha.json"] if strategy == "random" else []
        created = ["--strategy", strategy, "--data", *digested, *asha]
        created += ["--manifest", "manifest.parquet"]
        out = ["--out", f"{strategy}.json"]
        assert load_script("create_search").main([*common, *created, *out]) == 0
        worker = ["--created", f"{strategy}.json", "--state", "state", "--out", "worker.json"]
        worker += ["--tracking-uri", uri]
        assert load_script("run_search_worker").main([*common, *data, *worker]) == 0
    created = ["--created", "asha.json", "random.json", "--out", "summary"]
    assert load_script("summarise_search").main([*common, *created]) == 0


def track_search(folder: Path, study: str, uri: str) -> int:
    """Record the search of ``folder`` in MLflow; return the status of the program."""
    place = StudyLayout(folder / "work").search.summary
    place.parent.mkdir(parents=True)
    place.symlink_to(folder / "summary")
    words = ["--study", study, "--by", TRACK_SEARCH, "--uri", uri, "--settings", "study.json"]
    return load_script("track_study").main(
        [*words, "--work", str(folder / "work"), "--out", "tracked.json"]
    )
