"""A short run of damaged files of all kinds; ``make fuzz`` does the long one."""

from tests.fuzz_readers import run


def test_damaged_files_end_in_a_sentence() -> None:
    # Twice and a half through the corpus: each kind is damaged in two ways at least.
    outcomes, failures = run(440, seed=1)
    assert not failures, failures[0]
    assert outcomes["read"] > 0
    assert outcomes["refused"] > 0
    assert outcomes["truncated"] + outcomes["unreadable"] > 0
