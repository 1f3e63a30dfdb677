"""Settings: what is not known, not of its type or out of bounds is refused by name."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.fix import settings as fix_settings
from gateways.settlement import settings as settlement_settings
from kk99 import cli, docs
from kk99.config import EngineSettings, MetricsSettings, load, load_engine, section
from kk99.configure import SECTIONS
from kk99.errors import InputError

ROOT = Path(__file__).parent.parent


def test_the_defaults_are_within_their_bounds():
    """No file at all is a good file."""
    assert load_engine(None) == EngineSettings()


def test_values_are_taken_and_folders_are_the_files(tmp_path):
    """Values come from the file, relative folders start where it is, the command line wins."""
    path = tmp_path / "engine.toml"
    path.write_text('[engine]\ndata_dir = "data"\nlease_s = 3\nring_rows = 8192\nsnapshot_at_stop = false\n')
    settings = load_engine(path)
    assert (settings.data_dir, settings.lease_s, settings.ring_rows) == (tmp_path / "data", 3.0, 8192)
    assert settings.sockets_dir == tmp_path / "data" / "run"
    assert load_engine(path, data_dir=tmp_path, run_dir=None).data_dir == tmp_path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[engine]\nring_row = 1", "unknown key 'ring_row' in [engine]; did you mean 'ring_rows'?"),
        ("[engine]\nqqq = 1", "the keys are data_dir, run_dir"),
        ("[engine]\nlisten = 'x:1'", "unknown key 'listen' in [engine]; it belongs to [metrics]"),
        ("[motor]\n", "unknown key 'motor'; the tables are engine, metrics, fix, settlement"),
        ("[metric]\n", "did you mean 'metrics'?"),
        ("[metrics]\nprocesses = 'engine'", "list of texts"),
        ("[metrics]\nprocesses = [1]", "list of texts"),
        ("[metrics]\nlisten = 'x'", "host:port"),
        ("[metrics]\nlisten = 'x:65536'", "0 to 65535"),
        ("[metrics]\nlisten = ':1'", "host:port"),
        ("engine = 1", "not a table"),
        ("[engine", "not TOML"),
        ("[engine]\nring_rows = '8192'", "ring_rows = '8192': must be of type int"),
        ("[engine]\nring_rows = true", "type int"),
        ("[engine]\nsnapshot_at_stop = 1", "type bool"),
        ("[engine]\nlease_s = 'x'", "type float"),
        ("[engine]\ndata_dir = 1", "a path"),
        ("[engine]\nring_rows = 5000", "power of two"),
        ("[engine]\nring_rows = 2048", "from 4096 to"),
        ("[engine]\nlease_s = 0", "lease_s = 0.0: must be from"),
        ("[engine]\nendpoint = 'localhost'", "tcp://host:port"),
        ("[engine]\nendpoint = 'tcp://host:65534'", "65533"),
        (f"[engine]\nrun_dir = '/{'x' * 120}'", "shorter"),
    ],
)
def test_a_fault_is_named(tmp_path, text, reason):
    """The error names the file, the key and what is allowed."""
    path = tmp_path / "engine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"engine\.toml") as error:
        load_engine(path)
    assert reason in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    """A file that is not there is an input error."""
    with pytest.raises(InputError, match="No such file"):
        load_engine(tmp_path / "engine.toml")


# The environment ------------------------------------------------------------------------------------------------------


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(tmp_path):
    """Each layer covers the one below, and it is known where a value is from."""
    path = tmp_path / "kk99.toml"
    path.write_text("[engine]\nlease_s = 3\nbatch_rows = 7\nsnapshots_kept = 9\n")
    environment = {"KK99_ENGINE__LEASE_S": "4", "KK99_ENGINE__BATCH_ROWS": "8", "KK99_DATA": "elsewhere", "PATH": "x"}
    overrides = {"lease_s": 5.0, "batch_rows": None}
    engine, origins = section(path, "engine", EngineSettings, environment=environment, **overrides)
    assert load(path, environment=environment, engine=overrides).engine == engine
    assert (engine.lease_s, engine.batch_rows, engine.snapshots_kept, engine.commit_batches) == (5.0, 8, 9, 8)
    assert origins == {
        "lease_s": "the command line",
        "batch_rows": "the environment",
        "snapshots_kept": str(path),
    }


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("KK99_ENGINE__SNAPSHOT_AT_STOP", "false", False),
        ("KK99_ENGINE__SNAPSHOT_AT_STOP", "1", True),
        ("KK99_ENGINE__RING_ROWS", "8_192", 8_192),
        ("KK99_ENGINE__CLOCK_JUMP_S", "0.5", 0.5),
        ("KK99_ENGINE__DATA_DIR", "/srv/kk99", Path("/srv/kk99")),
        ("KK99_METRICS__PROCESSES", "engine, fix,", ("engine", "fix")),
        ("KK99_METRICS__PROCESSES", "", ()),
    ],
)
def test_a_variable_is_of_its_keys_type(variable, text, value):
    """Every type of a setting can be given as text."""
    settings = load(None, environment={variable: text})
    name, _, key = variable.removeprefix("KK99_").lower().partition("__")
    assert getattr(getattr(settings, name), key) == value


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("KK99_ENGINE__LEASE", "1", "KK99_ENGINE__LEASE: unknown key 'lease' in [engine]; did you mean 'lease_s'?"),
        ("KK99_MOTOR__LEASE_S", "1", "unknown section 'motor'"),
        ("KK99_ENGINE__LEASE_S", "long", "KK99_ENGINE__LEASE_S = 'long': must be of type float"),
        ("KK99_ENGINE__SNAPSHOT_AT_STOP", "maybe", "type bool"),
        ("KK99_ENGINE__DATA_DIR", "", "a path"),
        ("KK99_ENGINE__RING_ROWS", "5000", "power of two"),
        ("KK99_ENGINE__LEASE_S", "nan", "must be from"),
    ],
)
def test_a_fault_in_a_variable_is_named(variable, text, reason):
    """The error names the variable and what is allowed."""
    with pytest.raises(InputError, match=re.escape(reason)):
        load(None, environment={variable: text})


def test_a_section_of_a_gateways_own_is_read_from_the_same_file(tmp_path):
    """A room's dataclass is filled from its table, in a file that may have others, with the same errors."""

    @dataclasses.dataclass(frozen=True)
    class Books:
        url: "str" = ""
        wait_s: "float" = 0.05

    path = tmp_path / "kk99.toml"
    path.write_text("[engine]\nlease_s = 3\n[settlement]\nurl = 'sqlite://'\n")
    environment = {"KK99_SETTLEMENT__WAIT_S": "1"}
    found, origins = section(path, "settlement", Books, environment=environment)
    assert (found.url, found.wait_s) == ("sqlite://", 1.0)
    assert origins == {"url": str(path), "wait_s": "the environment"}
    assert load(None, environment=environment).engine == EngineSettings()
    with pytest.raises(InputError, match="did you mean 'wait_s'"):
        section(None, "settlement", Books, environment={"KK99_SETTLEMENT__WAIT": "1"})


@given(st.text(), st.dictionaries(st.text(min_size=1).filter(lambda name: "=" not in name), st.text(), max_size=3))
def test_any_file_and_environment_give_settings_or_an_input_error(tmp_path_factory, text, variables):
    """Nothing that stands in a file or a variable ends in another error."""
    path = tmp_path_factory.mktemp("any") / "kk99.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    environment = {f"KK99_{name}": value for name, value in variables.items()}
    try:
        found = load(path, environment=environment)
    except InputError:
        return
    assert isinstance(found.engine, EngineSettings)


@pytest.mark.parametrize("kind", SECTIONS.values())
def test_every_bound_holds_at_its_edge(kind):
    """Both ends of a bound are allowed, and what is just beyond is not."""
    for field in dataclasses.fields(kind):
        if "low" not in field.metadata or field.name == "ring_rows":
            continue
        low, high = field.metadata["low"], field.metadata["high"]
        step = 1 if field.type == "int" else 0.001
        for good in (low, high):
            assert getattr(kind(**{field.name: good}), field.name) == good
        for bad in (low - step, high + step):
            with pytest.raises(InputError, match=field.name):
                kind(**{field.name: bad})


def test_so_many_processes_may_be_expected():
    """The list of processes has its bound."""
    assert MetricsSettings(processes=("engine",) * 64)
    with pytest.raises(InputError, match="64 are allowed"):
        MetricsSettings(processes=("engine",) * 65)


# The page and the command ---------------------------------------------------------------------------------------------


def test_every_key_is_documented():
    """The reference page has each key of each section, with a sentence."""
    page = (docs.PAGES_DIR / "configuration.md").read_text()
    for name, kind in SECTIONS.items():
        part = page.partition(f"## [{name}]")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `(\w+)` \|.*\| (.+\.) \|$", part, flags=re.MULTILINE)
        assert [key for key, _ in rows] == [field.name for field in dataclasses.fields(kind)]


@pytest.fixture
def config_command(monkeypatch, capsys):
    """`kk99 config` as `main` runs it in this process: its status, and what it prints to output and to errors."""
    monkeypatch.chdir(ROOT)

    def run(*arguments, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            cli.main(["config", *map(str, arguments)])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return run


def test_the_files_that_ship_are_good(config_command):
    """`kk99 config check` finds nothing wrong with what lies in config/."""
    status, out, err = config_command("check")
    assert status == 0, err
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[engine]\nlease = 3", "did you mean 'lease_s'?"),
        ("[fix]\nlisten = 3", "listen"),
        ("operator = {}\nassets = 3", "missing or of the wrong kind"),
        ("x", "not TOML"),
    ],
)
def test_a_bad_file_is_named(config_command, tmp_path, text, reason):
    """`kk99 config check` ends with status 1 and one line that says what to do."""
    (tmp_path / "bad.toml").write_text(text)
    status, out, err = config_command("check", tmp_path / "bad.toml")
    assert (status, out) == (1, "")
    assert reason in err
    assert "bad.toml" in err
    assert "Traceback" not in err


def test_a_bad_document_of_the_set_up_is_named(config_command, tmp_path):
    """What the venue would refuse at its first start is found before."""
    text = (ROOT / "config/venue.toml").read_text()
    (tmp_path / "venue.toml").write_text(text.replace('name = "BTC"\nscale = 8', 'name = "BTC"\nscale = 99'))
    status, _, err = config_command("check", tmp_path / "venue.toml")
    assert status == 1
    assert "[[assets]] BTC: DOCUMENT_INVALID" in err


def test_settings_are_shown_with_their_origin(config_command):
    """`kk99 config show` prints every key as it stands, and where it is from."""
    found = json.loads(config_command("show", "--json", KK99_ENGINE__LEASE_S="3")[1])
    assert found["engine"]["lease_s"] == {"value": 3.0, "from": "the environment"}
    assert found["engine"]["data_dir"] == {"value": "var", "from": "the default"}
    assert found["metrics"]["processes"]["value"] == ["engine"]
    assert found["fix"]["comp_id"] == {"value": "KK99", "from": "the default"}


def test_one_file_can_have_the_tables_of_all_processes(config_command, tmp_path):
    """Each process reads its own from it, and all of them are judged and shown."""
    path = tmp_path / "kk99.toml"
    path.write_text('[engine]\nlease_s = 3\n[fix]\ncomp_id = "ME"\n[settlement]\nwait_s = 1\n')
    assert load_engine(path).lease_s == 3.0
    assert fix_settings.load(path).comp_id == "ME"
    assert settlement_settings.load(path).wait_s == 1.0
    assert "good (settings: engine, fix, settlement)" in config_command("check", path)[1]
    found = json.loads(config_command("show", "--json", "--config", path, KK99_FIX__LOGON_S="4")[1])
    assert found["settlement"]["wait_s"] == {"value": 1.0, "from": str(path)}
    assert found["fix"]["logon_s"] == {"value": 4.0, "from": "the environment"}
    path.write_text("[settlement]\nwait_s = 99\n")
    assert config_command("check", path)[0] == 1
    shown = config_command("show", "--config", "config/kk99.toml")[1]
    assert re.search(r"^metrics +listen +127\.0\.0\.1:9464 +config/kk99\.toml", shown, flags=re.MULTILINE)


def test_a_process_of_its_own_prints_the_same(tmp_path):
    """As a program it ends with the status and the one line on standard error."""
    (tmp_path / "bad.toml").write_text("x")
    done = subprocess.run(
        [sys.executable, "-m", "kk99.cli", "config", "check", tmp_path / "bad.toml"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
