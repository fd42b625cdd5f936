"""Time that is given, earned and over."""

import os
import signal

import pytest

from importer.deadline import at_most, earn

GIVEN_S, EARNED_S = 1000, 300


def left_s():
    return signal.getitimer(signal.ITIMER_REAL)[0]


def test_what_is_done_earns_time_that_cannot_be_hoarded():
    with at_most(GIVEN_S):
        assert 0 < left_s() <= GIVEN_S
        for _ in range(3):
            earn(EARNED_S)
            assert GIVEN_S < left_s() <= GIVEN_S + EARNED_S


def test_where_nobody_waits_nothing_is_armed():
    before = left_s()
    earn(EARNED_S)
    assert left_s() <= before
    with pytest.raises(KeyError), at_most(GIVEN_S):
        raise KeyError
    assert left_s() == 0


def test_a_time_too_long_for_the_kernel_is_a_long_time():
    with at_most(float("inf")):
        earn(float("inf"))
        assert left_s() > 1e7


def test_a_process_whose_time_is_over_ends_by_the_alarm():
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with at_most(0.05):
            signal.pause()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGALRM
