"""Charts of runs in a browser: drawn, zoomed by a choice, with hostile names.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import math

import pytest
from conftest import DESKTOP, PHONE

from s3prl_sb.report import (
    charts,
    confusions,
    curves,
    layer_weights,
    matrices,
    page,
    searches,
)
from s3prl_sb.report.blocks import Group, Options
from s3prl_sb.report.gathered import Run

EVIL = '</script><script>alert(1)</script>"];alert(1);["'
LABELS = [EVIL, "__proto__", "{{7*7}}", "palette:accent", "x" * 300]
LABELS += [f"label {n}" for n in range(15)]


def of(run, *makers):
    """A page with the charts of a run, with every group open."""
    found = [maker.section(run, Options()) for maker in makers]
    sections = [section for section in found if section is not None]
    opened = [
        section._replace(
            blocks=[
                block._replace(open=True) if isinstance(block, Group) else block
                for block in section.blocks
            ]
        )
        for section in sections
    ]
    return page.render([page.part(section) for section in opened])


@pytest.fixture
def run(tmp_path):
    """A run with a log, a search, layer weights and confused, hostile labels."""
    results = {
        "task": "SUPERB/KS",
        "upstream": EVIL,
        "chosen_by": {"metric": "accuracy", "highest": True},
        "metrics": {"accuracy": 0.75},
        "valid": {"accuracy": 0.75},
        "best_step": 20,
        "layers": [0, 1, 2],
        "layer_weights": [0.2, 0.5, 0.3],
        "folder": str(tmp_path),
    }
    rows = ["id,label,prediction,score"]
    for i in range(200):
        pair = (LABELS[i % len(LABELS)], LABELS[(i * 7 % 13 or i) % len(LABELS)])
        quoted = ['"{}"'.format(label.replace('"', '""')) for label in pair]
        rows.append(f"u{i},{quoted[0]},{quoted[1]},0.5")
    (tmp_path / "predictions.csv").write_text("\n".join(rows) + "\n")
    lines = [
        f"epoch: {n}, steps: {n * 10}, lr: {0.1 / n:.3g} - train loss: {2 / n:.4g} - "
        f"valid loss: {2.5 / n:.4g}, valid accuracy: {100 * (1 - math.exp(-n)):.2f} %"
        for n in range(1, 30)
    ]
    (tmp_path / "train_log.txt").write_text("\n".join(lines) + "\n")
    rates = {
        name: {
            "accuracy": value,
            "loss": 1.0,
            "validations": [[5, 1, value], [9, 1, 0.5]],
        }
        for name, value in (("0.1", 0.5), ("0.01", 0.75))
    }
    search = {"metric": "accuracy", "highest": True, "rates": rates, "best": 0.01}
    (tmp_path / "lr_search.json").write_text(json.dumps(search))
    return Run(results)


def drawn(opened):
    """Waits until every chart is drawn; returns how many there are."""
    number = opened.locator("figure.chart").count()
    for i in range(number):
        opened.locator("figure.chart").nth(i).scroll_into_view_if_needed()
        opened.locator("figure.chart").nth(i).locator("svg.marks").wait_for()
    assert opened.locator(".fault").count() == 0
    return number


def test_charts_of_a_run(open_page, run):
    """All are drawn, in both themes and sizes; labels are zoomed to, and are texts."""
    opened = open_page(of(run, curves, searches, confusions, layer_weights))
    assert drawn(opened) == 7
    assert opened.locator("svg.marks text", has_text=EVIL[:9]).count() > 0  # as text
    width = "document.documentElement.scrollWidth"
    assert opened.evaluate(width) <= DESKTOP["width"]
    figure = opened.locator("figure.chart", has_text="Confusion matrix")
    has_tooltips_of_text(figure)
    is_zoomed_by_keyboard(opened, figure)
    figure.get_by_label("Zoom to").select_option(label="all labels")
    opened.set_viewport_size(PHONE)
    opened.emulate_media(color_scheme="dark")
    opened.wait_for_function(
        "(color) => document.querySelector('.role-axis-title text')"
        "?.getAttribute('fill') == color",
        arg=charts.PALETTE["dark"]["text"],
    )
    assert drawn(opened) == 7
    assert opened.locator("svg.marks text", has_text=EVIL[:9]).count() > 0
    assert opened.evaluate(width) <= PHONE["width"]


def is_zoomed_by_keyboard(opened, figure):
    labels = figure.locator("svg.marks .role-axis-label text")
    before = labels.count()
    choice = figure.get_by_label("Zoom to")
    assert choice.evaluate("e => !e.closest('[aria-hidden=true]')")
    choice.focus()
    opened.keyboard.press("l")  # the first that begins so
    opened.keyboard.press("Enter")
    opened.wait_for_function(
        "([n]) => [...document.querySelectorAll('figure.chart')].some(f =>"
        " f.querySelector('select')?.value != '-1' &&"
        " f.querySelectorAll('.role-axis-label text').length < n)",
        arg=[before],
    )
    assert labels.count() == 2 * matrices.ALIKE
    assert figure.locator(f'option:has-text("{LABELS[2]}")').count() == 1


def has_tooltips_of_text(figure):
    seen = figure.evaluate(
        """figure => [...figure.querySelectorAll('.mark-rect path')].map(cell => {
            cell.dispatchEvent(new PointerEvent('pointermove', {bubbles: true}));
            cell.dispatchEvent(new MouseEvent('mousemove', {bubbles: true}));
            const box = document.querySelector('#vg-tooltip-element');
            return [box.textContent, box.querySelectorAll('script, img').length];
        })"""
    )
    assert not any(number for _, number in seen)
    assert any(EVIL[:12] in text for text, _ in seen)
    assert any("__proto__" in text for text, _ in seen)
