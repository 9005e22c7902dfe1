"""One sample rate from the file to the upstream, which has the last word."""

import numpy
import pytest
import soundfile

from s3prl_sb import resources
from s3prl_sb.audio import headers
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.frame_labels import FrameLabels
from s3prl_sb.dataio.pipes import AddNoise, LoadAudio, RandomCrop
from s3prl_sb.dataio.rates import RateError, check_rates, check_recipe
from s3prl_sb.dataio.silence import TrimSilence
from s3prl_sb.dataio.speaker_activity import SpeakerActivity, UnfoldFrames
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.hyperyaml import programs
from s3prl_sb.lobes.heads.blstm import ProjectedBLSTMHead
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.startup.configuration import Configuration
from s3prl_sb.startup.protocol import report
from s3prl_sb.storage.yaml_texts import yaml_of

CARD = """
odd: !new:s3prl_sb.lobes.upstreams.huggingface.HuggingFace
    source: null
    config:
        model_type: wav2vec2
        hidden_size: 32
        num_hidden_layers: 2
        num_attention_heads: 4
        intermediate_size: 64
        conv_dim: [16, 16, 16, 16, 16, 16, 16]
        num_conv_pos_embeddings: 16
        num_conv_pos_embedding_groups: 4
        preprocessor: {sampling_rate: RATE}
"""
RECIPES = sorted(resources.recipes())


def configuration(recipe, overrides):
    file = resources.recipes()[recipe] / "hparams" / "train.yaml"
    return Configuration(file, overrides)


@pytest.mark.parametrize(
    "recipe, rate",
    [*((recipe, 8000) for recipe in RECIPES), ("SUPERB/KS", 24000)],
)
def test_every_recipe_follows_its_upstream(recipe, rate, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(CARD.replace("RATE", str(rate)))
    found = configuration(recipe, f"{{upstream: {path}}}")
    hparams = found.make()
    assert hparams["sample_rate"] == rate
    pipes = [*hparams.get("train_pipes", []), *hparams["eval_pipes"]]
    assert {p.sample_rate for p in pipes if hasattr(p, "sample_rate")} == {rate}
    # So does hyperparams.yaml of its run, which is loaded without the recipe.
    text = found.text()
    assert {pipe.sample_rate for pipe in programs.load(text)["eval_pipes"]} == {rate}
    assert "sample_rate" in yaml_of(text)
    same = configuration(recipe, f"{{upstream: {path}, sample_rate: {rate}}}").make()
    assert same["sample_rate"] == rate
    for given in (None, rate):  # neither departs from the protocol
        recipe_settings = (hparams if given is None else same)["recipe_settings"]
        protocol = report(found.schema, recipe_settings, {})["protocol"]
        assert not any("sample_rate" in words for words in protocol["differs"])
    with pytest.raises(RateError, match=f"of 16000 Hz, .* takes {rate} Hz"):
        configuration(recipe, f"{{upstream: {path}, sample_rate: 16000}}").make()


def test_a_comment_behind_a_reference_to_an_attribute(tmp_path):
    recipe = tmp_path / "train.yaml"
    recipe.write_text(
        "model: !new:s3prl_sb.lobes.heads.utterance.UtteranceClassifier\n"
        "    {input_size: 4, num_classes: 2}\n"
        "training: !ref <model.training>  # whether\n"
        "inside: {flag: !ref <training>}\n"
        "last: 1  # the end\n"
    )
    found = Configuration(recipe)
    found.make()
    text = found.text()
    assert "# the end" in text
    assert yaml_of(text)["last"] == 1
    assert programs.load(text)["inside"] == {"flag": True}


class Eight(Upstream):
    """An upstream of 8 kHz, 100 frames a second."""

    sample_rate, stride, num_layers, output_size = 8000, 80, 1, 1

    def frames(self, samples):
        return max(1, samples // 80)

    def encode(self, wavs):
        return [wavs.unfold(1, 80, 80).pow(2).mean(2, keepdim=True)]


@pytest.mark.parametrize(
    "pipe",
    [
        LoadAudio(),
        RandomCrop(1.0),
        AddNoise([0, 10]),
        TrimSilence(),
    ],
    ids=lambda pipe: type(pipe).__name__,
)
def test_any_pipe_of_another_rate(pipe):
    others = [lambda dataset: None, LoadAudio(8000), RandomCrop(1.0, sample_rate=8000)]
    check_rates(Eight(), others)
    words = f"{type(pipe).__name__} is of 16000 Hz.*Eight, takes 8000 Hz"
    with pytest.raises(RateError, match=words):
        check_rates(Eight(), [*others, pipe])
    for key in ("train_pipes", "my_noisy_pipes"):
        with pytest.raises(RateError, match=words):
            check_recipe({"upstream_model": Eight(), key: [pipe]})
    check_recipe({"my_pipes": [pipe]})  # no upstream: nothing to compare with


@pytest.mark.parametrize("rate", [8000, 24000])
def test_labels_of_diarization_follow_the_rate(rate):
    """A second of speech in two: half of the frames, whatever the rate."""
    upstream = Eight()
    upstream.sample_rate = rate
    record = {"start": None, "stop": None, "duration": 2.0, "regions": None}
    record.update(speakers=["ann"], segments=[["ann", 0.5, 1.5]])
    pipe = SpeakerActivity(upstream, num_speakers=1)
    found = ManifestDataset({"a": record}, [pipe], ["activity"])[0]["activity"]
    frames = 2 * rate // 80
    assert found.shape == (frames, 1) == (upstream.frames(2 * rate), 1)
    assert found[:, 0].nonzero()[[0, -1], 0].tolist() == [
        frames // 4,
        3 * frames // 4 - 1,
    ]
    assert UnfoldFrames(50, upstream).seconds == 50 * 80 / rate


@pytest.mark.parametrize("rate", [24000, 32000, 44100, 48000])
@pytest.mark.parametrize("of_file", [8000, 16000, 22050, 44100])
def test_labels_have_the_samples_of_their_audio(rate, of_file, tmp_path):
    """The duration in a manifest gives the length that resampling gives."""
    for samples in (of_file, of_file + 8, of_file + 401):
        path = tmp_path / f"{samples}.wav"
        soundfile.write(path, numpy.zeros(samples), of_file)
        duration = headers.durations([path])[0]
        heard = len(LoadAudio(rate).load("a", str(path)))
        assert TimeMap(duration).samples(rate) == heard
        upstream = Every()
        upstream.sample_rate = rate
        assert FrameLabels(upstream, ["a"]).frames(duration) == heard
        record = {"duration": duration, "start": None, "segments": [], "speakers": []}
        activity = SpeakerActivity(upstream, 1).label(**record, regions=None)
        assert len(activity) == heard


def test_frames_of_a_head_follow_the_rate():
    """Features every 10 ms become frames every 20 ms, whatever the rate."""
    for rate in (8000, 16000, 44100):
        head = ProjectedBLSTMHead(4, 5, rate // 100, rate, projection_size=2)
        assert head.subsampling == 2


class Every(Eight):
    """An upstream with a frame for every sample."""

    stride = 1

    def frames(self, samples):
        return samples
