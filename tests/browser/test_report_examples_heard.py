"""Sounds and timelines of a report in a browser: they play, seek, zoom and follow."""

import re

import numpy as np
import pytest
import torch

from s3prl_sb.report import alignment, before_after, blocks, page, waveforms
from s3prl_sb.report.lanes import Lane
from s3prl_sb.report.timelines import Track
from s3prl_sb.report.worst import Example

BAD = '</script><img src=x onerror="window.hacked=1">'
PHONE = {"width": 360, "height": 740}


def track(name, seconds=4.0, hertz=300.0, rows=()):
    times = torch.arange(round(16000 * seconds)) / 16000
    samples = 0.2 * torch.sin(2 * np.pi * hertz * times)
    picture, sound = (
        make(samples, name) for make in (waveforms.spectrogram, waveforms.sound)
    )
    return Track(name, 0.0, seconds, rows, "A tone.", picture, sound)


@pytest.fixture(scope="module")
def html():
    turns = [("", 0.5, 1.5), ("", 2.5, 3.0)]
    rows = [
        Lane(BAD, turns, [("", 1.0, 2.0)], "speaker"),
        Lane("errors", [], [("missed", 0.5, 1.0)], "error"),
        Lane(
            "words", [(f"word{n}", n / 10, n / 10 + 0.1) for n in range(40)], [], "word"
        ),
    ]
    example = Example(
        BAD,
        ["WER 50.00 %"],
        [alignment.Legend(), alignment.Aligned(f"the cat {BAD}", f"a cat sat {BAD}")],
    )
    versions = before_after.SideBySide([track("mixture"), track("clean", hertz=500.0)])
    inside = [example, track("talk", rows=rows), blocks.Group("More", [versions])]
    return page.render([page.part(blocks.Section("Examples", "examples", inside))])


def audio(opened, number=0):
    return opened.locator("audio").nth(number)


def playing(opened):
    return opened.evaluate(
        "[...document.querySelectorAll('audio')].map((a) => !a.paused)"
    )


def seconds(opened, number=0):
    return audio(opened, number).evaluate("(a) => a.currentTime")


def plays_past(opened, number, time):
    opened.wait_for_function(
        "([n, t]) => document.querySelectorAll('audio')[n].currentTime > t",
        arg=[number, time],
    )


def test_plays_and_the_cursor_follows(open_page, html):
    opened = open_page(html)
    length = audio(opened).evaluate(
        "(a) => new Promise((done) => a.duration ? done(a.duration) :"
        " a.addEventListener('loadedmetadata', () => done(a.duration)))"
    )
    assert abs(length - 4.0) < 0.1
    assert opened.locator(".cursor").first.is_hidden()
    audio(opened).evaluate("(a) => a.play()")
    plays_past(opened, 0, 0.3)
    place = opened.locator(".cursor").first.evaluate("(c) => parseFloat(c.style.left)")
    assert 5 < place <= 100 * seconds(opened) / 4.0 + 1
    assert opened.evaluate("window.hacked") is None


def test_one_player_at_a_time_and_versions_continue(open_page, html):
    opened = open_page(html)
    opened.click("summary:has-text('More')")
    audio(opened, 0).evaluate("(a) => a.play()")
    plays_past(opened, 0, 0.1)
    audio(opened, 1).evaluate("(a) => a.play()")
    plays_past(opened, 1, 0.5)
    assert playing(opened) == [False, True, False]
    audio(opened, 1).evaluate("(a) => a.pause()")
    here, there = seconds(opened, 1), "(a) => a.play().then(() => a.currentTime)"
    assert here > 0.5
    assert audio(opened, 2).evaluate(there) == pytest.approx(here, abs=0.2)
    assert playing(opened) == [False, False, True]
    opened.click("summary:has-text('More')")
    opened.wait_for_function("document.querySelectorAll('audio')[2].paused")


def test_seeks_by_clicks_and_keys(open_page, html):
    opened = open_page(html)
    view = opened.locator(".track-view").first
    box = view.bounding_box()
    assert opened.locator(".time").first.evaluate("(t) => t.offsetWidth") > box["width"]
    view.evaluate("(v) => { v.scrollLeft = 0 }")
    opened.mouse.click(box["x"] + box["width"] / 2, box["y"] + 60)
    plays_past(opened, 0, 0.6)
    view.focus()
    opened.keyboard.press("Space")
    opened.wait_for_function("document.querySelector('audio').paused")
    opened.keyboard.press("Home")
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    assert seconds(opened) == pytest.approx(2.0, abs=0.05)
    opened.keyboard.press("ArrowLeft")
    assert seconds(opened) == pytest.approx(1.0, abs=0.05)
    opened.keyboard.press("End")
    assert seconds(opened) == pytest.approx(4.0, abs=0.1)
    assert view.evaluate("(v) => v.scrollLeft") > 0  # it follows


def test_zooms_with_the_keyboard_alone(open_page, html):
    opened = open_page(html)
    width = "document.querySelector('.time').offsetWidth"
    before = opened.evaluate(width)
    button = opened.get_by_role("button", name="zoom in").first
    button.focus()
    opened.keyboard.press("Enter")
    assert opened.evaluate(width) == pytest.approx(1.5 * before, rel=0.01)
    for _ in range(9):
        opened.get_by_role("button", name="zoom out").first.press("Enter")
    assert opened.evaluate(width) <= before
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_is_read_on_a_phone_and_without_scripts(open_page, html):
    opened = open_page(html, viewport=PHONE)
    plain = open_page(html, viewport=PHONE, scripts=False)
    for theme in ("light", "dark"):
        for page_ in (opened, plain):
            page_.emulate_media(color_scheme=theme)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        text = plain.locator("main").inner_text()
        assert "word39" in text and "<img src=x" in text
        assert plain.locator(".zoom").first.is_hidden()
        assert plain.locator(".bars i.true").first.bounding_box()["width"] > 40


def test_pictures_that_were_never_in_view_are_on_paper(open_page):
    more = blocks.Group("More", [blocks.Prose("x " * 90_000), track("last")])
    made = page.render([page.part(blocks.Section("A", "a", [more]))])
    opened = open_page(made)
    opened.evaluate("document.querySelector('main details').open = true")
    opened.evaluate("window.print = () => { window.printed = true }")
    picture = opened.locator("main img")
    assert picture.evaluate("image => image.loading") == "lazy"
    opened.click("#print")
    opened.wait_for_function("window.printed")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    assert picture.evaluate("image => image.loading") == "eager"


def test_errors_are_said_and_their_colours_can_be_read(open_page, html):
    """In words; with a contrast of at least 4.5 to what is behind, in both themes."""
    script = """() => {
      const back = (e) => getComputedStyle(e).backgroundColor;
      const behind = (e) => (e && back(e) === 'rgba(0, 0, 0, 0)'
        ? behind(e.parentElement) : back(e || document.body));
      const what = '.pair ins, .pair del, .lane b, .title span';
      return [...document.querySelectorAll(what)]
        .map((e) => [getComputedStyle(e).color, behind(e)]);
    }"""
    opened = open_page(html)
    tree = opened.locator("main").aria_snapshot()
    assert "3 errors in" in tree or "2 errors in" in tree
    assert re.search(r"img \"Spectrogram of talk: 4.0 s, 0 to 8 kHz\"", tree)
    assert "timeline of talk" in tree
    for theme in ("light", "dark"):
        opened.emulate_media(color_scheme=theme)
        pairs = {tuple(pair) for pair in opened.evaluate(script)}
        assert len(pairs) >= 4
        assert min(contrast(*pair) for pair in pairs) >= 4.5, pairs


def contrast(*colours):
    """Contrast of two colours, as WCAG defines it."""
    levels = []
    for colour in colours:
        shares = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                  for c in shares]  # fmt: skip
        levels.append(np.dot(linear, (0.2126, 0.7152, 0.0722)) + 0.05)
    return max(levels) / min(levels)
