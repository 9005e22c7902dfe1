"""Charts of a report in a browser: drawn, in both themes, and read without them."""

from markupsafe import Markup

from s3prl_sb.report import blocks, charts, page

ROWS = [{"step": x, "loss": 1 / (x + 1), "set": "</script>"} for x in range(20)]
SPEC = charts.plain(
    ROWS,
    height=200,
    mark={"type": "line", "color": charts.color("strong")},
    transform=[{"calculate": "datum.loss * 2", "as": "twice"}],
    encoding={
        "x": {"field": "step", "type": "quantitative"},
        "y": {"field": "twice", "type": "quantitative"},
        "detail": {"field": "set"},
    },
)
CHART = blocks.Chart(
    SPEC,
    "Loss </script>",
    "It falls from 2 to 0.1.",
    blocks.Grid(["step", "loss"], [[r["step"], r["loss"]] for r in ROWS]),
)


def of(*parts):
    section = blocks.Section("A section", "a-section", parts)
    return page.render([page.part(section)])


def test_draws_in_the_colours_of_the_theme(open_page):
    opened = open_page(of(CHART), color_scheme="dark")
    line = opened.locator(".drawing svg .mark-line path")
    assert line.get_attribute("stroke") == charts.PALETTE["dark"]["strong"]
    opened.emulate_media(color_scheme="light")  # of the system
    wait_for(opened, "light")
    for theme in ("light", "dark"):
        opened.click("#theme")
        wait_for(opened, theme)
    drawing = opened.get_by_role("img", name="It falls from 2 to 0.1.")
    assert drawing.is_visible()


def wait_for(opened, theme):
    opened.wait_for_function(
        "(c) => document.querySelector('.mark-line path')?.getAttribute('stroke') == c",
        arg=charts.PALETTE[theme]["strong"],
    )


def test_draws_when_it_is_opened(open_page):
    below = blocks.Prose("x " * 20_000)
    opened = open_page(of(below, blocks.Group("More", [CHART])))
    assert opened.locator(".drawing svg").count() == 0
    opened.click("summary:text('More')")
    opened.locator(".drawing svg").wait_for()


def test_says_what_cannot_be_drawn(open_page):
    wrong = blocks.Chart({"mark": "nothing"}, "Wrong", "Nothing.")
    opened = open_page(of(wrong))
    assert "could not be drawn" in opened.locator(".fault").inner_text()
    assert opened.faults  # the console has the error
    opened.faults.clear()


def test_without_scripts_the_data_can_be_read(open_page):
    opened = open_page(of(CHART), scripts=False)
    assert opened.get_by_text("It falls from 2 to 0.1.").is_visible()
    assert opened.get_by_role("cell", name="0.05", exact=True).is_visible()
    assert Markup("Loss </script>") in opened.locator("figcaption").inner_text()
