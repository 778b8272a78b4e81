"""A short run of damaged files of all kinds; ``make fuzz`` does the long one."""

import pytest

from tests.fuzz_readers import run


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files_end_in_a_sentence(seed: int) -> None:
    outcomes, failures = run(220, seed)
    assert not failures, failures[0]
    assert outcomes["read"] > 0
    assert outcomes["refused"] > 0
    assert outcomes["truncated"] + outcomes["unreadable"] > 0
