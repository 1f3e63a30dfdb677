"""The page on the core as a library: its code, run as it stands, does what the page says."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "library.md"


def test_the_code_on_the_page_runs(capsys):
    """The blocks, one after the other, print the trade, what 100,000 orders did, and the state."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "30 lots at 60000"
    assert "'TRADE'" in printed[1]
    assert re.fullmatch(r"\d+ orders rest; state [0-9a-f]{16} after seq 100010", printed[2])
    assert len(names["twin"].image().rows) == len(names["image"])
