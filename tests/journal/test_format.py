"""The record: layout, and that every flipped byte of it is found."""

import pytest

from journal import format as record
from kk99 import schema
from tests.journal.rows import VENUE, commands


def make(count=2):
    """A batch record as bytes."""
    value = memoryview(bytearray(record.HEADER_SIZE) + commands(1, count).encode())
    digest = record.fill_header(
        value,
        kind=record.BATCH,
        venue_id=VENUE,
        number=1,
        epoch=1,
        first_seq=1,
        count=count,
        times_ns=(5, 6),
        previous_hash=record.NO_HASH,
    )
    return bytes(value), digest


def test_header_says_what_it_was_given():
    """A record's header comes back field by field, and the record verifies."""
    value, digest = make()
    header = record.parse_header(value)
    assert (header.kind, header.venue_id, header.number, header.epoch) == (record.BATCH, VENUE, 1, 1)
    assert (header.first_seq, header.row_count, header.last_seq) == (1, 2, 2)
    assert (header.first_time_ns, header.last_time_ns) == (5, 6)
    assert (header.behaviour, header.fingerprint) == (schema.BEHAVIOUR_VERSION, schema.FINGERPRINT)
    assert (header.previous_hash, header.hash) == (record.NO_HASH, digest)
    record.verify_record(header, value, full=True)


def test_documented_layout_is_the_one_written():
    """Reading a header through the documented dtype gives the same fields, and no byte is without a field."""
    import numpy as np

    value, digest = make()
    row = np.frombuffer(value, record.HEADER, 1)[0]
    assert sum(kind.itemsize for kind, *_ in record.HEADER.fields.values()) == record.HEADER_SIZE == 192
    assert bytes(row["hash"]) == digest
    assert (int(row["first_seq"]), int(row["count"]), bytes(row["magic"])) == (1, 2, record.MAGIC)
    assert int(row["crc"]) == record.parse_header(value).crc


@pytest.mark.parametrize("full", [True, False])
def test_every_flipped_byte_is_found(full):
    """No byte of a record, header or payload, can change unseen, whichever check is used."""
    value, _ = make()
    for at in range(len(value)):
        damaged = bytearray(value)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(record.RecordError):
            record.verify_record(record.parse_header(bytes(damaged)), bytes(damaged), full=full)


@pytest.mark.parametrize("size", [0, 1, record.HEADER_SIZE - 1, record.HEADER_SIZE, record.HEADER_SIZE + 64])
def test_a_record_cut_short_is_refused(size):
    """A record of another length than its header says is refused before anything is read by it."""
    value, _ = make()
    with pytest.raises(record.RecordError):
        record.parse_header(value[:size])


def test_another_schema_names_the_release_it_needs(monkeypatch):
    """A batch of another fingerprint or behaviour says which release wrote it."""
    value, _ = make()
    header = record.parse_header(value)
    assert record.check_release(header) is None
    monkeypatch.setattr(schema, "BEHAVIOUR_VERSION", 99)
    assert f"written by release {record.RELEASE}" in record.check_release(header)
