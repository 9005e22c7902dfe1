"""The verbs cka and abx on a folder of noise, and the distances of frames."""

import json
import math

import numpy
import pytest
import soundfile
import torch

from s3prl_sb import cli
from s3prl_sb.analysis import figures
from s3prl_sb.analysis.items import COLUMNS
from s3prl_sb.analysis.utterances import read_records
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.item_distances import LEAST, DistanceError, FrameDistances


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder of four files, an .item file, and a folder of features."""
    folder = tmp_path_factory.mktemp("noise")
    random = numpy.random.default_rng(0)
    rows = [COLUMNS]
    for number in range(4):
        samples = random.standard_normal(8000) / 9
        soundfile.write(folder / f"u{number}.wav", samples, 16000)
        for place, phone in enumerate(["AE", "AE", "IH", "IH"]):
            start = place / 10
            rows.append(f"u{number} {start} {start + 0.1} {phone} K T s{number % 2}")
    (folder / "noise.item").write_text("\n".join([*rows, ""]))
    return folder


def test_verbs_leave_tables_figures_and_json(noise, tmp_path, capsys):
    shared = ["--manifest", noise, "--cache_folder", tmp_path / "features"]
    words = ["abx", "--upstream", "mfcc", "--items", noise / "noise.item"]
    assert (
        cli.main(list(map(str, [*words, *shared, "--output", tmp_path / "abx"]))) == 0
    )
    assert "16 items of 4 utterances" in capsys.readouterr().out
    result = json.loads((tmp_path / "abx/abx.json").read_text())
    assert set(result["errors"]) == {"within", "across"} and result["layers"] == [0]
    assert all(0 <= error <= 1 for (error,) in result["errors"].values())
    words = ["cka", "--upstream", "mfcc", "--with", "fbank", "--debiased"]
    words += ["--layers", "-1"]  # the last one
    assert (
        cli.main(list(map(str, [*words, *shared, "--output", tmp_path / "cka"]))) == 0
    )
    result = json.loads((tmp_path / "cka/cka.json").read_text())
    assert 0 < result["cka"][0][0] < 1 and result["upstreams"] == ["mfcc", "fbank"]
    assert result["layers"] == [[0], [0]]
    assert (tmp_path / "cka/cka.csv").read_text().startswith("hidden state,0")
    pytest.importorskip("matplotlib")
    for name in ("abx", "cka"):
        assert (tmp_path / name / f"{name}.png").stat().st_size > 5000


@pytest.mark.parametrize(
    "words, reason",
    [
        (
            ["cka", "--upstream", "mfcc", "--layers", "3"],
            "no hidden state 3; the upstream has 1",
        ),
        (["cka", "--upstream", "mfcc", "--with_layers", "0"], "belong to --with"),
        (["cka", "--upstream", "mfcc", "--memory", "0"], "not positive"),
        (["cka", "--upstream", "mfcc", "--memory", "nan"], "not positive"),
    ],
)
def test_wrong_options_are_named(noise, tmp_path, capsys, words, reason):
    paths = ["--manifest", str(noise), "--output", str(tmp_path)]
    assert cli.main([*words, *paths]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["cka"], ["abx", "--items", "no.item"]], ids=lambda words: words[0]
)
def test_an_output_that_cannot_be_made_is_named_first(noise, tmp_path, capsys, words):
    """Before the upstream has run for hours, and before files are read."""
    output = tmp_path / "file"
    output.write_text("")
    shared = ["--upstream", "mfcc", "--manifest", str(noise), "--output", str(output)]
    assert cli.main([*words, *shared]) == 1
    message = f"'{output}' cannot be made or written: File exists. Choose another"
    assert message in capsys.readouterr().err


def test_a_folder_needs_audio_of_distinct_names(noise, tmp_path):
    assert list(read_records(noise)) == ["u0", "u1", "u2", "u3"]
    with pytest.raises(ManifestError, match="no audio under"):
        read_records(tmp_path)
    for kind in ("wav", "flac"):
        soundfile.write(tmp_path / f"a.{kind}", numpy.zeros(800), 16000)
    with pytest.raises(ManifestError, match="the same name as"):
        read_records(tmp_path)


def test_distances_of_frames():
    frames = torch.rand(5, 4)
    frames[2] = 0
    rows, columns = torch.tensor([0, 2]), torch.tensor([1, 2, 4])

    def between(kind):
        return FrameDistances(frames, kind)(rows, columns)

    angular = between("angular")
    cosine = torch.cosine_similarity(frames[0], frames[4], dim=0)
    assert angular[0, 2] == pytest.approx(math.acos(cosine) / math.pi, abs=1e-6)
    assert angular[1].tolist() == [1, 0, 1] and angular[0, 1] == 1
    euclidean = (frames[0] - frames[4]).norm()
    assert between("euclidean")[0, 2] == pytest.approx(euclidean.item(), abs=1e-5)
    p, q = frames[0], frames[4]
    divergence = ((p - q) * ((p + LEAST) / (q + LEAST)).log()).sum() / 2
    assert between("kl")[0, 2] == pytest.approx(divergence.item(), abs=1e-5)
    with pytest.raises(DistanceError, match="not negative"):
        FrameDistances(-frames, "kl")


@pytest.mark.parametrize("name", ["mel", "wav2vec2_large_lv60_cv_swbd_fsh"])
def test_names_of_a_small_heat_map_do_not_collide(tmp_path, monkeypatch, name):
    backend = pytest.importorskip("matplotlib.backends.backend_agg")
    drawn, finish = [], figures.finish

    def kept(axes, *options, **others):
        drawn.append(axes)
        return finish(axes, *options, **others)

    monkeypatch.setattr(figures, "finish", kept)
    path, values = tmp_path / "cka.png", numpy.ones((1, 1))
    figures.similarities(path, values, [0], [0], (name, name), "linear CKA")
    (axes,) = drawn
    backend.FigureCanvasAgg(axes.figure).draw()
    across, up = (a.label.get_window_extent() for a in (axes.xaxis, axes.yaxis))
    assert across.x0 > up.x1 and not across.overlaps(up)
