"""The exporter by itself: it answers without an engine, on either family of addresses, and hangs up on the silent."""

import socket
import threading
import urllib.request

import pytest

from kk99.errors import InputError
from kk99.exporter import serve
from kk99.exporter.serve import Exporter, serve_http
from kk99.metrics.reporter import Reporter


@pytest.fixture
def exporter(tmp_path):
    """An exporter where no engine is."""
    with Exporter(str(tmp_path / "nowhere"), tmp_path / "run", ["engine"]) as running:
        yield running


def scraped(server, host="127.0.0.1"):
    """What Prometheus gets."""
    name = f"[{host}]" if ":" in host else host
    with urllib.request.urlopen(f"http://{name}:{server.server_address[1]}/metrics", timeout=30) as answer:
        return answer.read().decode()


@pytest.fixture
def server(exporter):
    """It, serving."""
    running = serve_http(exporter, "127.0.0.1", 0)
    yield running
    running.shutdown()
    running.server_close()


def test_without_an_engine_it_answers_that_there_is_none(server):
    """The engine shows as down, and nothing is told of markets that are not known."""
    text = scraped(server)
    assert 'kk99_process_up{process="engine"} 0.0' in text
    assert 'kk99_process_up{process="exporter"} 1.0' in text
    assert "kk99_markets{" not in text
    assert "kk99_follower_lag_events{" not in text


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_it_listens_on_either_family(exporter):
    """An address of IPv6 does as well."""
    running = serve_http(exporter, "::1", 0)
    try:
        assert "kk99_process_up" in scraped(running, "::1")
    finally:
        running.shutdown()
        running.server_close()


def test_a_place_that_can_not_be_listened_on_is_named(exporter):
    """The error names the setting and the address."""
    with pytest.raises(InputError, match=r"listen = 203\.0\.113\.1:9464: Cannot assign requested address"):
        serve_http(exporter, "203.0.113.1", 9464)


def test_who_says_nothing_is_hung_up_on(exporter, monkeypatch):
    """A connection without a question ends when the time is up, and others are answered meanwhile."""
    monkeypatch.setattr(serve._Handler, "timeout", 0.2)
    running = serve_http(exporter, "127.0.0.1", 0)
    try:
        with socket.create_connection(running.server_address, timeout=30) as silent:
            assert "kk99_process_up" in scraped(running)
            assert silent.recv(1) == b""
    finally:
        running.shutdown()
        running.server_close()


def test_a_process_that_answers_nonsense_costs_only_itself(server, tmp_path):
    """Bytes that are no figures show that process as down; the others' figures are there."""
    (tmp_path / "run").mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as nonsense, Reporter(tmp_path / "run", "fix", lambda _: None):
        nonsense.bind(str(tmp_path / "run" / "web.metrics"))
        nonsense.listen()
        nonsense.settimeout(30)

        def answer():
            connection, _ = nonsense.accept()
            connection.sendall(b"nonsense")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        text = scraped(server)
        thread.join(30)
    assert 'kk99_process_up{process="web"} 0.0' in text
    assert 'kk99_process_up{process="fix"} 1.0' in text
    assert 'kk99_process_threads{process="fix"}' in text
