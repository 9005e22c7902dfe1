"""Units: fitted, applied, continued after a kill, found by name."""

import itertools
import json
import pickle
import re
import signal
import sys
from types import SimpleNamespace

import numpy
import pytest
import soundfile
import torch
from started_processes import Fork

from s3prl_sb.brains import pretraining_data
from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.startup.configuration import RUN_OPTS
from s3prl_sb.storage.files import FileError
from s3prl_sb.units import applying, clustering, fitting, growing, index, recipe
from s3prl_sb.units.applying import apply
from s3prl_sb.units.clustering import MiniBatchKMeans, assign, update
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.fitting import fit
from s3prl_sb.units.frames import chosen_rows
from s3prl_sb.units.index import UnitsIndex
from s3prl_sb.units.model import UnitsModel
from s3prl_sb.units.recipe import open_units, prepare_units
from s3prl_sb.units.speech import Speech, from_paths
from s3prl_sb.unlabelled import preparing
from s3prl_sb.unlabelled.dataset import NothingReadable, UnlabelledDataset
from s3prl_sb.unlabelled.index import AudioIndex

QUIET = {"progressbar": False}


@pytest.fixture
def audio(tmp_path):
    """Eight recordings of tones in noise."""
    random = numpy.random.default_rng(0)
    for number in range(8):
        time = numpy.arange(3200 + 800 * number) / 16000
        wav = 0.3 * numpy.sin(2 * numpy.pi * 200 * (number + 1) * time)
        folder = tmp_path / "audio" / f"speaker{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        noisy = wav + 0.01 * random.standard_normal(len(wav))
        soundfile.write(folder / f"{number}.wav", noisy, 16000)
    return tmp_path / "audio"


@pytest.fixture
def speech(audio):
    return from_paths([str(audio)])


@pytest.fixture(scope="module")
def mfcc():
    return load("mfcc_hubert")


def fitted(mfcc, speech, folder, **options):
    options = {"clusters": 6, "name": "mfcc_hubert", **QUIET, **options}
    return fit(mfcc, speech, folder, **options)


# ---------------------------------------------------------------------- k-means
@pytest.mark.parametrize("size, clusters", [(1, 3), (13, 20)])
def test_updates_are_those_of_scikit_learn(size, clusters):
    cluster = pytest.importorskip("sklearn.cluster")
    random = numpy.random.default_rng(1)
    batches = random.standard_normal((7, 200, size)).astype("float32")
    first = batches[0][:clusters]
    other = cluster.MiniBatchKMeans(
        clusters, init=first, n_init=1, reassignment_ratio=0, random_state=0
    )
    centres = torch.from_numpy(first.copy())
    counts = torch.zeros(clusters, dtype=torch.float64)
    for batch in batches:
        other.partial_fit(batch)
        update(centres, counts, torch.from_numpy(batch))
    assert numpy.abs(centres.numpy() - other.cluster_centers_).max() < 1e-5
    labels, distances = assign(torch.from_numpy(batches[0]), centres)
    assert (labels.numpy() == other.predict(batches[0])).mean() > 0.99
    assert distances.sum() == pytest.approx(-other.score(batches[0]), rel=1e-4)


def test_finds_separate_clusters():
    random = numpy.random.default_rng(0)
    places = random.standard_normal((9, 4)) * 50
    frames = (
        places[numpy.arange(9000) % 9] + random.standard_normal((9000, 4))
    ).astype("float16")
    centres = MiniBatchKMeans(9, batch_frames=500).fit(frames, **QUIET)
    nearest = torch.cdist(torch.from_numpy(places).float(), centres).min(1)
    assert sorted(nearest.indices.tolist()) == list(range(9))
    assert nearest.values.max() < 0.2
    assert fitting.measure(frames, centres)["inertia"] == pytest.approx(4, rel=0.05)


def test_stops_early_or_after_the_passes(monkeypatch):
    frames = numpy.random.default_rng(0).standard_normal((2000, 2)).astype("float16")
    for passes, patience in ((2, 100), (1000, 3)):
        monkeypatch.setattr(clustering, "PATIENCE", patience)
        monkeypatch.setattr(clustering, "update", counted(update))
        MiniBatchKMeans(3, batch_frames=500, passes=passes).fit(frames, **QUIET)
        done = clustering.update.calls
        assert done == 8 if passes == 2 else 3 < done < 200


def counted(function):
    def counting(*arguments):
        counting.calls += 1
        return function(*arguments)

    counting.calls = 0
    return counting


def test_the_order_of_batches_covers_every_frame_once():
    kmeans = MiniBatchKMeans(2, batch_frames=120)
    order = kmeans._order(1030, 3)
    batches = [kmeans._rows(order, number, 1030) for number in range(11)]
    assert sorted(numpy.concatenate(batches).tolist()) == list(range(1030))
    assert kmeans._order(1030, 4).tolist() != order.tolist()


# --------------------------------------------------------------- fit and apply
def test_input_of_the_first_k_means(mfcc):
    """As fairseq's dump_mfcc_feature.py calls torchaudio."""
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    deltas = pytest.importorskip("torchaudio.functional").compute_deltas
    wav = 0.1 * torch.randn(8000)
    frames = kaldi.mfcc(wav[None], sample_frequency=16000, use_energy=False).T
    both = [frames, deltas(frames), deltas(deltas(frames))]
    states, _ = mfcc(wav[None])
    assert torch.allclose(states[0][0].T, torch.cat(both), rtol=1e-5, atol=1e-4)
    assert mfcc.stride == 160 and mfcc.frames(8000) == (8000 - 400) // 160 + 1


def test_from_audio_to_codes(mfcc, speech, tmp_path):
    model = fitted(mfcc, speech, tmp_path / "model")
    assert (model.classes, model.stride, model.about["used"]) == (6, 160, 6)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "centres.safetensors",
        "units.json",
    ]
    made = apply(model, mfcc, speech, tmp_path / "units", text=True, **QUIET)
    lines = (tmp_path / "units" / "units.txt").read_text().splitlines()
    assert len(made) == len(lines) == 8 and made.classes == 6 and made.stride == 160
    for row, line in enumerate(lines):
        name = speech.name(row)
        wav = speech.load(row, 16000)
        states, _ = mfcc(wav[None])
        nearest = torch.cdist(states[0][0], model.centres).argmin(1).numpy()
        assert made.of(name).tolist() == nearest.tolist()
        assert len(nearest) == (len(wav) - 400) // 160 + 1
        assert line == f"{name}\t{' '.join(map(str, nearest))}"
    again = UnitsModel.load(tmp_path / "model")
    assert again.digest == model.digest and torch.equal(again.centres, model.centres)


def test_finished_work_is_not_done_again(mfcc, speech, tmp_path, monkeypatch):
    model = fitted(mfcc, speech, tmp_path / "model")
    made = apply(model, mfcc, speech, tmp_path / "units", **QUIET)
    monkeypatch.setattr("s3prl_sb.units.frames.compute", None)
    same = fitted(mfcc, speech, tmp_path / "model")
    assert torch.equal(same.centres, model.centres)
    assert apply(same, mfcc, speech, tmp_path / "units").digest == made.digest
    with pytest.raises(UnitsError, match="begun with clusters 6, not 7"):
        fitted(mfcc, speech, tmp_path / "model", clusters=7)
    less = Speech(speech.index.select(numpy.arange(8) < 3))
    with pytest.raises(UnitsError, match="with other audio. Choose another output"):
        apply(same, mfcc, less, tmp_path / "units")


KILLED = """
import os, signal, sys
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.units import applying, clustering, frames, growing
from s3prl_sb.units.fitting import fit
from s3prl_sb.units.speech import from_paths
audio, output, moment = sys.argv[1:]
growing.COMMIT_SECONDS = clustering.SAVE_SECONDS = 0
calls = 0
def deadly(function):
    def call(*arguments):
        global calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return call
def work(module, name):
    setattr(module, name, deadly(getattr(module, name)))
    mfcc, speech = load("mfcc_hubert"), from_paths([str(audio)])
    quiet = {"progressbar": False}
    model = fit(mfcc, speech, output + "/model", 6, name="mfcc_hubert", **quiet)
    applying.apply(model, mfcc, speech, output + "/units", **quiet)
module, name = moment.split(".")
work(globals()[module], name)
"""


def test_killed_and_continued(mfcc, speech, audio, tmp_path):
    """The same bits as without a kill -9, in three moments one after the other."""
    pytest.importorskip("sklearn.cluster")  # once, not in each of them
    for moment in ("frames.compute", "clustering.update", "applying._write"):
        process = Fork(KILLED, str(audio), str(tmp_path / "killed"), moment)
        assert process.read() == ("", -signal.SIGKILL), moment
    for name in ("whole", "killed"):
        model = fitted(mfcc, speech, tmp_path / name / "model")
        apply(model, mfcc, speech, tmp_path / name / "units", **QUIET)
    names = ("codes.u16", "names.utf8", "hashes.u64", "offsets.i64", "index.json")
    for path in ("model/centres.safetensors", *(f"units/{name}" for name in names)):
        one, other = (tmp_path / name / path for name in ("whole", "killed"))
        assert one.read_bytes() == other.read_bytes(), path


def test_interrupted_anywhere(mfcc, speech, tmp_path, monkeypatch):
    """As above in one process, at every utterance and update."""
    whole = fitted(mfcc, speech, tmp_path / "whole", passes=2, batch_frames=100)
    codes = apply(whole, mfcc, speech, tmp_path / "units", **QUIET)
    monkeypatch.setattr(growing, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(clustering, "SAVE_SECONDS", 0.0)
    left = itertools.count()

    def dies_at_its_second(function):
        def call(*arguments):
            if next(left) % 2:
                raise KeyboardInterrupt
            return function(*arguments)

        return call

    frames = "s3prl_sb.units.frames.compute"
    monkeypatch.setattr(frames, dies_at_its_second(sys.modules[frames[:-8]].compute))
    monkeypatch.setattr(clustering, "update", dies_at_its_second(update))
    for attempt in range(100):
        try:
            model = fitted(mfcc, speech, tmp_path / "m", passes=2, batch_frames=100)
            made = apply(model, mfcc, speech, tmp_path / "u", **QUIET)
            break
        except KeyboardInterrupt:
            continue
    assert attempt > 15 and torch.equal(model.centres, whole.centres)
    assert made.digest == codes.digest


def test_other_settings_do_not_continue_an_unfinished_fit(mfcc, speech, tmp_path):
    with growing.GrowingFiles(tmp_path / "w", {"a": "uint8"}, {"seed": 1}) as files:
        files.commit(3, failed=1)
    with pytest.raises(UnitsError, match="begun with seed 1, not 2"):
        growing.GrowingFiles(tmp_path / "w", {"a": "uint8"}, {"seed": 2})
    damaged = (tmp_path / "w" / growing.PROGRESS).read_text().replace("3", "4", 1)
    (tmp_path / "w" / growing.PROGRESS).write_text(damaged)
    with pytest.raises(FileError, match="damaged"):
        growing.GrowingFiles(tmp_path / "w", {"a": "uint8"}, {"seed": 1})


def test_the_choice_of_utterances(speech):
    assert chosen_rows(speech, None, 0) == list(range(8))
    half = chosen_rows(speech, 0.5, 0)
    assert (
        len(half) == 4 and half == sorted(half) and half != chosen_rows(speech, 0.5, 1)
    )
    speech.index.columns["samples"] = numpy.full(8, 864000 * 16000)
    assert len(chosen_rows(speech, None, 0)) == 1  # of 1920 hours
    with pytest.raises(UnitsError, match="share"):
        chosen_rows(speech, 1.5, 0)


# --------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    "options, message",
    [
        ({"clusters": 1}, "--clusters 1: give a number, 2 or more"),
        ({"clusters": "100"}, "--clusters 100: give a number"),
        ({"clusters": 5000}, "frames cannot form 5000 clusters"),
        ({"n_init": 0}, "--n_init 0: give a number, 1 or more"),
        ({"batch_frames": 0}, "--batch_frames 0: give a number"),
        ({"passes": 0}, "--passes 0: give a number"),
        ({"layer": 3}, "layer 3 does not exist: mfcc_hubert has hidden state 0"),
    ],
)
def test_unusable_settings(options, message, mfcc, speech, tmp_path):
    with pytest.raises(UnitsError, match=message):
        fitted(mfcc, speech, tmp_path / "model", **options)


def test_too_many_clusters_are_refused_before_the_features(
    mfcc, speech, tmp_path, monkeypatch
):
    monkeypatch.setattr(fitting, "gather", None)
    frames = sum(mfcc.frames(3200 + 800 * number) for number in range(8))
    with pytest.raises(UnitsError, match=f"^{frames} frames cannot form {frames + 1} "):
        fitted(mfcc, speech, tmp_path / "model", clusters=frames + 1)
    with pytest.raises(TypeError):  # as many are possible, by the list
        fitted(mfcc, speech, tmp_path / "model", clusters=frames)


def test_a_layer_must_be_chosen_where_there_are_several(speech, tmp_path):
    upstream = load("hubert_base", source=None, config={"num_layers": 1})
    with pytest.raises(UnitsError, match="hidden states 0 to 1"):
        fit(upstream, speech, tmp_path / "model", 4, **QUIET)


def test_a_card_in_a_folder_is_found_from_another(
    speech, audio, tmp_path, monkeypatch, capsys
):
    from s3prl_sb.cli import main

    card = "mine: !new:s3prl_sb.lobes.upstreams.features.StftFeatures {feature: mel}\n"
    (tmp_path / "card.yaml").write_text(card)
    monkeypatch.chdir(tmp_path)
    argv = ["--data", str(audio), "--output"]
    fit = ["units", "fit", "--upstream", "card.yaml", "--clusters", "3", *argv, "m"]
    assert main(fit) == 0
    monkeypatch.chdir(audio)
    assert (
        main(["units", "apply", str(tmp_path / "m"), *argv, str(tmp_path / "u")]) == 0
    )
    assert f"3 units of {tmp_path / 'card.yaml'}," in capsys.readouterr().out


def test_without_scikit_learn(mfcc, speech, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingExtra, match=r"pip install 's3prl_sb\[units\]'"):
        fitted(mfcc, speech, tmp_path / "model")


def test_unreadable_audio_is_left_out_up_to_a_share(mfcc, audio, tmp_path, caplog):
    speech = from_paths([str(audio)])  # the headers are intact
    model = fitted(mfcc, speech, tmp_path / "model")
    broken = audio / "speaker1" / "3.wav"
    soundfile.write(broken, numpy.full(5600, numpy.nan), 16000, subtype="FLOAT")
    made = apply(model, mfcc, speech, tmp_path / "units", **QUIET)
    assert (
        len(made) == 7 and "'audio/speaker1/3.wav' is left out: it holds" in caplog.text
    )
    with pytest.raises(UnitsError, match="of 1 of 1 utterances, such as 'audio/sp"):
        made.of("audio/speaker1/3.wav")
    (audio / "speaker1" / "5.wav").write_bytes(b"RIFF")
    with pytest.raises(UnitsError, match="2 of 8 utterances cannot be used"):
        apply(model, mfcc, speech, tmp_path / "more", **QUIET)


def test_another_upstream_is_refused(mfcc, speech, tmp_path):
    model = fitted(mfcc, speech, tmp_path / "model")
    with pytest.raises(UnitsError, match="num_ceps|cmvn"):
        apply(model, load("mfcc"), speech, tmp_path / "units")


def test_units_that_are_all_the_same_are_refused(mfcc, tmp_path):
    soundfile.write(tmp_path / "silence.wav", numpy.zeros(16000), 16000)
    about = {"upstream": "x", "layer": 0, "stride": 160, "sample_rate": 16000}
    centres = torch.stack([torch.zeros(39), torch.full((39,), 1e6)])
    model = UnitsModel(centres, about | {"identity": fitting.first_identity(mfcc)})
    speech = from_paths([str(tmp_path / "silence.wav")])
    for _ in range(2):
        with pytest.raises(UnitsError, match="Only 1 of 2 units occur"):
            apply(model, mfcc, speech, tmp_path / "units", **QUIET)
    with pytest.raises(UnitsError, match="unfinished"):
        UnitsIndex(tmp_path / "units")


def test_a_damaged_or_foreign_folder(mfcc, speech, tmp_path):
    fitted(mfcc, speech, tmp_path / "model")
    with pytest.raises(FileError, match="units apply"):
        UnitsIndex(tmp_path / "model")
    with pytest.raises(FileError, match="units fit"):
        UnitsModel.load(tmp_path)
    path = tmp_path / "model" / "units.json"
    path.write_text(path.read_text().replace('"stride": 160', '"stride": 320'))
    with pytest.raises(FileError, match="checksum"):
        UnitsModel.load(tmp_path / "model")


# ------------------------------------------------------------------------ index
@pytest.fixture
def made(mfcc, speech, tmp_path):
    model = fitted(mfcc, speech, tmp_path / "model")
    return apply(model, mfcc, speech, tmp_path / "units", **QUIET)


def test_names_are_found(made, speech):
    assert list(made.names()) == list(speech.names()) and "audio/speaker0/2.wav" in made
    made.check(speech.names())
    with pytest.raises(
        UnitsError, match="2 of 3 .* '.*0/9.wav'. Did you mean 'audio/sp"
    ):
        made.check(["audio/speaker0/9.wav", "audio/speaker0/0.wav", "x"])


def test_names_with_equal_hashes(mfcc, speech, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "name_hash", lambda name: len(name) % 2)
    model = fitted(mfcc, speech, tmp_path / "model")
    made = apply(model, mfcc, speech, tmp_path / "units", **QUIET)
    for name, codes in made.items():
        assert made.of(name).tolist() == codes.tolist()
    assert "audio/speaker0/9.wav" not in made and "" not in made


def test_workers_open_it_again(made, speech):
    of = made.of(speech.name(2))
    text = pickle.dumps(made)
    assert (
        len(text) < 4000
        and pickle.loads(text).of(speech.name(2)).tolist() == of.tolist()
    )


def test_many_classes_are_kept(tmp_path, mfcc, speech, monkeypatch):
    class Many(UnitsModel):
        classes = 70_000

        def codes(self, frames):
            return numpy.arange(len(frames)) + 69_000

    about = {"upstream": "x", "layer": 0, "stride": 160, "sample_rate": 16000}
    about["identity"] = fitting.first_identity(mfcc)
    made = apply(Many(torch.zeros(2, 39), about), mfcc, speech, tmp_path / "u", **QUIET)
    assert made.about["dtype"] == "u32"
    assert made.of(speech.name(0))[:2].tolist() == [69_000, 69_001]


# ---------------------------------------------------------------------- speech
def test_segments_of_a_manifest(audio, mfcc, tmp_path):
    rows = ["id,wav,start,stop"]
    rows += [f"{n},speaker1/7.wav,{n / 10},{n / 10 + 0.2}" for n in range(3)]
    (audio / "list.csv").write_text("\n".join(rows))
    speech = from_paths([str(audio / "list.csv")])
    model = fitted(mfcc, speech, tmp_path / "model", clusters=2)
    made = apply(model, mfcc, speech, tmp_path / "units", **QUIET)
    assert len(made.of("1")) == 18


def test_equal_names_are_refused(mfcc, speech, tmp_path):
    model = fitted(mfcc, speech, tmp_path / "model")
    twice = Speech(AudioIndex.joined([speech.index, speech.index]))
    with pytest.raises(UnitsError, match="called 'audio/speaker0/0.wav'"):
        apply(model, mfcc, twice, tmp_path / "units", **QUIET)


def test_no_audio(tmp_path):
    with pytest.raises(UnitsError, match="--data: there is no audio in"):
        from_paths([str(tmp_path)])
    for name in "abc":
        (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    with pytest.raises(UnitsError, match="2 of 3 utterances cannot be used"):
        from_paths([str(tmp_path)])


# ---------------------------------------------------------------------- recipes
def test_a_recipe_makes_its_units(speech, audio, tmp_path, mfcc):
    hparams = {
        "train_data": str(audio / "speaker0"),
        "save_folder": str(tmp_path / "s"),
    }
    hparams |= {"valid_data": str(audio / "speaker1"), "seed": 3, "units": None}
    hparams |= {"upstream_model": mfcc, "sequence_seconds": 0.3}
    preparing.prepare(hparams)
    assert prepare_units(hparams) is None
    hparams["units"] = {"upstream": "mfcc_hubert", "clusters": 5}
    made = prepare_units(hparams, progressbar=False)
    assert len(made) == 8 and made.classes == 5
    assert open_units(hparams).digest == made.digest
    model = UnitsModel.load(tmp_path / "s" / "units" / "model")
    assert model.about["utterances"] == 4 and model.about["plan"]["seed"] == 3
    hparams["units"] = str(made.folder)
    assert prepare_units(hparams).digest == made.digest
    crops = preparing.splits(hparams, 16000, codes=made)["valid"]
    for row in range(4):
        wav, codes = (getattr(crops[row, 2], key) for key in ("wav", "codes"))
        states, _ = mfcc(wav[None])
        frames = torch.cdist(states[0][0], model.centres).argmin(1)
        inside = slice(4, -4)  # the deltas see the edges of a crop
        assert codes[: len(frames)][inside].tolist() == frames[inside].tolist()
    hparams["units"] = str(tmp_path / "other")
    apply(
        model, mfcc, from_paths([str(audio / "speaker0")]), tmp_path / "other", **QUIET
    )
    with pytest.raises(UnitsError, match="no units of 4 of 8 utterances"):
        prepare_units(hparams)
    hparams["unreadable_share"] = 0.5  # those that `apply` has left out, perhaps
    made = prepare_units(hparams)
    with pytest.raises(NothingReadable, match="has no units"):
        preparing.splits(hparams, 16000, codes=made)["valid"][0, 1]


def test_a_run_makes_its_units_on_its_device(audio, tmp_path, mfcc, monkeypatch):
    """Also where a GPU is available, and --device names another device."""
    used = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(recipe, "fit", lambda *args, **options: used.append(options))
    monkeypatch.setattr(recipe, "summary", str)
    monkeypatch.setattr(recipe, "apply", lambda *args, **options: used.append(options))
    monkeypatch.setattr(recipe, "open_units", lambda hparams: None)
    hparams = {
        "objective": SimpleNamespace(needs_codes=True),
        "train_data": str(audio),
        "valid_share": 0.3,
        "save_folder": str(tmp_path),
        "units": {"upstream": "mfcc_hubert", "clusters": 5},
        "upstream_model": mfcc,
        RUN_OPTS: {"device": "cpu", "noprogressbar": True},
    }
    pretraining_data.prepare(hparams)
    assert [each["device"] for each in used] == ["cpu", "cpu"]
    assert not any(each["progressbar"] for each in used)


def test_an_utterance_without_units_is_replaced(made, speech):
    """It could not be read as a whole, but the crop of an epoch can."""
    name, of = speech.name(3), made.of

    class Left:
        stride = made.stride

        def __contains__(self, other):
            return other != name

        def of(self, other):
            assert other != name
            return of(other)

    crops = UnlabelledDataset(speech.index, 16000, None, seed=0, codes=Left())
    example = crops[3, 1]
    assert example.row == 4 and example.failed == ((name, "has no units"),)
    assert example.codes.tolist() == of(speech.name(4)).tolist()


@pytest.mark.parametrize(
    "units, message",
    [
        (7, "units: 7 is neither"),
        ({"upstream": "mfcc_hubert", "cluster": 9}, "cluster is unknown. .*clusters"),
        ({"upstream": "mfcc_hubert"}, "clusters is missing"),
        ("absent", "absent"),
    ],
)
def test_wrong_values_of_the_key(units, message, tmp_path):
    with pytest.raises((UnitsError, FileError), match=message):
        prepare_units({"units": units, "save_folder": str(tmp_path)})


def test_units_at_another_rate(made, tmp_path):
    class Network:
        sample_rate = 8000

    with pytest.raises(UnitsError, match="16000 Hz, and the network takes 8000"):
        open_units({"units": str(made.folder), "upstream_model": Network()})


# ---------------------------------------------------------------- console script
def test_on_the_command_line(audio, tmp_path, capsys):
    from s3prl_sb.cli import main

    model, units = str(tmp_path / "model"), str(tmp_path / "units")
    fit = ["units", "fit", "--upstream", "mfcc_hubert", "--clusters", "4"]
    assert main([*fit, "--data", str(audio), "--output", model]) == 0
    out = capsys.readouterr().out
    assert re.search(r"4 units of mfcc_hubert, .* inertia .*, 4 units used, perp", out)
    apply = ["units", "apply", model, "--data", str(audio), "--text"]
    assert main([*apply, "--output", units]) == 0
    assert "units of 8 utterances: 4 of 4 used" in capsys.readouterr().out
    phones = {name: {"phones": [[0, 0.1, "AH0"], [0.1, 0.2, "T"]]} for name in "0246"}
    (tmp_path / "phones.json").write_text(json.dumps(phones))
    argv = ["units", "quality", units, "--alignments", str(tmp_path / "phones.json")]
    assert main(argv) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert "PNMI" in header and row.split()[0] == units and row.split()[-1] == "4"
    assert (
        main(
            [
                "units",
                "fit",
                "--upstream",
                "hubert_base",
                *fit[4:],
                "--source",
                str(tmp_path / "no.pt"),
                "--data",
                str(audio),
                "--output",
                model,
            ]
        )
        == 1
    )
    assert capsys.readouterr().err.startswith("s3prl-sb: ")
    assert applying.TEXT in {path.name for path in (tmp_path / "units").iterdir()}
