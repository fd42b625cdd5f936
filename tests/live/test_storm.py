"""A small storm of webhooks on the real backend: bench storm at a hundredth of its size."""

import asyncio
import time
from urllib.parse import urlsplit

import pytest

from bench.storm.events import Event
from bench.storm.promises import refused
from bench.storm.sender import Sender, post_request, schedule


@pytest.mark.parametrize("keep", [False, True])
def test_no_event_of_a_storm_is_refused_and_they_start_at_most_two_rounds(running, jobs, keep):
    server, project = running.label_studio, running.project_id
    task = next(server.tasks(project))
    event = Event(server.project(project), {"id": task.id, "data": dict(task.data)})
    address = urlsplit(running.backend_url)
    secret = [f"X-Quorum-Secret: {running.settings.webhook_secret}"]
    before = jobs.state(project).number

    def request(index):
        return post_request(address.netloc, "/webhook", secret, event.body(index), keep)

    sender = Sender((address.hostname, address.port), keep)
    outcomes = asyncio.run(sender.storm(schedule(150, 2.0, seed=1), request))
    assert refused(outcomes) == 0
    time.sleep(2.0)  # whatever they started has begun by now
    assert jobs.state(project).number <= before + 2
