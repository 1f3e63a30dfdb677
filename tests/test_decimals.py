"""Decimal text and the venue's whole numbers: exact both ways, and everything else an InputError."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kk99.decimals import Precision, amount_text, amount_units
from kk99.errors import InputError

# A tick of 0.05 of a quote with 4 places, a lot of 0.001 of a base with 8.
KAU_USD = Precision(tick_units=500, lot_units=100_000, base_scale=8, quote_scale=4)


@pytest.mark.parametrize(
    ("text", "scale", "units"),
    [
        ("0", 0, 0),
        ("1", 8, 100_000_000),
        ("0.00000001", 8, 1),
        ("1.50", 1, 15),
        ("1.0000000000", 0, 1),
        ("-12.5", 2, -1_250),
        ("-0", 2, 0),
        ("0009", 0, 9),
        ("9.223372036854775807", 18, 2**63 - 1),
        (Decimal("1E+3"), 2, 100_000),
        (Decimal("1E-8"), 8, 1),
        (Decimal("123456789012345678.9"), 1, 1_234_567_890_123_456_789),
    ],
)
def test_amounts_are_read_exactly(text, scale, units):
    """Text and Decimal give whole units."""
    assert amount_units(text, scale) == units


@pytest.mark.parametrize(
    "text",
    [
        "", " 1", "1 ", "+1", "1.", ".5", "1,5", "1e3", "0x1", "NaN", "Infinity", "1_000", "٣", "1.23", "1\n", "--1",
        "9" * 41, "1000000000000000000.0", "9223372036854775808", Decimal("NaN"), Decimal("Infinity"),
        Decimal("1E+999999"), Decimal("1E-999999"), Decimal("0.01"), Decimal("sNaN"),
    ],
)  # fmt: skip
def test_what_is_not_a_number_of_units_is_refused(text):
    """Other spellings, more places than there are, and numbers beyond int64 are an InputError."""
    with pytest.raises(InputError):
        amount_units(text, 1)


@pytest.mark.parametrize(
    ("units", "scale", "text"),
    [(0, 0, "0"), (0, 2, "0.00"), (1, 8, "0.00000001"), (-1_250, 2, "-12.50"), (2**63 - 1, 18, "9.223372036854775807")],
)  # fmt: skip
def test_amounts_are_written_plainly(units, scale, text):
    """No exponent, and as many places as the scale."""
    assert amount_text(units, scale) == text


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(0, 18))
def test_amounts_come_back(units, scale):
    """What is written reads back to the same number, as text and as Decimal."""
    assert amount_units(amount_text(units, scale), scale) == units
    assert amount_units(Decimal(amount_text(units, scale)), scale) == units


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_refused(text):
    """No text raises anything but InputError."""
    try:
        units = amount_units(text, 4)
    except InputError:
        return
    assert Decimal(amount_text(units, 4)) == Decimal(text)


class TestPrecision:
    """Prices in ticks and quantities in lots."""

    def test_comes_from_the_documents(self):
        """The documents of an instrument and its assets say all that is needed."""
        instrument = {"tick_units": 500, "lot_units": 100_000, "base": "KAU", "quote": "USD"}
        assert Precision.of(instrument, {"scale": 8}, {"scale": 4}) == KAU_USD

    @pytest.mark.parametrize(
        ("price", "ticks"), [("0.05", 1), (Decimal("61234.55"), 1_224_691), ("-0.1", -2), ("0", 0)]
    )
    def test_prices_are_whole_ticks(self, price, ticks):
        """A price that is a whole number of ticks is that number."""
        assert KAU_USD.price_ticks(price) == ticks

    @pytest.mark.parametrize("price", ["0.01", "0.0501", "0.00001", "x"])
    def test_off_tick_is_refused(self, price):
        """A price between ticks is an InputError."""
        with pytest.raises(InputError):
            KAU_USD.price_ticks(price)

    @pytest.mark.parametrize(("qty", "lots"), [("0.001", 1), ("2", 2_000), (Decimal("-1.5"), -1_500)])
    def test_quantities_are_whole_lots(self, qty, lots):
        """A quantity that is a whole number of lots is that number."""
        assert KAU_USD.qty_lots(qty) == lots

    @pytest.mark.parametrize("qty", ["0.0001", "0.00100001", "1.000000001"])
    def test_off_lot_is_refused(self, qty):
        """A quantity between lots is an InputError."""
        with pytest.raises(InputError):
            KAU_USD.qty_lots(qty)

    def test_texts_have_the_places_of_one_tick_and_one_lot(self):
        """A tick of 0.05 is written with two places, a lot of 0.001 with three, a lot of 10 with none."""
        assert (KAU_USD.price_text(20), KAU_USD.price_text(1)) == ("1.00", "0.05")
        assert (KAU_USD.qty_text(1), KAU_USD.qty_text(-1_500)) == ("0.001", "-1.500")
        assert Precision(1, 1_000, 2, 0).qty_text(3) == "30"

    @given(
        st.integers(0, 2**36),
        st.integers(1, 10**6),
        st.integers(0, 18),
    )
    def test_prices_and_quantities_come_back(self, count, size_units, scale):
        """What is written reads back to the same number of ticks and of lots."""
        precision = Precision(size_units, size_units, scale, scale)
        assert precision.price_ticks(precision.price_text(count)) == count
        assert precision.qty_lots(precision.qty_text(count)) == count
