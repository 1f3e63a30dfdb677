"""Numbers and times read from bytes and written to bytes: exactly what plain Python makes of them, at every bound."""

import datetime as dt
import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateways.fix.codec import timestamp_text
from gateways.fix.digits import AMOUNT_MAX, BAD, YEAR_LAST
from tests.fix.kernels import enframe, read, written
from tests.fix.support import framed

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TIME_MAX_NS = int((dt.datetime(YEAR_LAST + 1, 1, 1, tzinfo=dt.UTC) - EPOCH).total_seconds()) * 10**9 - 1
TEXTS = st.one_of(
    st.from_regex(r"-?[0-9]{0,24}\.?[0-9]{0,24}", fullmatch=True),
    st.text("0123456789.-:+ e/", max_size=24),
    st.integers(-(10**19), 10**19).map(str),
)


def significant(text):
    """Digits of a plain decimal, without the zeros at its two ends that say nothing."""
    whole, _, fraction = text.lstrip("-").partition(".")
    whole = whole.lstrip("0")
    return len(whole) + len(fraction[: max(18 - len(whole), len(fraction.rstrip("0")))])


@pytest.mark.hypothesis
@given(TEXTS)
@example("9" * 18)
@example("9" * 19)
@example("-" + "9" * 18)
@example("0." + "0" * 17 + "1")
@example("0." + "0" * 18 + "1")
@example("1" + "0" * 17 + "." + "0" * 20)
@example("4611686018.427387903")
def test_a_number_is_read_for_what_it_says_or_not_at_all(text):
    """Integers and decimals of up to 18 digits are exact, everything else is BAD."""
    number, mantissa, places, scaled = read(text.encode())[:4]
    expected = int(text) if re.fullmatch(r"-?0*[0-9]{1,18}", text) else BAD
    assert number == expected
    if re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)", text) and significant(text) <= 18:
        assert Decimal(mantissa).scaleb(-places) == Decimal(text)
        units = Decimal(text).scaleb(8)
        assert scaled == (int(units) if units == int(units) and abs(units) <= AMOUNT_MAX else BAD)
    else:
        assert (mantissa, places, scaled) == (BAD, 0, BAD)


@pytest.mark.hypothesis
@given(st.integers(0, TIME_MAX_NS), st.integers(0, 9))
@example(TIME_MAX_NS, 9)
@example(951_782_400 * 10**9, 0)
def test_a_time_is_read_to_the_nanosecond(time_ns, places):
    """UTCTimestamp, UTCTimeOnly and dates with 0 to 9 decimal places, over all years."""
    kept_ns = time_ns - time_ns % 10 ** (9 - places)
    text = timestamp_text(kept_ns, places)
    assert read(text.encode())[4] == kept_ns
    assert read(text[9:].encode())[5] == kept_ns % (86_400 * 10**9)
    assert read(text[:8].encode())[6] == kept_ns // (86_400 * 10**9)


@pytest.mark.parametrize(
    "text",
    [
        "19691231-23:59:59", "22620101-00:00:00", "20240230-00:00:00", "20230229-00:00:00", "21000229-00:00:00",
        "20240011-00:00:00", "20241311-00:00:00", "20240600-00:00:00", "20240611-24:00:00", "20240611-00:60:00",
        "20240611-00:00:61", "20240611-00:00:00.", "20240611-00:00:00.1234567890", "20240611-00:00:00,123",
        "20240611 00:00:00", "20240611T00:00:00", "20240611-00-00:00", "20240611-0:00:00", "2024061x-00:00:00",
        "20240611-00:00:0x", "20240611-00:00:00.x", "20240611", "",
    ],
)  # fmt: skip
def test_what_is_no_time_is_not_read_as_one(text):
    """Days that do not exist, times that do not exist, and other ways of writing them."""
    assert read(text.encode())[4] == BAD


def test_a_leap_second_is_the_next_second():
    """Second 60 is taken, as FIX allows it."""
    assert read(b"20161231-23:59:60")[4] == read(b"20170101-00:00:00")[4]


@pytest.mark.hypothesis
@given(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(0, 18), st.sampled_from([0, 3, 6, 9]))
@example(0, 0, 3)
@example(99_999_999, 8, 0)
@example(100_000_000, 8, 9)
@example(10**18 - 1, 18, 6)
def test_numbers_and_times_are_written_as_they_are(number, places, time_places):
    """Decimals have just so many places, integers no leading zeros, times are cut."""
    decimal, integer, digits, time = written(number, places, time_places)
    text = f"{abs(number):0{places + 1}d}"
    text = text[: len(text) - places] + ("." + text[len(text) - places :] if places else "")
    assert decimal.decode() == "-" * (number < 0) + text
    assert integer.decode() == str(number)
    assert digits.decode() == f"{abs(number):018d}"
    assert time.decode() == timestamp_text(abs(number), time_places)


@pytest.mark.parametrize("length", [0, 7, 8, 9, 10, 97, 98, 99, 100, 998, 999, 1_000, 9_998, 9_999, 65_000, 99_999])
def test_a_message_is_framed_whatever_its_length(length):
    """BodyLength has as many digits as it needs, and the CheckSum is right."""
    assert enframe(b"x" * length) == framed(b"x" * length + b"\x01")


@pytest.mark.parametrize("length", range(20))
def test_a_checksum_of_each_value_has_three_digits(length):
    """Sums with leading zeros are written with them."""
    assert enframe(b"\x01" * length) == framed(b"\x01" * (length + 1))
