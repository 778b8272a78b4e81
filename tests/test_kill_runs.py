"""Three kills of the first steps of a real study; ``make test-kills`` kills whole runs."""

from pathlib import Path

import pytest

from tests.kill_runs import FIRST_STEPS, run

pytestmark = pytest.mark.workflow


def test_killed_runs_end_as_undisturbed_ones(tmp_path: Path) -> None:
    problems = run(3, seed=2, root=tmp_path, command=FIRST_STEPS, latest=0.5)
    assert not problems, "\n".join(problems[:5])
