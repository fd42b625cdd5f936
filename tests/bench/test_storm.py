"""The storm's sender measures what it says, and its promises fail when they should."""

import asyncio
import itertools
import json
from contextlib import asynccontextmanager

import pytest

from bench.crowd import slices
from bench.storm.cli import report
from bench.storm.events import Event
from bench.storm.promises import Storm, faults, percentile_ms, refused
from bench.storm.sender import Outcome, Sender, post_request, schedule
from ml_backend.masks import BrushConfig, to_label_map


@asynccontextmanager
async def server(answer):
    """A server on the loopback; `answer(body)` gives status and delay, None hangs up."""
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                found = answer(body)
                if found is None:
                    return
                status, delay_s = found
                await asyncio.sleep(delay_s)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[:2], connections
    finally:
        running.close()


def storm(answer, due_s, keep):
    async def run():
        async with server(answer) as (address, connections):
            sender = Sender(address, keep)
            outcomes = await sender.storm(
                due_s, lambda i: post_request("x", "/webhook", ["X-A: b"], b"%d" % i, keep)
            )
            return outcomes, sender.opened, len(connections)

    return asyncio.run(run())


@pytest.mark.parametrize("keep", [False, True])
def test_every_event_is_sent_and_answered(keep):
    seen = []
    outcomes, _, _ = storm(lambda body: (seen.append(int(body)), (201, 0.0))[1], [0.0] * 20, keep)
    assert sorted(seen) == list(range(20))
    assert [outcome.status for outcome in outcomes] == [201] * 20


def test_each_event_has_its_own_connection_or_they_share_those_kept():
    apart = [0.0, 0.7]
    assert storm(lambda body: (200, 0.0), apart, keep=False)[1:] == (2, 2)
    assert storm(lambda body: (200, 0.0), apart, keep=True)[1:] == (1, 1)


def test_an_event_is_sent_when_due_though_earlier_ones_are_not_answered():
    outcomes, opened, _ = storm(lambda body: (200, 0.3), [0.0, 0.05, 0.1], keep=True)
    assert opened == 3
    assert all(outcome.took_s >= 0.3 for outcome in outcomes)


def test_a_stalled_server_is_charged_for_every_event_that_was_due():
    """What is queued behind a stall waits too: the time counts from when it was due."""

    def sender_stalls(index):
        import time

        if index == 0:
            time.sleep(0.3)
        return post_request("x", "/", [], b"1", False)

    async def run():
        async with server(lambda body: (200, 0.0)) as (address, _):
            return await Sender(address, False).storm([0.0, 0.1, 0.2], sender_stalls)

    second = asyncio.run(run())[1]
    assert second.took_s >= 0.15 and second.late_s >= 0.15


def test_a_hung_up_connection_and_an_error_are_refused_events():
    outcomes, _, _ = storm(lambda body: None if body == b"1" else (503, 0), [0.0, 0.0], False)
    assert [outcome.status for outcome in outcomes] == [503, 0]
    assert refused(outcomes) == 2
    assert percentile_ms(outcomes, 0.99) == float("inf")


def test_a_kept_connection_that_the_server_closed_costs_no_event():
    taken = []

    def answer(body):
        taken.append(body)
        return (200, 0.0)

    async def run():
        async with server(answer) as (address, connections):
            sender = Sender(address, True)

            def request(index):
                if index == 1:
                    connections[0].transport.abort()
                return post_request("x", "/", [], b"%d" % index, True)

            return await sender.storm([0.0, 0.2], request)

    assert [outcome.status for outcome in asyncio.run(run())] == [200, 200]


def test_the_schedule_is_random_repeatable_and_within_the_time():
    due = schedule(500, 3.0, seed=4)
    assert due == schedule(500, 3.0, seed=4) != schedule(500, 3.0, seed=5)
    assert due == sorted(due) and due[0] >= 0 and due[-1] < 3.0
    gaps = [b - a for a, b in itertools.pairwise(due)]
    assert max(gaps) > 3 * (3.0 / 500)  # bursts and lulls, no metronome


def test_an_event_is_a_real_body_with_a_mask_and_a_number_of_its_own():
    project = {"id": 7, "label_config": slices.LABEL_CONFIG, "title": "x"}
    event = Event(project, {"id": 3, "data": {}})
    first, second = (json.loads(event.body(number)) for number in (1, 2))
    assert first["action"] == "ANNOTATION_CREATED"
    assert first["project"]["id"] == 7
    assert first["annotation"].pop("id") + 1 == second["annotation"].pop("id")
    assert first == second
    assert 20_000 < len(event.body(1)) < 40_000
    config = BrushConfig.parse(slices.LABEL_CONFIG)
    assert to_label_map(first["annotation"]["result"], config, 256, 256).any()


def calm(**changes):
    outcomes = [Outcome(0.1 * i, 0.0, 0.01, 201) for i in range(100)]
    values = {"style": "kept", "seconds": 10.0, "body_bytes": 20_000, "connections": 3}
    values |= {"outcomes": outcomes, "rounds": {1: 2}, "trained_s": 8.0, "settled_s": 1.0}
    return Storm(**(values | changes))


def test_a_calm_storm_holds():
    assert faults(calm(), 100, 2) == []
    assert "| kept | 100 | 10.0 | 10.0 | 10.0 | 10.0 | 0 |" in report([calm()])


def test_slow_answers_refused_events_too_many_rounds_and_an_idle_loop_are_faults():
    slow = [Outcome(0.0, 0.0, 0.2, 201)] * 2 + calm().outcomes[2:]
    assert "p99" in faults(calm(outcomes=slow), 100, 2)[0]
    assert faults(calm(outcomes=[*slow[1:], slow[0]] + calm().outcomes * 2), 100, 2) == []
    lost = [Outcome(0.0, 0.0, 0.01, 503), *calm().outcomes * 3]
    assert "1 of 301 events" in faults(calm(outcomes=lost), 100, 2)[0]
    assert "began 3 rounds" in faults(calm(rounds={1: 2, 2: 3}), 100, 2)[0]
    assert "proves nothing" in faults(calm(trained_s=0.0), 100, 2)[0]
