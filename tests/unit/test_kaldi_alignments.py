"""Alignments of Kaldi as segments, and posteriors for its decoder."""

import gzip

import numpy as np
import pytest
import torch

from s3prl_sb.dataio import kaldi_alignments
from s3prl_sb.errors import ManifestError
from s3prl_sb.inference import posteriors
from s3prl_sb.storage import arks

kaldiio = pytest.importorskip("kaldiio")
ALIGNED = {"u1": [7, 7, 2, 2, 2, 7], "u2": [0]}
SEGMENTS = {
    "u1": [("7", 0.0, 0.02), ("2", 0.02, 0.05), ("7", 0.05, 0.06)],
    "u2": [("0", 0.0, 0.01)],
}


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_form_is_read(tmp_path, text, zipped):
    path = tmp_path / "ali.1.gz"
    vectors = {name: np.array(v, np.int32) for name, v in ALIGNED.items()}
    kaldiio.save_ark(str(path), vectors, text=text)
    if text:  # kaldiio writes brackets around vectors, Kaldi does not
        path.write_text(path.read_text().replace("[", "").replace("]", ""))
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert kaldi_alignments.read(path) == SEGMENTS
    assert kaldi_alignments.read(tmp_path) == SEGMENTS


def test_symbols_and_other_frames(tmp_path):
    (tmp_path / "phones.txt").write_text("sil 7\nah 2\nt 0\n")
    (tmp_path / "pdf.txt").write_text("u2 0 0\n")
    symbols = kaldi_alignments.read_symbols(tmp_path / "phones.txt")
    read = kaldi_alignments.read(tmp_path / "pdf.txt", 0.03, symbols)
    assert read == {"u2": [("t", 0.0, 0.06)]}
    counts = kaldi_alignments.count_frames(SEGMENTS, ["0", "1", "2", "7"], 0.01)
    assert counts == {"0": 1, "1": 0, "2": 3, "7": 3}
    with pytest.raises(ManifestError, match="a.txt: 'u1' has '7' at 0 s.*the 3 labels"):
        kaldi_alignments.count_frames(SEGMENTS, ["0", "1", "2"], 0.01, "a.txt")


@pytest.mark.parametrize(
    "text, what",
    [
        ("u1 1 2\nu1 1\n", "pdf.txt:2: 'u1' again"),
        ("u1 1 a\n", "pdf.txt:1: 'u1': invalid literal"),
        ("\n", "aligns no utterance"),
        ("u1 1\nu2\n", "pdf.txt:2: 'u2' has no frame"),
        ("u1 99999999999999999999\n", "pdf.txt:1: 'u1': "),
    ],
)
def test_faults_are_named(tmp_path, text, what):
    (tmp_path / "pdf.txt").write_text(text)
    with pytest.raises(ManifestError, match=what):
        kaldi_alignments.read(tmp_path / "pdf.txt")


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff", b"u1 \0B\4\3"]
)
def test_damaged_arks_are_named(tmp_path, content):
    (tmp_path / "ali.1.gz").write_bytes(content)
    with pytest.raises(ManifestError, match="ali.1.gz"):
        kaldi_alignments.read(tmp_path)


@pytest.mark.parametrize(
    "line", ["b 1", "b", "b x", "b -1", "b c 2", "b " + "9" * 5000]
)
def test_a_wrong_symbol_is_named(tmp_path, line):
    (tmp_path / "phones.txt").write_text(f"a 1\n{line}\n")
    with pytest.raises(ManifestError, match="phones.txt:2: 'b"):
        kaldi_alignments.read_symbols(tmp_path / "phones.txt")


def test_features_are_no_alignment(tmp_path):
    arks.write(tmp_path / "feats.ark", [("u1", np.ones((3, 2), np.float32))])
    with pytest.raises(ManifestError, match="holds features"):
        kaldi_alignments.read(tmp_path / "feats.ark")


@pytest.mark.parametrize("text", ["a\n", "a 1\na 2\n", "a -1\n", "a 0\n"])
def test_bad_priors_are_refused(tmp_path, text):
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(ManifestError, match="c.txt"):
        posteriors.read_priors(tmp_path / "c.txt")


class Labeller(posteriors.FrameLabeller):
    """Three labels with fixed probabilities, a frame every 10 ms."""

    def __init__(self, threshold=None):
        torch.nn.Module.__init__(self)
        upstream = posteriors.Upstream()
        upstream.stride = 160
        self.mods = torch.nn.Module()
        self.mods.upstream = upstream
        self.hparams = type("Settings", (), {})()
        self.hparams.labels, self.hparams.frame_seconds = ["a", "b", "c"], 0.01
        self.hparams.threshold = threshold

    def label_batch(self, wavs, wav_lens=None):
        return torch.tensor([0.7, 0.3, 0.0]).expand(len(wavs), wavs.shape[1] // 160, 3)


def test_posteriors_minus_priors():
    wavs = torch.zeros(2, 1600)
    (logs,), lens = posteriors.Posteriors(Labeller())(wavs, torch.tensor([1.0, 0.5]))
    assert logs.shape == (2, 10, 3) and lens.tolist() == [1.0, 0.5]
    assert torch.allclose(logs[0, 0, :2], torch.tensor([0.7, 0.3]).log())
    assert logs.isfinite().all() and logs[0, 0, 2] < -80
    priors = {"c": 0, "b": 10, "unseen": 0, "a": 30}
    scaled = posteriors.Posteriors(Labeller(), priors)
    (logs,), _ = scaled(wavs)
    assert scaled.output_size == 4 and scaled.frames(1600) == 10
    wanted = torch.tensor([0.3 / 0.25, 0.7 / 0.75]).log()
    assert torch.allclose(logs[0, 0, [1, 3]], wanted)
    assert (logs[..., [0, 2]] < -80).all()


def test_posteriors_that_make_no_sense_are_refused():
    with pytest.raises(posteriors.PosteriorsError, match="lack labels.*: b, c"):
        posteriors.Posteriors(Labeller(), {"a": 1})
    with pytest.raises(posteriors.PosteriorsError, match="one label per frame"):
        posteriors.Posteriors(Labeller(threshold=0.5))
