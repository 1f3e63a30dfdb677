"""TLS and mutual TLS at the gateway: handshakes, certificates of counterparties, reloads, and who is cut off."""

import contextlib
import datetime as dt
import hashlib
import shutil
import signal
import ssl
import threading

import pytest

from gateways.fix import settings, tls
from gateways.fix.settings import FixSettings, SessionSettings
from kk99.errors import InputError
from tests.engine.harness import running, wait_for
from tests.fix.certificates import Authority
from tests.fix.raw_client import HASH, RawClient, gateway
from tests.fix.venue_process import FixVenue, set_up


class TlsClient(RawClient):
    """A raw client over TLS."""

    def __init__(self, port, context, name="CLIENT"):
        self._context = context
        super().__init__(port, name)

    def begin(self):
        """Connect, and shake hands."""
        super().begin()
        plain = self.socket
        try:
            self.socket = self._context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a market, for all tests here."""
    with running(tmp_path_factory.mktemp("tls") / "venue") as engine:
        set_up(engine.settings.address)
        yield engine


@pytest.fixture
def authority(tmp_path):
    """Who signs the venue's certificates, and the clients'."""
    return Authority(tmp_path)


@contextlib.contextmanager
def over_tls(engine, folder, authority, *, sessions=(), reload=lambda: False, **fix):
    """A gateway with a certificate; yields its port."""
    path, _ = authority.sign("venue")
    given = {"tls_certificate": str(path)} | fix
    with gateway(engine, folder / "fix", more=sessions, fix=given, reload=reload) as port:
        yield port


def hello(authority):
    """The first bytes of a handshake."""
    out = ssl.MemoryBIO()
    asking = authority.client().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        asking.do_handshake()
    return out.read()


def is_cut_off(client):
    """Whether the venue closes without a word."""
    try:
        return client.receive() == b""
    except OSError:
        return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_orders_over_tls(engine, tmp_path, authority, version):
    """Logon, a burst larger than any buffer, and a goodbye that ends in TLS's own."""
    with (
        over_tls(engine, tmp_path, authority) as port,
        TlsClient(port, authority.client(version=version)) as client,
    ):
        client.logon("141=Y|")
        client.expect("A")
        for number in range(700):
            client.order(f"{version}-{number}", price=9)
        assert [client.expect("8")[11] for _ in range(700)] == [f"{version}-{n}" for n in range(700)]
        client.send("5")
        assert client.expect("5")
        client.socket.suppress_ragged_eofs = False  # an end without close_notify would raise
        assert client.receive() == b""


def test_who_speaks_no_tls_is_cut_off(engine, tmp_path, authority):
    """A plain Logon, and a handshake never begun, or never ended, get nothing and hold nobody up."""
    with (
        over_tls(engine, tmp_path, authority, logon_s=1.0) as port,
        RawClient(port) as silent,
        RawClient(port) as plain,
        RawClient(port) as half,
    ):
        half.socket.sendall(hello(authority)[:100])
        plain.logon("141=Y|")
        assert is_cut_off(plain)
        with TlsClient(port, authority.client()) as client:
            client.logon("141=Y|")
            client.expect("A")
        assert is_cut_off(silent)
        assert is_cut_off(half)


def test_an_old_tls_is_refused(engine, tmp_path, authority):
    """TLS 1.1 is not spoken, whatever the client would like."""
    context = authority.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with over_tls(engine, tmp_path, authority) as port, pytest.raises((ssl.SSLError, OSError)):
        TlsClient(port, context)


def test_a_certificate_can_be_all_the_proof(engine, tmp_path, authority):
    """Its holder needs no password; another's certificate, or none, is not enough; nor is a password instead."""
    own, digest = authority.sign("client")
    other, _ = authority.sign("other")
    sessions = (
        SessionSettings("CERT", "", ("alice",), certificates=("0" * 64, digest)),
        SessionSettings("STRICT", HASH, ("alice",), certificates=(digest,)),
    )
    with over_tls(engine, tmp_path, authority, sessions=sessions, tls_client_ca=str(authority.path)) as port:
        for name, certificate, password, is_right in (
            ("CERT", own, "anything", True),
            ("CERT", other, "secret", False),
            ("CERT", None, "secret", False),
            ("STRICT", own, "secret", True),
            ("STRICT", own, "wrong", False),
            ("STRICT", other, "secret", False),
            ("CLIENT", None, "secret", True),
        ):
            with TlsClient(port, authority.client(certificate), name) as client:
                client.logon("141=Y|", password=password)
                assert bool(client.receive()) is is_right, (name, certificate, password)
                if is_right:
                    client.send("5")
                    assert client.is_closed()


def test_certificates_of_clients_can_be_required(engine, tmp_path, authority):
    """Who shows none, one of a stranger's signing, or one that is over, does not get through the handshake."""
    own, _ = authority.sign("client")
    expired, _ = authority.sign("expired", until=-dt.timedelta(hours=1))
    folder = tmp_path / "strangers"
    folder.mkdir()
    stranger, _ = Authority(folder, "stranger").sign("someone")
    fix = {"tls_client_ca": str(authority.path), "tls_client_required": True}
    with over_tls(engine, tmp_path, authority, **fix) as port:
        for certificate in (None, stranger, expired):
            with contextlib.suppress(OSError), TlsClient(port, authority.client(certificate)) as client:
                client.logon("141=Y|")
                assert is_cut_off(client)
        with TlsClient(port, authority.client(own)) as client:
            client.logon("141=Y|")
            client.expect("A")


def test_certificates_are_read_again(engine, tmp_path, authority):
    """New connections get the new one, those that are there live on; one that can't be read changes nothing."""
    wanted = threading.Event()

    def reload():
        was_set = wanted.is_set()
        wanted.clear()
        return was_set

    def shown(port):
        with TlsClient(port, authority.client()) as client:
            return client.socket.getpeercert()["serialNumber"]

    with (
        over_tls(engine, tmp_path, authority, reload=reload) as port,
        TlsClient(port, authority.client()) as client,
    ):
        client.logon("141=Y|")
        client.expect("A")
        first = shown(port)
        renewed, _ = authority.sign("renewed")
        shutil.copy(renewed, tmp_path / "venue.pem")
        assert shown(port) == first
        wanted.set()
        wait_for(lambda: shown(port) != first)
        second = shown(port)
        (tmp_path / "venue.pem").write_text("nonsense")
        wanted.set()
        wait_for(lambda: not wanted.is_set())
        assert shown(port) == second
        client.send("1", "112=still there|")
        assert client.expect("0")[112] == "still there"


@pytest.mark.xdist_group("processes")
def test_a_signal_has_the_certificates_read(tmp_path, authority):
    """SIGHUP reads them again, and ends nothing."""
    path, first = authority.sign("venue")
    with FixVenue(tmp_path, more=f'tls_certificate = "{path}"') as running_venue:

        def shown():
            with TlsClient(running_venue.port, authority.client()) as client:
                return hashlib.sha256(client.socket.getpeercert(binary_form=True)).hexdigest()

        assert shown() == first
        renewed, second = authority.sign("renewed")
        shutil.copy(renewed, path)
        running_venue.gateway.send_signal(signal.SIGHUP)
        wait_for(lambda: shown() == second)
        assert running_venue.stop_gateway() == 0
        running_venue.gateway = None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('tls_key = "k.pem"', "tls_key is set, but not tls_certificate"),
        ('tls_client_ca = "c.pem"', "tls_client_ca is set, but not tls_certificate"),
        ('tls_certificate = "c.pem"\ntls_client_required = true', "tls_client_required is set, but not tls_client_ca"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path, text, words):
    """The message names both."""
    path = tmp_path / "fix.toml"
    path.write_text(f"[fix]\n{text}\n")
    with pytest.raises(InputError, match=words):
        settings.load(path)


def test_a_certificate_that_is_not_there(tmp_path, authority):
    """The gateway does not start, and says which setting is wrong."""
    good, _ = authority.sign("venue")
    with pytest.raises(InputError, match="tls_certificate = '/nowhere'"):
        tls.Tls(FixSettings(tls_certificate="/nowhere"))
    with pytest.raises(InputError, match="tls_client_ca"):
        tls.Tls(FixSettings(tls_certificate=str(good), tls_client_ca=str(tmp_path / "none.pem")))
