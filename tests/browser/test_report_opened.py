"""A report in a browser: sorted, opened, filtered, printed; by mouse, keys, on a phone.

``open_page`` fails a test for any message of the console, error or request.
"""

import contextlib
import json
import threading
import urllib.error
import urllib.request

import pytest
from conftest import PHONE
from report_runs import write_benchmark, write_run

from s3prl_sb.report import blocks, charts, contents, making, overview, serving
from s3prl_sb.report import page as page_file
from s3prl_sb.runs.suites import suite

HOSTILE = (
    "</script><script>window.ran=1</script>"
    '" onmouseover="window.ran=1" x="'
    "<img src=x onerror=window.ran=1>"
    "{{7*7}} a\u2028b\u202ec __proto__"
)


@contextlib.contextmanager
def no_charts():
    """Pages without charts have no Vega, and open in a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RUN_SECTIONS", "CELL_SECTIONS", "OVERVIEW_SECTIONS"):
            patch.setattr(contents, name, [])
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A benchmark of two upstreams and two seeds, and two runs; and its table."""
    folder = tmp_path_factory.mktemp("report")
    table = write_benchmark(folder / "bench")
    leave_charts(folder / "bench", "fbank/KS/1-0a1b2c3d")
    write_run(folder / "one", task="TIMIT/phones", lr=0.1)
    write_run(folder / "two", task="TIMIT/phones", lr=0.5, metrics={"accuracy": 0.9})
    return folder, table


@pytest.fixture(scope="module")
def charted(runs):
    """The page of these runs."""
    path = runs[0] / "charts.html"
    path.write_text(making.make([str(runs[0])], title="A report").html, "utf-8")
    return path


@pytest.fixture(scope="module")
def report(runs):
    """The page of these runs without charts, and the table."""
    path = runs[0] / "report.html"
    with no_charts():
        path.write_text(making.make([str(runs[0])], title="A report").html, "utf-8")
    return path, runs[1]


def leave_charts(bench, *kept):
    """Deletes what charts are made of, to save time, but of the runs to keep."""
    for name in ("train_log.txt", "predictions.csv"):
        for path in bench.rglob(name):
            if str(path.parent.relative_to(bench)) not in kept:
                path.unlink()


def first_column(page):
    cells = page.locator("#results tbody tr:not(.attached) > th")
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


def best_of(table, task="KS"):
    rows = sorted(
        table["rows"], key=lambda r: r["cells"][task]["metrics"]["accuracy"]["mean"]
    )
    return [row["upstream"] for row in rows]


def test_sorts_and_keeps_published_rows_in_their_place(open_page, report):
    path, table = report
    page = open_page(path)
    head = page.locator("#results thead th", has_text="KS Acc")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert first_column(page) == best_of(table)
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert first_column(page) == best_of(table)[::-1]
    rows = page.locator("#results tbody tr").evaluate_all(
        "rows => rows.map(row => row.className)"
    )
    assert rows == ["", "attached", "", "attached"]
    assert page.locator("#said").inner_text() == "Sorted by KS Acc ↑, falling"


def test_a_cell_opens_its_runs(open_page, report):
    page = open_page(report[0])
    entry = page.locator("details.setup#run-ks-fbank")
    assert not entry.evaluate("entry => entry.open")
    page.locator('#results a[href="#run-ks-fbank"]').click()
    assert entry.evaluate("entry => entry.open")
    assert entry.get_by_text("0.99 GB").first.is_visible()
    assert (
        page.evaluate("document.activeElement.closest('details').id") == "run-ks-fbank"
    )
    page.go_back()
    page.wait_for_function("scrollY < 100")
    assert page.evaluate("location.hash") == ""


def test_an_address_leads_to_runs(open_page, report):
    page = open_page(f"{report[0]}")
    page.goto(f"file://{report[0]}#run-sid-hubert-base")
    assert page.locator("#run-sid-hubert-base").evaluate("entry => entry.open")


def test_by_keyboard_alone(open_page, report):
    page = open_page(report[0])
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "Skip to the results"
    outline = skip.evaluate("link => getComputedStyle(link).outlineStyle")
    assert outline == "solid"  # the focus is visible
    page.keyboard.press("Enter")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.getAttribute('href')"))
        if seen[-1] == "#run-ks-fbank":
            break
    page.keyboard.press("Enter")
    entry = page.locator("details.setup#run-ks-fbank")
    assert entry.evaluate("entry => entry.open")
    page.keyboard.press("Space")  # the focus is on its line
    assert not entry.evaluate("entry => entry.open")


def test_filters(open_page, report):
    page = open_page(report[0])
    page.select_option("#filter-upstream", "fbank")
    visible = page.locator("details.setup:visible")
    assert {e.get_attribute("data-upstream") for e in visible.all()} == {"fbank"}
    assert first_column(page)[0] == "fbank"
    assert page.locator("#results tbody tr:visible").count() == 2  # with the published
    page.select_option("#filter-task", "SID")
    assert visible.count() == 1
    page.select_option("#filter-task", "TIMIT/phones")
    page.select_option("#filter-upstream", "hubert_base")
    assert page.get_by_text("No run fits both filters.").is_visible()


def test_two_are_picked_to_be_compared(open_page, tmp_path):
    for name in "abc":
        write_run(tmp_path / name, upstream=name)
    with no_charts():
        page = open_page(making.make([str(tmp_path)]).html)
    rows = page.locator("#differences tbody tr[data-pair]:visible")
    assert rows.count() == 3
    page.locator(".picks select").nth(0).select_option(label="b")
    assert rows.count() == 2
    page.locator(".picks select").nth(1).select_option(label="c")
    assert rows.count() == 1
    assert page.locator("#differences details:visible").count() == 1
    page.locator("#differences summary:visible").click()
    assert page.locator("#differences details[open] tbody tr").count() == 10


def test_colours_are_remembered(open_page, report):
    page = open_page(report[0], color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for _ in range(2):
        page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    other = open_page(report[0], color_scheme="dark")
    assert other.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_on_a_phone_and_names_for_those_who_listen(open_page, charted):
    page = open_page(charted, viewport=PHONE)
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    page.evaluate("s3prlReport.drawAll()")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    box = page.locator("#results .scroller").first
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    assert box.evaluate("box => getComputedStyle(box).overflowX") == "auto"
    assert page.locator("html").get_attribute("lang") == "en"
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, select, a, audio, [role=img], img')]
        .filter(e => !(e.textContent.trim() || e.ariaLabel || e.alt
          || e.labels?.length)).map(e => e.outerHTML)"""
    )
    assert unnamed == []


def test_prints(open_page, charted, tmp_path):
    """A standard page: on paper its tables, its charts over all runs, what is open."""
    page = open_page(charted, color_scheme="dark")
    page.evaluate("window.print = () => { window.printed = true }")
    page.locator("#run-ks-fbank > summary").click()
    page.keyboard.press("Control+p")
    page.wait_for_function("window.printed")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 703, "height": 1000})  # of A4, less its margins
    for hidden in ("nav", "#tools", "#run-sid-fbank", ".of-task[data-task=SID] h3"):
        assert not page.locator(hidden).first.is_visible(), hidden
    assert page.locator("#run-ks-fbank").get_by_text("0.99 GB").first.is_visible()
    assert page.locator("figure.chart:visible").count() > 4
    assert page.locator("figure.chart:visible:not(:has(svg.marks))").count() == 0
    black = page.locator("svg.marks .role-axis-title text").first.get_attribute("fill")
    assert black == charts.PALETTE["light"]["text"]
    wide = "box => box.scrollWidth > box.clientWidth + 1"
    assert not any(box.evaluate(wide) for box in page.locator(".scroller").all())
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    page.locator("#run-ks-fbank").evaluate("entry => { entry.open = false }")
    assert 1 < pages_of(page, tmp_path) <= 6
    page.emulate_media(media="null", color_scheme="dark")
    title = "document.querySelector('.role-axis-title text')"
    page.wait_for_function(
        f"(color) => {title}.getAttribute('fill') == color",
        arg=charts.PALETTE["dark"]["text"],
    )
    # From the menu of the browser, which does not wait for charts, they are tables.
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#costs .drawing:visible").count() > 0
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("#costs .drawing:visible").count() == 0
    assert page.locator("#costs details.data td:visible").count() > 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#costs details.data td:visible").count() == 0


def pages_of(page, folder):
    """Returns the number of pages on paper."""
    path = folder / "report.pdf"
    page.pdf(path=path, format="A4")
    return path.read_bytes().count(b"/Type /Page\n")


def test_the_table_of_a_suite_is_seen_as_a_whole(open_page):
    """On a desktop and on paper, with twelve numbers, spreads and intervals a row."""
    number = overview.Link("82.25", small=["± 3.50 @0.001", "[78.25, 86.00]"])
    header = ["upstream", *(f"{task} Acc ↑" for task in suite("superb").tasks)]
    row = [overview.Name("wav2vec2_base_960", "toy · mini"), *[number] * len(header)]
    header += ["ASR LM WER ↓"]
    grid = blocks.Grid(header, [row] * 3, "SUPERB", range(1, len(header)))
    made = page_file.render([page_file.part(blocks.Section("A", "a", [grid]))])
    page = open_page(made)
    box = page.locator(".scroller")
    fits = "box => box.scrollWidth <= box.clientWidth"
    assert len(header) == 12 and box.evaluate(fits)
    page.set_viewport_size({"width": 703, "height": 1000})
    assert not box.evaluate(fits)
    page.emulate_media(media="print")
    assert box.evaluate(fits)


def test_differences_are_seen_with_what_they_say(open_page):
    """The names of tasks leave room for the last columns on a desktop."""
    header = ["task", "first", "second", "metric", "of the first", "of the second"]
    header += ["difference", "what it says"]
    number = overview.Link("+13.33", small=["[-19.17, +47.08]"])
    names = ["hubert_small_random", "fbank_no_cmvn"]
    row = ["PR", *names, "accuracy", "22.50 %", "9.17 %", number]
    grid = blocks.Grid(header, [[*row, "hubert_small_random is better"]], "", (4, 5, 6))
    page = open_page(
        page_file.render([page_file.part(blocks.Section("A", "a", [grid]))])
    )
    box = page.locator(".scroller")
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_everything_opens_and_closes(open_page, report):
    page = open_page(report[0])
    closed = page.locator("main details:not([open]):not(.data)")
    assert closed.count() > 4
    page.click("#open-all")
    assert closed.count() == 0
    page.click("text=Close all")
    assert page.locator("main details[open]:not(.data)").count() == 0


def test_without_scripts(open_page, report):
    page = open_page(report[0], scripts=False)
    assert page.get_by_role("heading", name="A report").is_visible()
    assert page.locator('#results a[href="#run-ks-fbank"]').is_visible()
    page.locator("#run-ks-fbank > summary").click()
    assert page.locator("#run-ks-fbank").get_by_text("0.99 GB").first.is_visible()
    assert not page.locator("#tools").is_visible()


def test_hostile_names(open_page, tmp_path):
    for seed, lr in ((1, 0.1), (2, 0.5)):
        settings = {"upstream": HOSTILE, HOSTILE: HOSTILE}
        place = tmp_path / "runs" / str(seed)
        write_run(place, HOSTILE, HOSTILE, seed, lr=lr, settings=settings)
        rows = (place / "predictions.csv").read_text()
        (place / "predictions.csv").write_text(
            rows.replace("yes", HOSTILE.replace('"', '""'))
        )
    table = write_benchmark(tmp_path / "bench", upstreams=("mel", "x"))
    leave_charts(tmp_path / "bench")
    text = json.dumps(table).replace('"mel"', json.dumps(HOSTILE))
    (tmp_path / "bench" / "table.json").write_text(text)
    page = open_page(making.make([str(tmp_path)], title=HOSTILE).html)
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    page.evaluate("s3prlReport.drawAll()")
    page.locator("#results th", has_text="__proto__").hover()
    page.select_option("#filter-task", index=1)
    for head in page.locator("thead button:visible").all()[:10]:
        head.click()
    assert page.evaluate("window.ran") is None
    assert page.evaluate("({}).polluted") is None
    shown = page.locator("h1").inner_text()
    assert "</script><script>window.ran=1</script>" in shown and "{{7*7}}" in shown
    assert "\\u202e" in shown and "\u202e" not in page.content()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A served page that follows a folder: its address, and the folder."""
    pause, serving.PAUSE = serving.PAUSE, 0.5
    tmp_path = tmp_path_factory.mktemp("served")
    write_benchmark(tmp_path / "bench")
    follower = serving.Follower([str(tmp_path / "bench")])
    server = serving.make_server(follower, "127.0.0.1", 0)
    with no_charts():
        follower.look()
    ended = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True),
        threading.Thread(target=follower.follow, args=(ended,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    with no_charts():
        yield f"http://127.0.0.1:{server.server_address[1]}/", tmp_path / "bench"
    ended.set()
    server.shutdown()
    server.server_close()
    for thread in threads:
        thread.join(10)
    serving.PAUSE = pause


def test_follows_a_benchmark(open_page, served):
    address, bench = served
    page = open_page(address)
    page.get_by_text("7 of 8 runs done, 1 waiting").wait_for()
    page.locator('#results a[href="#run-sid-fbank"]').click()
    page.locator("#run-sid-fbank > summary").click()  # closed again
    page.locator("#run-ks-fbank > summary").click()
    page.select_option("#filter-upstream", "fbank")
    page.locator("#results thead button").first.click()
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    (bench / "hubert_base" / "SID" / "2-0a1b2c3d").mkdir(parents=True)
    log = bench / "hubert_base" / "SID" / "2-0a1b2c3d" / "log.txt"
    log.write_text("2026-01-01 00:00:00 Training: step 3 of 8 (38 %), 2 s left\n")
    page.get_by_text("running 38 %").wait_for()
    assert page.get_by_text("step 3 of 8").is_visible()
    write_run(log.parent, "SUPERB/SID", "hubert_base", 2)
    page.get_by_text("8 of 8 runs done").wait_for()
    page.get_by_text("8 runs from").wait_for()  # the page has been loaded again
    assert page.locator("#run-ks-fbank").evaluate("entry => entry.open")
    assert page.locator("#filter-upstream").input_value() == "fbank"
    assert page.locator("#results thead th").first.get_attribute("aria-sort")
    # The address still names the entry that was closed, and does not lead there.
    assert page.url.endswith("#run-sid-fbank") and page.evaluate("scrollY") == 0
    assert not page.locator("#run-sid-fbank").evaluate("entry => entry.open")


@pytest.mark.parametrize(
    "path, host, method, status",
    [
        ("", None, "GET", 200),
        ("?a=1", None, "HEAD", 200),
        ("status.json", "localhost", "GET", 200),
        ("", "evil.example", "GET", 421),
        ("status.json", "127.0.0.1.evil.example:80", "GET", 421),
        ("", "[::1", "GET", 421),
        ("table.json", None, "GET", 404),
        ("../bench/table.json", None, "GET", 404),
        ("%2e%2e/table.json", None, "GET", 404),
        ("", None, "POST", 501),
        ("", None, "DELETE", 501),
    ],
)
def test_answers_nothing_else(served, path, host, method, status):
    request = urllib.request.Request(served[0] + path, method=method)
    if host:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        found, body = error.code, b""
    assert found == status
    assert bool(body) == (status == 200 and method == "GET")
