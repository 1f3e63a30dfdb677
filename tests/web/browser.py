"""A real Chromium, driven through ChromeDriver, or the reason why there is none."""

import contextlib
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PHONE, DESKTOP = (390, 844), (1440, 1000)


@contextlib.contextmanager
def browser(size=DESKTOP, *, dark=False):
    """A window of a size in pixels, whose machine prefers dark or light colours."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("there is no chromium and chromedriver (Debian's packages chromium and chromium-driver)")
    options = Options()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(options=options, service=Service(driver))
    try:
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE
        })  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield window
        messages = [entry["message"] for entry in window.get_log("browser") if entry["level"] == "SEVERE"]
        assert not [text for text in messages if "WebSocket" not in text], messages
    finally:
        window.quit()
