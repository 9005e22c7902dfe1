"""Pictures of audio: what is drawn, where, and what is refused."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.cli import main
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.dataio.tokenizers import CharacterTokenizer
from s3prl_sb.errors import ManifestError
from s3prl_sb.inference.diarizer import Diarizer
from s3prl_sb.inference.frame_labeller import FrameLabeller
from s3prl_sb.inference.pretrained import NoProbabilities, Probabilities
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.inference.verifier import SpeakerVerifier
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.networks.attention_maps import AttentionError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.plotting import pages, panels
from s3prl_sb.plotting.picture import Picture, PictureError, read_segments

pytest.importorskip("matplotlib")

TINY = {"hidden_size": 16, "ffn_size": 16, "num_layers": 2, "num_heads": 2}
TINY |= {"position_kernel": 8, "position_groups": 2}
TINY["conv_layers"] = [[8, 10, 5], [8, 8, 64]]
RATE = 16000


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    """Three seconds; noise in the last one."""
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    samples = 1e-3 * np.random.default_rng(0).standard_normal(3 * RATE)
    samples[2 * RATE :] *= 100
    soundfile.write(path, samples, RATE)
    return path


@pytest.fixture
def drawn(monkeypatch):
    """Arguments of the panels that were drawn: {name: [arguments]}."""
    calls = {}

    def record(name):
        draw = getattr(panels, name)

        def recorded(axes, *values):
            calls.setdefault(name, []).append(values)
            draw(axes, *values)

        monkeypatch.setattr(panels, name, recorded)

    for name in ("waveform", "states", "square", "over_time", "bars", "labels"):
        record(name)
    return calls


class Model:
    """A trained model of three classes, over time or of the utterance."""

    def __init__(self, seconds):
        self.seconds, self.asked = seconds, []
        self.mods = {"upstream": load("fbank")}

    def probabilities_file(self, path, start, stop):
        self.asked.append((start, stop))
        count = round((stop - start) / self.seconds) if self.seconds else 1
        values = start + torch.arange(count)[:, None] * (self.seconds or 0)
        values = torch.cat([values / 10, 1 - values / 10, 0 * values], 1)
        return Probabilities(values, ["a", "b", "never"], self.seconds)


def test_states_of_an_excerpt_know_their_surroundings(wav, drawn, tmp_path):
    """An excerpt has the states of the file with a second of context, cut to it."""
    upstream = load("fbank_no_cmvn")
    sig = torch.from_numpy(soundfile.read(wav, dtype="float32")[0])
    whole = upstream(sig[None])[0][0][0]
    picture = Picture(wav, upstream, show=["states"])
    picture.save(tmp_path / "a.png", 1.5, 2.5, "title")
    ((state, start, stop, name),) = drawn["states"]
    assert (start, stop, name) == (1.5, 2.5, "hidden state 0")
    assert abs(len(state) - 100) <= 1
    expected = whole[150 : 150 + len(state)]
    near = [expected, whole[149 : 149 + len(state)], whole[151 : 151 + len(state)]]
    assert min(float((state - each).abs().max()) for each in near) < 1e-3
    ((sound, rate, at),) = drawn["waveform"]
    torch.testing.assert_close(sound, sig[24000:40000])
    assert (rate, at) == (RATE, 1.5)


def test_similarity_and_attention(wav, drawn, tmp_path):
    """Draws the chosen layers and heads; the attention of layer n makes state n."""
    upstream = Hubert(config=TINY)
    picture = Picture(
        wav, upstream, show=["similarity", "attention"], layers=[0, 2], heads=[1, 0]
    )
    picture.save(tmp_path / "a.png", 0, 1)
    names = [values[3] for values in drawn["square"]]
    assert names == [
        *("hidden state 0: similarity", "hidden state 2: similarity"),
        *("attention of layer 2, head 1", "attention of layer 2, head 0"),
    ]
    assert {values[0].shape for values in drawn["square"]} == {torch.Size([50, 50])}
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    first = Picture(wav, upstream, show=["attention"], layers=[0])
    with pytest.raises(AttentionError, match="1 to 2; layer n makes hidden state n"):
        first.save(tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_prediction_over_time(wav, drawn, tmp_path):
    model = Model(0.02)
    Picture(wav, model=model).save(tmp_path / "a.png", 1.5, 2.0)
    assert model.asked == [(0.5, 3.0)]
    ((values, names, start, stop),) = drawn["over_time"]
    assert (names, start, stop) == (["a", "b"], 1.5, 2.0)
    assert len(values) == 25
    assert float(values[0, 0]) == pytest.approx(0.15)


def test_prediction_of_an_utterance_is_of_the_excerpt_alone(wav, drawn, tmp_path):
    model = Model(None)
    Picture(wav, model=model).save(tmp_path / "a.png", 1.5, 2.0)
    assert model.asked[-1] == (1.5, 2.0)
    ((values, names),) = drawn["bars"]
    assert names == ["a", "b", "never"]
    assert values.tolist() == pytest.approx([0.15, 0.85, 0])


def test_classes_worth_drawing():
    values = torch.full((4, 100), 0.01)
    values[2, 5], values[0, 70] = 0.9, 0.06
    assert panels.rows_of(values) == [5, 70]
    assert panels.rows_of(torch.full((4, 100), 0.01)) == [0]
    assert len(panels.rows_of(torch.full((4, 100), 0.5))) == panels.ROWS


def test_spectrogram_is_loud_where_the_sound_is(wav):
    sig = torch.from_numpy(soundfile.read(wav, dtype="float32")[0])
    levels = panels.log_mel(sig, RATE).mean(0)
    assert levels[205:].mean() - levels[:195].mean() == pytest.approx(40, abs=1)


def test_labels_of_the_file(wav, drawn, tmp_path):
    (tmp_path / "a.txt").write_text("0\t1\tone\n0.5\t2.5\ttwo\n2.9\t3\tlast\n")
    segments = read_segments(tmp_path / "a.txt", wav)
    Picture(wav, segments=segments).save(tmp_path / "a.png", 0.2, 2)
    ((seen, start, stop),) = drawn["labels"]
    assert seen == [("one", 0.0, 1.0), ("two", 0.5, 2.5)]
    line = "SPEAKER {} 1 0 1 <NA> <NA> x <NA> <NA>\n"
    both = "".join(line.format(name) for name in ("a", "b"))
    (tmp_path / "both.rttm").write_text(both)
    assert read_segments(tmp_path / "both.rttm", wav) == [("x", 0.0, 1.0)]
    (tmp_path / "others.rttm").write_text(both.replace(" a ", " c "))
    with pytest.raises(PictureError, match="2 recordings, and 0 of them are called"):
        read_segments(tmp_path / "others.rttm", wav)


def test_html_is_whole_and_alone(wav, tmp_path, monkeypatch):
    """Sound and pictures are inside; pages cover the excerpt without gaps."""
    monkeypatch.setattr(pages, "PAGE", 1.0)
    monkeypatch.setattr(pages, "SHORTEST", 0.1)
    monkeypatch.setattr(pages, "BLOCK", 0.7)
    title = "<a> & b"
    Picture(wav).save(tmp_path / "a.html", 0.25, 2.75, title)
    text = (tmp_path / "a.html").read_text()
    assert "&lt;a&gt; &amp; b" in text and "<a>" not in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    places = re.findall(r'data-start="(.*?)" data-stop="(.*?)" data-end="(.*?)"', text)
    limits = [tuple(map(float, place)) for place in places]
    assert limits == [(0.25, 1.25, 1.25), (1.25, 2.25, 2.25), (2.25, 2.75, 3.25)]
    sound = base64.b64decode(re.search(r"audio/flac;base64,([^\"]+)", text)[1])
    samples, rate = soundfile.read(io.BytesIO(sound))
    expected = soundfile.read(wav)[0][4000:44000]
    assert rate == RATE
    np.testing.assert_allclose(samples, expected, atol=1e-4)
    pictures = re.findall(r"image/png;base64,([^\"]+)", text)
    assert len(pictures) == 3
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))))
    left, width = re.search(r'data-left="(.*?)" data-width="(.*?)"', text).groups()
    dark = np.flatnonzero(image[..., :3].max(-1).mean(0) < 180)  # frames of the axes
    edges = dark[0] / image.shape[1], float(left)
    assert edges[0] == pytest.approx(edges[1], abs=0.01) and float(width) > 0.7


def test_command(wav, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(wav)]) == 0
    assert (tmp_path / "a.png").exists() and capsys.readouterr().out == "a.png\n"
    refused = {
        ("--start", "4"): "lasts 3.00 s",
        ("--stop", "0"): "nothing from 0 to 0 s",
        ("--show", "states"): "name it, --upstream",
        ("--output", "a.pdf"): "neither .png nor .html",
        ("--upstream", "fbank", "--show", "attention"): "no self-attention",
        ("--upstream", "fbank", "--layers", "1"): "no hidden state 1",
        ("--labels", "none.rttm"): "none.rttm",
        ("--source", "a.ckpt"): "--source needs --upstream",
        ("--layers", "1"): "--layers needs --upstream NAME or --show",
        ("--upstream", "fbank", "--heads", "1"): "--heads needs --show attention",
        ("--tier", "words"): "--tier needs --labels",
        ("--output", str(wav / "a.png")): f"'{wav}' cannot be made or written",
    }
    for options, words in refused.items():
        assert main(["plot", str(wav), *options]) == 1
        assert words in capsys.readouterr().err
    assert main(["plot", str(tmp_path), "--start", "1"]) == 1
    assert "--start: of an audio file" in capsys.readouterr().err
    assert main(["plot", str(tmp_path), "--heads", "1", "--tier", "words"]) == 1
    assert "--heads, --tier: of an audio file" in capsys.readouterr().err


def test_a_full_disk_is_named(wav, tmp_path, monkeypatch, capsys):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("s3prl_sb.plotting.pages.encode", full)
    assert main(["plot", str(wav), "--output", str(tmp_path / "a.html")]) == 1
    words = "a.html' cannot be written: No space left on device. Choose another"
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists() and not list(tmp_path.glob(".*"))


def test_long_audio_is_no_png(wav, tmp_path, monkeypatch):
    monkeypatch.setattr("s3prl_sb.plotting.picture.LONGEST", 2.0)
    with pytest.raises(
        PictureError, match="up to 2 s: draw an excerpt (.*), or write HTML"
    ):
        Picture(wav).save(tmp_path / "a.png")
    with pytest.raises(ManifestError, match="no such audio file"):
        Picture(tmp_path / "b.wav")


class Head(torch.nn.Module):
    """Three classes, from the first features."""

    def forward(self, features, lens):
        return features[..., :3]


@pytest.mark.parametrize("kind", [Diarizer, Transcriber, FrameLabeller])
def test_models_with_frames_say_what_they_predict(kind, wav):
    """The probabilities of their own method, with the length of a frame."""
    upstream = load("fbank_no_cmvn")
    hparams = {"audio_pipes": [LoadAudio(RATE)], "threshold": None, "median": 1}
    hparams |= {"labels": ["a", "b", "c"], "frame_seconds": 0.02}
    tokens = CharacterTokenizer("ab", specials=["<pad>"], end=[])
    hparams |= {"utterance_labels": False, "tokenizer": tokens.spec()}
    modules = {"upstream": upstream, "featurizer": Featurizer(1), "head": Head()}
    model = kind(modules=modules, hparams=hparams, run_opts={"device": "cpu"})
    sig = model.load_file(wav, 0.5, 1.5)
    found = model.probabilities_file(wav, 0.5, 1.5)
    expected, names, seconds = {
        Diarizer: lambda: (
            model.diarize_batch(sig[None])[0],
            ["speaker1", "speaker2", "speaker3"],
            0.01,
        ),
        Transcriber: lambda: (
            model.log_probs(sig[None])[0][0].exp(),
            model.tokenizer.tokens,
            0.01,
        ),
        FrameLabeller: lambda: (
            model.label_batch(sig[None])[0],
            ["a", "b", "c"],
            0.02,
        ),
    }[kind]()
    torch.testing.assert_close(found.values, expected)
    assert found.names == names
    assert found.seconds == pytest.approx(seconds)


def test_other_models_are_refused(wav):
    with pytest.raises(NoProbabilities, match="A SpeakerVerifier predicts no"):
        SpeakerVerifier.__new__(SpeakerVerifier).probabilities_file(wav)
