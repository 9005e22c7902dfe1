"""Tests of the pictures and pages of predicted timelines, and of their command.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from s3prl_sb import inference
from s3prl_sb.cli import main
from s3prl_sb.commands import predict
from s3prl_sb.dataio.timeline import FORMATS, Item
from s3prl_sb.inference.diarizer import Diarizer
from s3prl_sb.inference.frame_labeller import FrameLabeller
from s3prl_sb.inference.pretrained import NoTimeline
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.plotting import panels, timeline_page, timeline_panels
from s3prl_sb.plotting.picture import Picture
from s3prl_sb.plotting.timeline_page import rows_of, write_timeline_page

pytest.importorskip("matplotlib")

RATE = 16000
HOSTILE = "</script><img src=x onerror=alert(1)>\u2028&amp;"
ITEMS = [
    Item("speaker", "speaker1", 0.2, 1.5, "", 0.9),
    Item("word", "HELLO", 0.3, 0.7, "speaker1", 0.8),
    Item("event", HOSTILE, 1.0, 2.5, "", 0.7),
    Item("speaker", "speaker2", 1.4, 2.9),
    Item("word", HOSTILE, 1.5, 2.0, "speaker2"),
]


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "a <b>.wav"
    samples = 0.01 * np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(path, samples, RATE)
    return path


class Elements(HTMLParser):
    """Counts the elements of a page, and collects their ids and scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.scripts, self.inside = [], set(), [], False
        self.sources = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.ids |= {values["id"]} if "id" in values else set()
        self.sources += [values["src"]] if "src" in values else []
        self.inside = tag == "script"

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts.append(data)


def test_labels_are_data_and_no_markup(wav, tmp_path):
    write_timeline_page(tmp_path / "a.html", wav, ITEMS, f"title {HOSTILE}")
    text = (tmp_path / "a.html").read_text("utf-8")
    page = Elements(text)
    assert page.tags.count("script") == 2 and page.tags.count("img") == 1
    data = json.loads(page.scripts[0])
    names = [row["name"] for row in data["rows"]]
    assert names == [
        *("speaker1", "speaker2", "words of speaker1", "words of speaker2"),
        HOSTILE,
    ]
    assert data["duration"] == 3.0
    assert data["rows"][2]["items"][0]["label"] == "HELLO"
    assert data["rows"][3]["items"][0]["label"] == HOSTILE
    assert "innerHTML" not in text and "insertAdjacent" not in text
    assert not re.search(r"https?://", text)
    assert all(source.startswith("data:") for source in page.sources)
    wanted = set(re.findall(r'getElementById\("(\w+)"\)', page.scripts[1]))
    wanted |= set(re.findall(r'"(\w+)"', re.search(r"= ?\n  \[(.*?)\]", text)[1]))
    assert len(wanted) == 11 and wanted <= page.ids


def test_sound_and_spectrogram_are_inside(wav, tmp_path):
    write_timeline_page(tmp_path / "a.html", wav, ITEMS)
    text = (tmp_path / "a.html").read_text("utf-8")
    sound = base64.b64decode(re.search(r"audio/flac;base64,([^\"]+)", text)[1])
    samples, rate = soundfile.read(io.BytesIO(sound))
    np.testing.assert_allclose(samples, soundfile.read(wav)[0], atol=1e-4)
    assert rate == RATE and "a &lt;b&gt;.wav" in text
    from PIL import Image

    strip = base64.b64decode(re.search(r"image/png;base64,([^\"]+)", text)[1])
    assert Image.open(io.BytesIO(strip)).size == (301, panels.MELS)
    assert "left:0.00000%;width:100.00000%" in text


def test_long_sound_lies_beside_the_page(wav, tmp_path, monkeypatch):
    monkeypatch.setattr(timeline_page, "EMBEDDED", 2.0)
    write_timeline_page(tmp_path / "a page #1.html", wav, ITEMS)
    page = Elements((tmp_path / "a page #1.html").read_text("utf-8"))
    assert page.sources[0] == "a%20page%20%231.timeline.flac"
    assert len(soundfile.read(tmp_path / "a page #1.timeline.flac")[0]) == 3 * RATE


def test_the_sound_beside_the_page_is_never_the_audio_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline_page, "EMBEDDED", 2.0)
    audio = tmp_path / "talk.flac"
    soundfile.write(audio, np.zeros((9 * RATE, 2)), 3 * RATE)
    before = audio.read_bytes()
    for name in ("talk.html", "other.html"):
        (tmp_path / "other.flac").write_bytes(b"someone's")
        write_timeline_page(tmp_path / name, audio, ITEMS)
        page = Elements((tmp_path / name).read_text("utf-8"))
        assert page.sources[0] == name.replace(".html", ".timeline.flac")
        assert len(soundfile.read(tmp_path / page.sources[0])[0]) == 3 * RATE
    assert audio.read_bytes() == before
    assert (tmp_path / "other.flac").read_bytes() == b"someone's"


def test_a_page_of_nothing(wav, tmp_path):
    write_timeline_page(tmp_path / "a.html", wav, [])
    page = Elements((tmp_path / "a.html").read_text("utf-8"))
    assert json.loads(page.scripts[0])["rows"] == []


def test_a_speaker_has_the_color_of_its_words():
    colors = {row["name"]: row["color"] for row in rows_of(ITEMS)}
    assert colors["speaker1"] == colors["words of speaker1"]
    assert colors["speaker1"] != colors["speaker2"]


def test_pictures_have_rows_under_the_spectrogram(wav, tmp_path, monkeypatch):
    drawn = []
    draw = timeline_panels.items

    def recorded(axes, items, rows, *rest):
        drawn.append((items, rows))
        draw(axes, items, rows, *rest)

    monkeypatch.setattr(timeline_panels, "items", recorded)
    Picture(wav, timeline=ITEMS).save(tmp_path / "a.png", 0.0, 1.45)
    assert [rows[0][0] for _, rows in drawn] == ["speaker", "word", "event"]
    assert [len(rows) for _, rows in drawn] == [2, 2, 1]
    assert drawn[0][0] == ITEMS[:4]
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


class Model:
    """Hears the same timeline in every file."""

    def records(self, paths, failed):
        for path in paths:
            yield {"wav": path, "recording": path.rsplit("/", 1)[-1].partition(".")[0]}

    def timeline(self, record):
        return ITEMS[:2]

    def line(self, record):
        return "a line"


@pytest.fixture
def loaded(monkeypatch):
    """Folders that models were loaded from."""
    folders = []
    monkeypatch.setattr(
        inference, "load", lambda folder, **_: folders.append(folder) or Model()
    )
    return folders


def test_the_formats_of_the_command_are_all():
    assert predict.FORMATS == tuple(FORMATS)


def test_the_command_prints_a_format(loaded, wav, capsys):
    assert main(["predict", "run", str(wav)]) == 0
    assert capsys.readouterr().out == "a line\n"
    assert main(["predict", "run", "x/a.wav", "x/b.wav", "--format", "rttm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["a", "b"]
    assert main(["predict", "run", "x/a.wav", "x/b.wav", "--format", "seglst"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_the_command_draws(loaded, wav, tmp_path, capsys):
    files = [str(tmp_path / "new" / name) for name in ("a.png", "a.html")]
    options = ["--plot", files[0], "--html", files[1]]
    assert main(["predict", "run", str(wav), *options]) == 0
    assert (tmp_path / "new/a.png").exists()
    assert "HELLO" in (tmp_path / "new/a.html").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--json", "--format", "rttm"], "leave out --format"),
        (["--plot", "a.jpg"], "--plot 'a.jpg' has to end with .png"),
        (["--html", "a.png"], "--html 'a.png' has to end with .html"),
        (["b.wav", "--plot", "a.png"], "draw one file: give one"),
        (["b.wav", "--format", "audacity"], "which file they are of"),
    ],
)
def test_the_command_refuses_before_it_loads(loaded, wav, capsys, options, words):
    assert main(["predict", "run", str(wav), *options]) == 1
    assert words in capsys.readouterr().err
    assert not loaded


def test_long_pictures_are_refused_before_the_model_is_loaded(
    loaded, wav, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("s3prl_sb.plotting.picture.LONGEST", 2.0)
    assert main(["predict", "run", str(wav), "--plot", str(tmp_path / "a.png")]) == 1
    assert "too long for a PNG" in capsys.readouterr().err
    assert not loaded


def test_models_with_times_have_timelines():
    record = {"segments": [["b", 1.0, 2.0], ["a", 0.0, 1.5]]}
    for kind, name in ((Diarizer, "speaker"), (FrameLabeller, "event")):
        items = kind.timeline(kind.__new__(kind), record)
        assert [item[:4] for item in items] == [
            (name, "a", 0.0, 1.5),
            (name, "b", 1.0, 2.0),
        ]
    for kind in (Transcriber, FrameLabeller):
        with pytest.raises(NoTimeline, match="predicts no timeline: leave out --for"):
            kind.timeline(kind.__new__(kind), {"text": "hi"})
