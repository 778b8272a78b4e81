"""Forward passes side by side: order, limits, and PyTorch's threads as they were."""

import os
import threading
import time

import numpy as np
import pytest
import torch

from batteryscope.core.forward_threads import ForwardThreads, pass_batches
from batteryscope.core.ordered_threads import AHEAD, fetch_ahead, run_ahead

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_pass_at_a_time_with_a_thread_each_while_a_third_is_prepared(two_threads):
    threads = ForwardThreads()
    lock, passing, present, most = threading.Lock(), [0], [0], {"passing": 0, "present": 0}

    def work(number):
        with lock:
            present[0] += 1
            most["present"] = max(most["present"], present[0])
        with threads.turn():
            with lock:
                passing[0] += 1
                most["passing"] = max(most["passing"], passing[0])
            time.sleep(0.005)
            assert torch.get_num_threads() == 1
            with lock:
                passing[0] -= 1
        with lock:
            present[0] -= 1
        return number

    assert list(threads.map(work, range(12))) == list(range(12))
    assert most["passing"] == 2
    assert most["present"] <= 3
    assert torch.get_num_threads() == 2
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start(), thread.join()
    assert seen == [2]  # of threads to come


def test_batches_are_divided_among_the_passes_and_come_in_order(two_threads):
    def forward(part):
        return np.arange(part.start, part.stop)

    answers = list(pass_batches(forward, 70, 64, CPU))
    assert [len(answer) for answer in answers] == [32, 32, 6]
    assert list(np.concatenate(answers)) == list(range(70))
    assert [len(a) for a in pass_batches(forward, 10, 64, CPU)] == [8, 2]  # not smaller
    assert [len(a) for a in pass_batches(forward, 6, 2, CPU)] == [2, 2, 2]  # as asked for
    torch.set_num_threads(1)
    assert [len(a) for a in pass_batches(forward, 128, 64, CPU)] == [64, 64]


def test_an_error_ends_the_work_and_gives_the_threads_back(two_threads):
    def fail(number):
        if number == 3:
            raise RuntimeError("third")
        return number

    rows = ForwardThreads().map(fail, range(100))
    assert [next(rows) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="third"):
        next(rows)
    assert torch.get_num_threads() == 2


def test_items_are_made_ahead_in_order_and_errors_come_at_their_place():
    made = []

    def make():
        for number in range(3):
            made.append((number, threading.current_thread() is threading.main_thread()))
            yield number
        raise ValueError("after the third")

    items = run_ahead(make())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    assert made == [(0, False), (1, False), (2, False)]
    with pytest.raises(ValueError, match="after the third"):
        next(items)
    assert list(run_ahead([])) == []


def test_files_are_fetched_a_few_ahead_and_missing_ones_are_left_to_their_reader(tmp_path):
    for name in range(9):
        (tmp_path / f"{name}.txt").write_text("x")
    os.mkfifo(tmp_path / "9.txt")  # whose opening would wait
    asked = []

    def locate(number):
        asked.append(number)
        return tmp_path / f"{number}.txt"

    items = fetch_ahead(range(12), locate)
    assert next(items) == 0
    assert asked == list(range(AHEAD + 1))
    assert list(items) == list(range(1, 12))  # 10 and 11 are no files
    assert asked == list(range(12))
