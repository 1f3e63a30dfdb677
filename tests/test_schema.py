"""The schema: layouts without holes, enums without gaps, and a fingerprint that nothing escapes."""

import enum
import hashlib
from pathlib import Path

import numpy as np
import pytest

from kk99 import schema

GOLDEN = Path(__file__).parent / "golden" / "schema.txt"
REFRESH = 'python -c "from kk99 import schema; print(schema.describe())" > tests/golden/schema.txt'
ROWS = {"COMMAND": schema.COMMAND, "COLD": schema.COLD, "EVENT": schema.EVENT}


def digest_of(text):
    """The fingerprint of a description."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def fields_of(row):
    """Name, dtype and offset of each field, in order of declaration."""
    return [(name, kind, offset) for name, (kind, offset, *_) in row.fields.items()]


def test_description_is_the_golden_one():
    """No layout, number or bound changes by accident."""
    assert schema.describe() == GOLDEN.read_text().rstrip("\n"), f"if the change is on purpose: {REFRESH}"


def test_fingerprint_is_the_digest_of_the_description():
    """The fingerprint can be computed again at any time, from the description alone."""
    assert digest_of(schema.describe()) == schema.FINGERPRINT
    assert 0 < schema.FINGERPRINT < 1 << 63


@pytest.mark.parametrize("name", ROWS)
class TestRow:
    """Each row's layout."""

    def test_is_one_size(self, name):
        """A row is ROW_SIZE bytes, a whole number of words."""
        assert ROWS[name].itemsize == schema.ROW_SIZE == schema.ROW_WORDS * 8 == 128

    def test_has_no_hidden_padding(self, name):
        """Every byte belongs to a field."""
        covered = set()
        for _, kind, offset in fields_of(ROWS[name]):
            covered |= set(range(offset, offset + kind.itemsize))
        assert covered == set(range(schema.ROW_SIZE))

    def test_fields_are_aligned_and_little_endian(self, name):
        """An integer stands at a multiple of its size and in little-endian order; text may stand anywhere."""
        for field, kind, offset in fields_of(ROWS[name]):
            assert kind.kind == "S" or offset % kind.itemsize == 0, field
            assert kind.kind in "iuS", field
            assert kind == kind.newbyteorder("<"), field

    def test_fields_overlap_only_as_unions(self, name):
        """Two fields share bytes only if they begin at one offset, or one is the second half of a union's word."""
        fields = fields_of(ROWS[name])
        starts = {}
        for field, kind, offset in fields:
            starts.setdefault(offset, []).append((field, kind.itemsize))
        for field, kind, offset in fields:
            for other in range(offset + 1, offset + kind.itemsize):
                if other in starts:
                    word = starts[offset]
                    assert len(word) > 1, f"{field} reaches into {starts[other]}"
                    assert min(size for _, size in word) <= other - offset, field

    def test_words_and_shifts_find_every_field(self, name):
        """A field read as (word >> shift) is the field."""
        row = np.zeros(1, ROWS[name])
        for field, kind, _ in fields_of(ROWS[name]):
            if kind.kind == "S":
                continue
            row[:] = 0
            row[field] = 77
            words = row.view(np.int64)
            assert words[schema.word_of(ROWS[name], field)] >> schema.shift_of(ROWS[name], field) == 77


@pytest.mark.parametrize("kind", schema.ENUMS, ids=lambda kind: kind.__name__)
class TestEnum:
    """Each enum that is in the fingerprint."""

    def test_has_no_gaps(self, kind):
        """Members stand in the order of their numbers, which follow one another from 0 or 1."""
        first = next(iter(kind)).value
        assert first in (0, 1)
        assert [member.value for member in kind] == list(range(first, first + len(kind)))

    def test_has_no_second_names(self, kind):
        """Each name has a number of its own."""
        assert len(kind.__members__) == len(kind)

    def test_fits_its_field_and_says_what_it_means(self, kind):
        """A member fits a byte and carries a sentence for the reference."""
        for member in kind:
            assert 0 <= member.value < 256
            assert member.__doc__
            assert member.__doc__.endswith((".", ")"))


def test_every_enum_is_in_the_fingerprint():
    """No enum of the module is left out of the description."""
    declared = {
        kind
        for kind in vars(schema).values()
        if isinstance(kind, type) and issubclass(kind, schema.Documented) and kind is not schema.Documented
    }
    assert declared == set(schema.ENUMS)
    lines = schema.describe().splitlines()
    assert len(lines) == len(set(lines))
    assert sum(
        f"{kind.__name__}.{member.name} = {member.value}" in lines for kind in declared for member in kind
    ) == sum(len(kind) for kind in declared)


def test_flags_are_single_bits():
    """Each flag is one bit of the flags byte, and the flags of an order are among them."""
    values = [flag.value for flag in schema.Flag]
    assert values == [1 << bit for bit in range(len(values))]
    assert sum(values) < 256
    assert schema.ORDER_FLAGS & ~sum(schema.Flag) == 0


def test_document_kinds_follow_all_others():
    """Whether a command carries a document is told by one comparison."""
    assert {kind.name for kind in schema.CommandKind if kind < schema.FIRST_DOCUMENT_KIND} == {
        "CONTINUE", "CLOCK", "SESSION_OPEN", "SESSION_LOST", "ORDER_NEW", "ORDER_REPLACE", "ORDER_CANCEL",
        "MASS_CANCEL", "DEPOSIT", "WITHDRAW", "INDEX_PRICE", "MESSAGE_NOTED", "ORDER_SUSPEND", "SETTLE",
    }  # fmt: skip


def test_bounds_fit_their_fields():
    """The largest ids fit where they are stored, and amounts and collars fit 63 bits."""
    for bound in ("ACCOUNTS_MAX", "INSTRUMENTS_MAX", "SESSIONS_MAX", "ASSETS_MAX", "SCHEDULES_MAX"):
        assert getattr(schema, bound) <= 1 << 31
    assert schema.ORDERS_MAX == 1 << schema.ORDER_SLOT_BITS
    assert schema.PRICE_TICKS_MAX * schema.PPM < 1 << 62
    assert schema.AMOUNT_MAX < 1 << 63
    assert schema.BATCH_ROWS_MAX <= 65_536


def bounds_of():
    """Every number that the module declares for all to use."""
    return sorted(
        name
        for name, value in vars(schema).items()
        if name.isupper() and isinstance(value, int) and name != "FINGERPRINT"
    )


@pytest.mark.parametrize("bound", bounds_of())
def test_a_changed_bound_changes_the_fingerprint(bound, monkeypatch):
    """A number that differs by one gives another fingerprint."""
    monkeypatch.setattr(schema, bound, int(getattr(schema, bound)) + 1)
    assert digest_of(schema.describe()) != schema.FINGERPRINT


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("change", ["name", "type", "offset", "order"])
def test_a_changed_layout_changes_the_fingerprint(name, change, monkeypatch):
    """A field renamed, retyped, moved or declared in another place gives another fingerprint."""
    fields = [(field, kind.str, offset) for field, kind, offset in fields_of(ROWS[name])]
    field, kind, offset = fields[-1]
    if change == "order":
        fields[-2:] = [fields[-1], fields[-2]]
    else:
        fields[-1] = {
            "name": ("renamed", kind, offset),
            "type": (field, "<u" + kind[2:], offset),
            "offset": (field, kind, offset - 8),
        }[change]
    names, formats, offsets = zip(*fields, strict=True)
    changed = {"names": list(names), "formats": list(formats), "offsets": list(offsets), "itemsize": schema.ROW_SIZE}
    monkeypatch.setattr(schema, name, np.dtype(changed))
    assert digest_of(schema.describe()) != schema.FINGERPRINT


@pytest.mark.parametrize("kind", schema.ENUMS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("change", ["name", "value", "more"])
def test_a_changed_enum_changes_the_fingerprint(kind, change, monkeypatch):
    """A member renamed, renumbered or added gives another fingerprint."""
    members = {member.name: member.value for member in kind}
    last = next(reversed(members))
    if change == "name":
        members["RENAMED"] = members.pop(last)
    elif change == "value":
        members[last] += 1
    else:
        members["MORE"] = len(members) + 7
    changed = enum.IntEnum(kind.__name__, members)
    monkeypatch.setattr(schema, "ENUMS", tuple(changed if one is kind else one for one in schema.ENUMS))
    assert digest_of(schema.describe()) != schema.FINGERPRINT


def test_a_changed_flag_changes_the_fingerprint(monkeypatch):
    """A flag more gives another fingerprint."""
    members = {flag.name: flag.value for flag in schema.Flag} | {"MORE": 128}
    monkeypatch.setattr(schema, "Flag", enum.IntFlag("Flag", members))
    assert digest_of(schema.describe()) != schema.FINGERPRINT
