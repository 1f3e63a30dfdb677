"""The sample configuration for QuickFIX in the documents, used as it stands but for folders, port and dictionary."""

import re
import time
from pathlib import Path

import pytest
import quickfix

from gateways.fix.settings import SessionSettings
from tests.fix import stock_client
from tests.fix.certificates import Authority
from tests.fix.raw_client import HASH, PASSWORD, RawClient, venue
from tests.fix.stock_client import StockClient

pytestmark = pytest.mark.xdist_group("processes")

PAGE = Path(__file__).parents[2] / "docs/how-to/connect-a-fix-client.md"


def samples():
    """The two blocks of settings under the page's heading: the file, and what TLS adds to it."""
    section = PAGE.read_text().partition("## Configure QuickFIX")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip("\n") for block in blocks]


@pytest.fixture
def plain(monkeypatch):
    """A stock client that is configured by the page."""
    text = samples()[0]
    for line, own in (
        ("FileStorePath=store", "FileStorePath={folder}/store"),
        ("FileLogPath=log", "FileLogPath={folder}/log"),
        ("DataDictionary=FIX44.xml", "DataDictionary={dictionary}\n{more}"),
        ("SenderCompID=CLIENT", "SenderCompID={name}"),
        ("SocketConnectPort=9878", "SocketConnectPort={port}"),
    ):
        assert f"\n{line}\n" in f"\n{text}\n"
        text = f"\n{text}\n".replace(f"\n{line}\n", f"\n{own}\n").strip("\n")
    monkeypatch.setattr(stock_client, "SETTINGS", text + "\n")


def trade(client):
    """An order by a client is accepted."""
    client.wait_logged_on()
    name = f"o{time.time_ns()}"
    client.order(name, 1, 10, 50)
    assert client.wait_report(name, _150="0")[1] == "alice"


@pytest.mark.usefixtures("plain")
def test_the_sample_trades(tmp_path):
    """Over TCP, with the page's settings."""
    with venue(tmp_path) as (_, port), RawClient(port), StockClient(tmp_path / "c", port, password=PASSWORD) as client:
        trade(client)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("has_certificate", [True, False])
def test_the_sample_trades_over_tls(tmp_path, monkeypatch, has_certificate):
    """With what the page adds for TLS: QuickFIX checks our certificate, and shows its own where it has one."""
    authority = Authority(tmp_path)
    server, _ = authority.sign("server")
    own, digest = authority.sign("client")
    lines = samples()[1].splitlines()
    assert [line.partition("=")[0] for line in lines[-2:]] == ["ClientCertificateFile", "ClientCertificateKeyFile"]
    files = {"venue-ca.pem": authority.path, "client.pem": own, "client-key.pem": own}
    chosen = lines if has_certificate else lines[:-2]
    text = "\n".join(
        "=".join((key, str(files.get(value, value)))) for key, _, value in (li.partition("=") for li in chosen)
    )
    monkeypatch.setattr(quickfix, "SocketInitiator", quickfix.SSLSocketInitiator)
    fix = {"tls_certificate": str(server), "tls_client_ca": str(authority.path)}
    strict = SessionSettings("STRICT", HASH, ("alice",), certificates=(digest,))
    name = "STRICT" if has_certificate else "CLIENT"
    with (
        venue(tmp_path, fix=fix, more=[strict]) as (_, port),
        RawClient(port),
        StockClient(tmp_path / "c", port, name, PASSWORD, more=text) as client,
    ):
        trade(client)
