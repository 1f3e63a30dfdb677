"""Two persons against a hostile or hasty one: what is replayed, of another time, damaged or made to deceive."""

import json
import stat

import pytest

from gateways.fix.passwords import hash_password
from journal import keys
from kk99.errors import InputError
from kk99.operate import people, site
from kk99.operate.desk import CLOCK_SKEW_S, Desk, Person
from kk99.operate.register import Register

GIFT = {"account": "birch", "asset": "USD", "amount": "1"}


@pytest.fixture
def operators(kk99, tmp_path):
    """The key files of anna and ben, both of whom a deposit needs."""
    files = {name: tmp_path / f"{name}.key" for name in ("anna", "ben")}
    lines = [f'{name} = "{people.make_key(path)}"' for name, path in files.items()]
    (kk99.root / "operators.toml").write_text(
        'second_person = ["deposit", "session-add"]\n[operators]\n' + "\n".join(lines) + "\n"
    )
    yield files
    (kk99.root / "operators.toml").unlink()
    for path in (kk99.root / "operations" / "pending").iterdir():
        path.unlink()


def desk_of(kk99):
    """Where the venue's operators give their orders."""
    return Desk(site._site(kk99.root, None, None))


def proposed(kk99, operators, verb="deposit", arguments=GIFT):
    """A proposal of anna's: its id and its file."""
    order_id = desk_of(kk99).give(verb, arguments, Person("anna", "a gift", operators["anna"]))["id"]
    return order_id, kk99.root / "operations" / "pending" / f"{order_id}.json"


def money(kk99):
    """What birch has."""
    rows = {row["name"]: row for row in kk99.json("accounts")["accounts"]}
    return rows["birch"]["balances"]["USD"]["available"]


@pytest.mark.parametrize("is_discarded", [False, True])
def test_an_order_that_has_its_end_is_not_carried_out_again(kk99, operators, is_discarded):
    """A copy of its file that is put back does not bring it back, approved or given up before."""
    order_id, path = proposed(kk99, operators)
    text = path.read_text()
    if is_discarded:
        desk_of(kk99).discard(order_id, Person("ben", "odd", operators["ben"]))
    else:
        desk_of(kk99).approve(order_id, "ben", operators["ben"])
    before = money(kk99)
    path.write_text(text)
    with pytest.raises(InputError, match="before"):
        desk_of(kk99).approve(order_id, "ben", operators["ben"])
    assert money(kk99) == before


@pytest.mark.parametrize(("ahead_s", "is_good"), [(CLOCK_SKEW_S, True), (CLOCK_SKEW_S + 3, False)])
def test_a_proposal_of_the_future_is_refused(kk99, operators, ahead_s, is_good):
    """Whose signer dates it ahead does not make it live longer: at the bound it is taken, beyond it not."""
    order_id, path = proposed(kk99, operators)
    fields = {name: value for name, value in json.loads(path.read_text()).items() if name != "signature"}
    fields |= {
        "created_ns": fields["created_ns"] + ahead_s * 10**9,
        "expires_ns": fields["expires_ns"] + ahead_s * 10**9,
    }
    path.write_text(keys.sign(fields, people.load_key(operators["anna"])))
    before = money(kk99)
    if is_good:
        assert desk_of(kk99).approve(order_id, "ben", operators["ben"])["state"] == "done"
    else:
        with pytest.raises(InputError, match="future"):
            desk_of(kk99).approve(order_id, "ben", operators["ben"])
        assert money(kk99) == before


def test_a_second_name_for_the_same_key_is_no_second_person(kk99, operators):
    """Anna as "anne" with her own key is refused."""
    file = kk99.root / "operators.toml"
    file.write_text(file.read_text() + f'anne = "{people.make_key(operators["anna"])}"\n')
    order_id, _ = proposed(kk99, operators)
    with pytest.raises(InputError, match="same key"):
        desk_of(kk99).approve(order_id, "anne", operators["anna"])


def test_another_settings_file_does_not_leave_the_rules_behind(kk99, operators, tmp_path):
    """The data's operators count, whatever --config an operator brings along."""
    own = tmp_path / "mine"
    own.mkdir()
    (own / "kk99.toml").write_text(f'[engine]\ndata_dir = "{kk99.root}"\n')
    who = ("--actor", "carl", "--reason", "x", "--config", own / "kk99.toml")
    (own / "operators.toml").write_text(f'second_person = []\n[operators]\ncarl = "{people.make_key(own / "key")}"\n')
    kk99.run("accounts", "deposit", "birch", "USD", "1", *who, "--key", own / "key", status=1, data=False)
    assert "'carl' is no operator" in kk99.said
    assert operators


def test_the_installed_venues_rules_hold_for_its_data(kk99, operators, tmp_path, monkeypatch):
    """With --data alone the operators beside the installed settings are asked."""
    (tmp_path / "kk99.toml").write_text(f'[engine]\ndata_dir = "{kk99.root}"\n')
    monkeypatch.setattr(site, "CONFIG_FILE", tmp_path / "kk99.toml")
    (tmp_path / "operators.toml").write_text((kk99.root / "operators.toml").read_text().replace("anna", "olga"))
    assert site._site(kk99.root, None, None).operators_file == tmp_path / "operators.toml"
    assert site._site(tmp_path, None, None).operators_file.parent == tmp_path
    assert operators


def test_a_line_that_a_crash_cut_short_costs_no_other(tmp_path):
    """What comes after it stands on a line of its own, and what is no entry is left out."""
    book = Register(tmp_path / "operations")
    with book.held():
        book.end({"id": "op-1", "state": "done"})
        with (tmp_path / "operations/log.jsonl").open("ab") as file:
            file.write(b'7\n\xff\n{"id": "op-2", "sta')
        book.end({"id": "op-3", "state": "done"})
    assert [entry["id"] for entry in book.log()] == ["op-1", "op-3"]
    assert book.ended() == {"op-1", "op-3"}
    assert stat.S_IMODE((tmp_path / "operations/log.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text", ["", "[]", '{"session": [1], "entry": {}}', '{"session": [1, 2]}', '{"session": [1, 2], "entry": 5}']
)
def test_a_damaged_record_of_an_order_under_way_is_named(tmp_path, text):
    """It is not taken for one or the other: the error names the file."""
    book = Register(tmp_path / "operations")
    with book.held():
        (tmp_path / "operations/pending/op-1.begun").write_text(text)
        with pytest.raises(InputError, match=r"op-1\.begun is damaged"):
            list(book.begun())


def test_no_log_has_what_a_session_proves_itself_with(kk99, operators):
    """Neither the list, nor the log, nor its signed approval has the hash of a password."""
    secret = hash_password("correct horse battery")
    arguments = {"session": "SECRETIVE", "changes": '{"accounts": ["birch"]}', "credential": secret}
    order_id, _ = proposed(kk99, operators, "session-add", arguments)
    assert secret not in kk99.run("approvals", "list", "--json")
    assert desk_of(kk99).approve(order_id, "ben", operators["ben"])["state"] == "done"
    assert secret not in (kk99.root / "operations/log.jsonl").read_text()
    entry = kk99.json("approvals", "log")[-1]
    assert keys.check(entry["approval"])["proposal"].startswith("blake3:")


def test_hostile_texts_are_shown_as_they_stand(kk99):
    """Markup is no markup and no control character reaches the screen, in tables, lines and errors."""
    for reason in ("[/red] [bold]x[/bold] :smile:", "[link=http://x]y"):
        kk99.run("halt", "ETHUSD", "--actor", "an[/]na", "--reason", reason)
        kk99.run("resume", "ETHUSD", "--actor", "an[/]na", "--reason", reason)
        assert reason in kk99.run("approvals", "log").replace("\n", "")
    kk99.run("accounts", "suspend", "\x1b[2J[/red]", "--actor", "anna", "--reason", "x", status=1)
    assert "\x1b" not in kk99.said
    kk99.run("\x1b[2J", status=2, data=False)
    assert "\x1b" not in kk99.said
    assert site.plain("a\x1b[2J\u202eb\udcff\n") == "a\\x1b[2J\\u202eb\\udcff\n"


@pytest.mark.parametrize("number", ["9" * 5_000, "-1", "0", str(1 << 63), "1e3", ""])
def test_odd_numbers_of_trades_are_refused(kk99, number):
    """Endless, negative, none: one line and status 1."""
    options = ("--actor", "anna", "--reason", "x", "--data", kk99.root)
    kk99.run("trades", "bust", *options, "--", number, status=1, data=False)
    assert len(kk99.said.splitlines()) == 1
