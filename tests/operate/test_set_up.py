"""`kk99 set-up`: a file's definitions come into the venue once, and money only where one person may move it."""

from kk99.feed import venue
from kk99.operate import people


def test_a_second_set_up_sends_nothing(kk99):
    """What the file has is there after the first; the second finds everything."""
    first = kk99.json("set-up")
    config = venue.read_config(venue.config_path("venue.toml"))
    assert first["openings"] == len(config["instruments"])
    assert first["deposits"] > 0
    assert first["refused"] == 0
    names = {row["name"]: row["state"] for row in kk99.json("instruments")["instruments"]}
    assert {item["name"] for item in config["instruments"]} <= set(names)
    again = kk99.json("set-up")
    assert (again["definitions"], again["deposits"], again["openings"]) == (0, 0, 0)


def test_money_is_left_out_where_it_needs_a_second_person(kk99, tmp_path):
    """With operators registered the definitions are sent, the deposits not."""
    keys = [f'{name} = "{people.make_key(tmp_path / name)}"' for name in ("anna", "ben")]
    (kk99.root / "operators.toml").write_text("[operators]\n" + "\n".join(keys) + "\n")
    file = tmp_path / "venue.toml"
    text = venue.config_path("venue.toml").read_text()
    file.write_text(text.replace('"maple"]', '"maple", "newcomer"]'))
    try:
        sent = kk99.json("set-up", file)
    finally:
        (kk99.root / "operators.toml").unlink()
    assert (sent["definitions"], sent["deposits"]) == (1, 0)
    rows = {row["name"]: row for row in kk99.json("accounts")["accounts"]}
    assert rows["newcomer"]["balances"] == {}


def test_a_definition_that_is_refused_is_status_1(kk99, tmp_path):
    """The file is counted with what the venue did not take."""
    file = tmp_path / "venue.toml"
    text = venue.config_path("venue.toml").read_text()
    odd = '[[assets]]\nname = "odd"\nscale = 99\n\n'
    file.write_text(text.replace("[[assets]]", f"{odd}[[assets]]", 1))
    kk99.run("set-up", file, status=1)
