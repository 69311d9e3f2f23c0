"""The time limit of plugins: in the main thread, in others, and beside somebody else's timer."""

import signal
import threading
import time

import pytest

from zoo.host.deadline import Late, at_most, seconds_for_plugin


def spin():
    while True:
        pass


def stubborn():
    for _ in range(2):
        try:
            spin()
        except BaseException:
            continue
    spin()


@pytest.mark.parametrize("work", [spin, stubborn, lambda: time.sleep(1000)])
def test_in_the_main_thread(work):
    started = time.monotonic()
    with pytest.raises(Late), at_most(0.1):
        work()
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("work", [spin, stubborn])
def test_in_another_thread(work):
    caught = []

    def run():
        try:
            with at_most(0.1):
                work()
        except Late as error:
            caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert len(caught) == 1


def test_what_ends_in_time_is_left_alone():
    def run():
        with at_most(1000):
            return

    before = signal.getsignal(signal.SIGALRM)
    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_somebody_elses_timer_goes_on():
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with at_most(1000):
            time.sleep(0.3)
        assert rang == []
        time.sleep(0.1)
        assert rang == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("given", ["", "x", "-1", "nan", "inf", "0"])
def test_a_limit_that_is_none_is_the_usual_one(monkeypatch, given):
    monkeypatch.setenv("ZOO_PLUGIN_SECONDS", given)
    assert seconds_for_plugin() == 30
