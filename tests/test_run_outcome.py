"""A run that claims success is believed only if what was asked for is there and current."""

from batteryscope.workflow.run_watch import JobOutcome, explain_gaps


def chain(*ran: bool, outdated: int | None = None) -> list[JobOutcome]:
    """Jobs of which each reads what the one before leaves: ``0`` gives ``1``, and so on."""
    return [
        JobOutcome((str(i),), (str(i + 1),), did, is_outdated=i == outdated)
        for i, did in enumerate(ran)
    ]


def explain(jobs: list[JobOutcome], missing: str = "") -> str:
    """Ask for the last output, where one path is missing."""
    return explain_gaps(jobs, jobs[-1].outputs, exists=lambda path: path != missing)


def test_all_there_is_no_gap():
    assert explain(chain(False, True, True)) == ""
    assert explain(chain(False, False)) == ""


def test_missing_output_is_named_with_what_to_do():
    gaps = explain(chain(True, True), missing="2")
    assert "missing: 2" in gaps
    assert "Run the same command again" in gaps


def test_what_lies_between_may_be_missing():
    assert explain(chain(False, False, False), missing="1") == ""


def test_job_that_did_not_follow_its_input_is_not_current():
    gaps = explain(chain(True, False, False))
    assert "not made anew: 2" in gaps
    assert "missing" not in gaps


def test_outdated_job_is_not_current():
    assert "not made anew: 2" in explain(chain(False, False, outdated=1))


def test_many_files_are_counted_not_listed():
    asked = [f"f{i}" for i in range(9)]
    assert "f0, f1, f2 and 6 more" in explain_gaps([], asked, exists=lambda _: False)
