"""The page in a real browser, beside a living venue: what it shows is what the venue has, and it says when it can't."""

import itertools
import os
import subprocess

import pytest
from selenium.webdriver.common.by import By

from gateways.web.pages import FOLDER
from tests.engine.harness import DEADLINE_S, ROOT, wait_for
from tests.web.browser import DESKTOP, PHONE, browser
from tests.web.test_server import NAME
from tests.web.web_process import WebVenue

pytestmark = pytest.mark.timeout(240)
LEVELS = 14
RELATIVE_LUMINANCE = (0.2126, 0.7152, 0.0722)
CONTRAST_AA = 4.5
"""For text (WCAG 2.2, 1.4.3)."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    """A venue with trades."""
    with WebVenue(tmp_path_factory.mktemp("page"), "--per-minute", "100000") as venue:
        venue.trade(40)
        yield venue


def ladder(window):
    """The sequence and the levels that the page shows: (seq, [(price, quantity, orders)])."""
    return window.execute_script("""
        const ladder = document.querySelector(".ladder");
        const rows = [...ladder.querySelectorAll("tr.ask, tr.bid")];
        return [+ladder.dataset.seq, rows.map((row) => [...row.cells].map((cell) => cell.textContent))];
    """)


def book(venue):
    """The same by request."""
    told = venue.get(f"/api/v1/instruments/{NAME}/book?depth={LEVELS}").json()
    levels = [*reversed(told["asks"]), *told["bids"]]
    return [[price, quantity, str(orders)] for price, quantity, orders in levels]


def connection(window):
    """What the page says of its connection."""
    return window.find_element(By.CSS_SELECTOR, ".connection").get_attribute("class").split()[-1]


def test_the_book_on_the_page_is_the_venues(venue):
    """After a burst of orders the ladder is, level by level, what a request shows."""
    with browser() as window:
        window.get(venue.url)
        wait_for(lambda: len(ladder(window)[1]) > 0, "a book on the page")
        seq = venue.trade(30, 150)
        wait_for(lambda: ladder(window)[0] >= seq - 1 and ladder(window)[1] == book(venue), "the same book")
        assert window.find_elements(By.CSS_SELECTOR, ".tape tbody tr")
        assert window.find_elements(By.CSS_SELECTOR, ".candles canvas")
        assert window.find_elements(By.CSS_SELECTOR, ".depth canvas")


def test_the_page_says_when_the_venue_is_gone_and_shows_the_truth_again(tmp_path):
    """A killed engine is told on the page; started again, the page goes on without being loaded anew."""
    with WebVenue(tmp_path, "--per-minute", "100000") as venue, browser() as window:
        venue.trade(10)
        window.get(venue.url)
        wait_for(lambda: connection(window) == "live" and ladder(window)[1], "a living page")
        venue.engine.kill()
        wait_for(lambda: connection(window) == "stale", "the page to notice")
        venue.engine.start()
        wait_for(lambda: connection(window) == "live", "the page to go on")
        venue.trade(10, 120)
        wait_for(lambda: ladder(window)[1] == book(venue), "the same book")


def test_a_candle_length_is_chosen_by_keyboard(venue):
    """Every control is reached by tab and pressed by enter."""
    with browser() as window:
        window.get(venue.url)
        wait_for(lambda: window.find_elements(By.CSS_SELECTOR, ".chart nav button"), "the page")
        window.execute_script("document.querySelector('.chart nav button').focus()")
        window.switch_to.active_element.send_keys("\n")
        pressed = window.find_element(By.CSS_SELECTOR, ".chart nav button[aria-pressed=true]")
        assert pressed.text == "1s"


def test_the_chart_goes_on_from_candle_to_candle(venue):
    """With candles of a second, trades in several of them and in each more than once: no error, and all are told."""

    def candles():
        return venue.get(f"/api/v1/instruments/{NAME}/candles?interval=1s").json()

    with browser() as window:
        window.get(f"{venue.url}/#%E0%A4%A")  # an address that is wrong is none
        wait_for(lambda: len(ladder(window)[1]) > 0, "a book on the page")
        window.find_element(By.CSS_SELECTOR, ".chart nav button").click()
        wanted = len(candles()) + 3
        wait_for(lambda: venue.trade(2, 170) and len(candles()) >= wanted, "candles")
        seq = venue.trade(2, 180)
        wait_for(lambda: ladder(window)[0] >= seq - 1, "the page to follow")


def luminance(colour):
    """Relative luminance (WCAG 2.2) of "rgb(r, g, b)"."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * channel for weight, channel in zip(RELATIVE_LUMINANCE, linear, strict=True))


SCREENS = [
    (f"{'dark' if dark else 'light'}-{'phone' if size == PHONE else 'desktop'}", size, dark)
    for size, dark in itertools.product((DESKTOP, PHONE), (False, True))
]


@pytest.mark.parametrize(("name", "size", "dark"), SCREENS, ids=[name for name, *_ in SCREENS])
def test_the_page_fits_and_can_be_read(venue, tmp_path, name, size, dark):
    """Nothing is cut off sideways and text has the contrast of WCAG AA; KK99_SCREENSHOTS names a folder to keep it."""
    with browser(size, dark=dark) as window:
        window.get(venue.url)
        wait_for(lambda: len(ladder(window)[1]) > 0 and connection(window) == "live", "a book on the page")
        assert window.execute_script("return document.documentElement.scrollWidth") <= size[0]
        background = window.execute_script("return getComputedStyle(document.querySelector('.ladder')).backgroundColor")
        for selector in (".ladder tr.bid .price", ".ladder tr.ask .price", ".ladder thead th", ".chart h3"):
            colour = window.execute_script(f"return getComputedStyle(document.querySelector('{selector}')).color")
            light, shade = sorted((luminance(colour), luminance(background)), reverse=True)
            assert (light + 0.05) / (shade + 0.05) >= CONTRAST_AA, selector
        folder = os.environ.get("KK99_SCREENSHOTS", str(tmp_path))
        assert window.save_screenshot(f"{folder}/{name}.png")


def test_the_bundle_is_what_its_sources_make():
    """Bundling again with the packages of the lock file gives the same bytes."""
    sources = ROOT / "gateways/web/page"
    if not (sources / "node_modules").exists():
        pytest.skip("the packages of the page are not there: npm ci in gateways/web/page brings them")
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    subprocess.run(["node", "build.mjs"], cwd=sources, check=True, timeout=DEADLINE_S)
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before
