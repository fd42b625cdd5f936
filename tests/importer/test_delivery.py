"""What commands share when they send."""

import argparse
import threading

import pytest

from importer import delivery
from importer.report import ImportReport
from importer.tasks import one_at_a_time

LIMIT_S = 30


@pytest.fixture
def arguments(monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a-token")
    return argparse.Namespace(
        project=7, document_root=None, object_store=None, json=False, show_paths=False
    )


def test_two_commands_do_not_send_from_one_folder_at_once(tmp_path, arguments, monkeypatch, capsys):
    (tmp_path / "tasks.json").write_text("[]")
    sending, may_end = threading.Event(), threading.Event()
    under_way, most = [], []

    def send(*_, **__):
        under_way.append(1)
        most.append(len(under_way))
        sending.set()
        assert may_end.wait(LIMIT_S)
        under_way.pop()
        return 0

    monkeypatch.setattr(delivery, "send", send)
    said = threading.Event()
    tell = delivery._say_waiting
    monkeypatch.setattr(delivery, "_say_waiting", lambda *a: (tell(*a), said.set()))
    report = ImportReport(tmp_path, already_there=1)
    ends = []
    both = [
        threading.Thread(target=lambda: ends.append(delivery.finish(arguments, report, "import")))
        for _ in range(2)
    ]
    both[0].start()
    assert sending.wait(LIMIT_S)
    both[1].start()
    assert said.wait(LIMIT_S)  # it looks at nothing before the other has ended
    assert most == [1]
    may_end.set()
    for thread in both:
        thread.join(LIMIT_S)
    assert (most, ends) == ([1, 1], [0, 0])
    assert "another command sends slices of" in capsys.readouterr().err


def test_who_sends_alone_does_not_wait(tmp_path):
    for _ in range(2):
        with one_at_a_time(tmp_path, lambda: pytest.fail("nobody else sends")):
            pass
