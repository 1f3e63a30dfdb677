"""Engines that are dead, hang, talk nonsense or are another venue's: each is told, in time, and nothing is changed."""

import contextlib
import threading

import msgpack
import pytest
import zmq

from kk99 import protocol, schema
from kk99.operate import site as sites
from kk99.protocol import Kind, Message
from tests.engine.harness import new_run_dir, running
from tests.operate.conftest import Kk99

WHO = ("--actor", "anna", "--reason", "x")
WELCOME = {
    "session_id": 0, "epoch": 0, "last_client_seq": 0, "durable_seq": 0, "last_event": [0, 0], "lease_s": 1.0,
    "venue_id": bytes(16), "fingerprint": schema.FINGERPRINT,
}  # fmt: skip


def answer_with(*replies):
    """What a stranger sends to the questions that come, the last one again and again; None: nothing."""
    waiting = list(replies)

    def answer():
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return answer


def message(kind, document):
    """The parts of an answer with a document."""
    return protocol.with_document(kind, document).parts()


@contextlib.contextmanager
def stranger(run_dir, answer):
    """A process that has the engine's query socket, and answers what it likes."""
    run_dir.mkdir(parents=True, exist_ok=True)
    context, over = zmq.Context(), threading.Event()
    socket = context.socket(zmq.ROUTER)
    socket.bind(f"ipc://{run_dir}/{protocol.QUERY_SOCKET}")

    def serve():
        while not over.is_set():
            if socket.poll(20):
                sender, *_ = socket.recv_multipart()
                parts = answer()
                if parts is not None:
                    socket.send_multipart([sender, *parts])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        socket.close(linger=0)
        context.term()


ODD = {
    "nothing": [None],
    "no parts": [[]],
    "noise": [[b"\x00" * 40]],
    "noise after a welcome": [message(Kind.WELCOME, WELCOME), [b"noise"]],
    "no map": [[*Message(Kind.WELCOME).parts(), msgpack.packb(7)]],
    "a welcome without fields": [message(Kind.WELCOME, {"fingerprint": schema.FINGERPRINT})],
    "a welcome of another schema": [message(Kind.WELCOME, WELCOME | {"fingerprint": 1})],
    "another answer": [message(Kind.STATS, {})],
    "counters that are none": [message(Kind.WELCOME, WELCOME), [*Message(Kind.STATS).parts(), msgpack.packb(7)]],
    "counters that are missing": [message(Kind.WELCOME, WELCOME), message(Kind.STATS, {"uptime_s": 1.0})],
}


@pytest.mark.parametrize("name", list(ODD))
def test_whatever_a_stranger_answers_health_fails_in_one_line(name, monkeypatch):
    """Something that is no engine, or hangs, is status 2 and valid JSON; an order ends with status 1 and one line."""
    monkeypatch.setattr(sites, "ENGINE_TIMEOUT_S", 0.1)
    root = new_run_dir() / "var"
    kk99 = Kk99(root)
    with stranger(root / "run", answer_with(*ODD[name])):
        found = kk99.json("health", status=2)
        assert found["checks"][0]["level"] == "fail"
    with stranger(root / "run", answer_with(*ODD[name])):
        kk99.run("halt", "--all", *WHO, status=1)
    assert len(kk99.said.splitlines()) == 1


def test_another_venues_engine_is_refused(kk99):
    """With the sockets of one venue and the data of another, nothing is ordered and health says what is wrong."""
    with running(new_run_dir() / "var") as other:
        options = ("--run", other.settings.run_dir)
        found = kk99.json("health", *options, status=2)
        assert "another venue" in found["checks"][0]["text"]
        before = other.stats()["head_seq"]
        kk99.run("halt", "--all", *options, *WHO, status=1)
        assert "another venue" in kk99.said
        assert other.stats()["head_seq"] == before
