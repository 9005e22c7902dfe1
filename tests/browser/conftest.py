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


@pytest.fixture(scope="package")
def tabs(browser):
    """Tabs by whether they run scripts, which all tests share: a new one takes as long
    as four pages."""
    contexts = {}
    yield lambda scripts: _tab(contexts, browser, scripts)
    for context in contexts.values():
        context.close()


def _tab(contexts, browser, scripts):
    if scripts not in contexts:
        context = browser.new_context(java_script_enabled=scripts)
        context.set_default_timeout(30_000)
        contexts[scripts] = context
        page = context.new_page()
        page.faults = []
        note = page.faults.append
        page.on("console", lambda message: note(f"console: {message.text}"))
        page.on("pageerror", lambda error: note(f"error: {error}"))
        page.on("dialog", lambda dialog: (note("dialog"), dialog.dismiss()))
        page.on("request", lambda request: _check(request.url, note))
    return contexts[scripts].pages[0]


@pytest.fixture
def open_page(tabs, tmp_path):
    """A function that opens a page, given as HTML or as a path, as if for the first
    time, in the tab of all tests or in the one without scripts.

    ``page.faults`` collects the messages of the console, errors, and whatever it asked
    the network for; the test fails at its end if there are any.
    """
    opened = []

    def open_page(html, viewport=DESKTOP, color_scheme="light", scripts=True):
        page = tabs(scripts)
        if page in opened:
            _forget(page)
        opened.append(page)
        page.set_viewport_size(viewport)
        page.emulate_media(media="null", color_scheme=color_scheme)
        address = html
        if not str(html).startswith("http"):
            path = html
            if not os.path.exists(str(html)[:1000]):
                path = tmp_path / f"page-{len(opened)}.html"
                path.write_text(html, encoding="utf-8")
            address = f"file://{path}"
        page.goto(address)
        return page

    yield open_page
    faults = [fault for page in dict.fromkeys(opened) for fault in page.faults]
    for page in dict.fromkeys(opened):
        _forget(page)
        page.faults.clear()
    assert not faults


def _forget(page):
    """Leaves nothing of a page: the next one is opened for the first time."""
    page.evaluate("localStorage.clear(); sessionStorage.clear()")
    if page.url.startswith("http"):  # it asks for news of its server
        page.goto("about:blank")  # of other pages: a new process, thrice the time


def _check(url, note):
    if not url.startswith(("file:", "data:", "blob:", "about:", "http://127.0.0.1:")):
        note(f"request: {url[:100]}")
