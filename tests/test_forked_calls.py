"""Functions called side by side: order, closures, errors."""

import os

import numpy as np
import pytest

from batteryscope.core.forked_calls import call_side_by_side
from batteryscope.errors import InputError


@pytest.mark.parametrize("workers", [1, 3])
def test_results_keep_their_order_and_functions_may_be_closures(workers):
    table = np.arange(1000)
    calls = [lambda i=i: int(table[i]) ** 2 for i in range(7)]
    assert call_side_by_side(calls, workers) == [i**2 for i in range(7)]


def test_one_worker_needs_no_other_process():
    assert call_side_by_side([os.getpid], 4) == [os.getpid()]
    assert call_side_by_side([os.getpid] * 3) == [os.getpid()] * 3


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="forks are used on Linux alone")
def test_several_workers_are_other_processes():
    assert os.getpid() not in call_side_by_side([os.getpid] * 3, 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_raised_here(workers):
    def fail():
        raise InputError("table.csv: found nothing; add a row.")

    with pytest.raises(InputError, match="add a row"):
        call_side_by_side([lambda: 1, fail], workers)
