"""Pages in a real browser: the Chromium of the system, without a network.

``$S3PRL_SB_CHROMIUM`` names another one. Without one, or without playwright, the tests
are skipped.
"""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(autouse=True)
def nothing_keeps_running():
    """In place of the fixture of all tests: the browser ends its own processes."""


@pytest.fixture(scope="package")
def browser():
    """A headless Chromium for all tests of this folder."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    found = os.environ.get("S3PRL_SB_CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), None
    )
    if found is None:
        pytest.skip(f"no Chromium: none of {', '.join(NAMES)} is in the PATH")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """A function that opens a page, given as HTML or as a path, in a new tab.

    ``page.faults`` collects the messages of the console, errors, and whatever it asked
    the network for; the test fails at its end if there are any.
    """
    contexts, faults = [], []

    def open_page(html, viewport=DESKTOP, **options):
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (faults.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: _check(request.url, faults))
        page.faults = faults
        address = html
        if not str(html).startswith("http"):
            path = html
            if not os.path.exists(str(html)[:1000]):
                path = tmp_path / f"page-{len(contexts)}.html"
                path.write_text(html, encoding="utf-8")
            address = f"file://{path}"
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def _check(url, faults):
    if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
        faults.append(f"request: {url[:100]}")
