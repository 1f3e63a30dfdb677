"""Settings: what is not known, not of its type or out of bounds is refused by name."""

import pytest

from kk99.config import EngineSettings, load_engine
from kk99.errors import InputError


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
        ("[engine]\nring_row = 1", "unknown key 'ring_row'"),
        ("[motor]\n", "unknown key 'motor'"),
        ("engine = 1", "not a table"),
        ("[engine", "not TOML"),
        ("[engine]\nring_rows = '8192'", "ring_rows = '8192': must be of type int"),
        ("[engine]\nring_rows = true", "type int"),
        ("[engine]\nsnapshot_at_stop = 1", "type bool"),
        ("[engine]\nlease_s = 'x'", "type float"),
        ("[engine]\ndata_dir = 1", "a folder"),
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
