"""Upstreams of other rates than 16 kHz, wherever audio enters."""

import re

import numpy
import pytest
import soundfile
import torch
from recipe_runs import arguments, hparams_file, labels, one_of_a_kind
from tasks import small
from torchaudio.functional import resample

from s3prl_sb.cli import main
from s3prl_sb.inference import export, load
from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.upstreams import load as load_upstream

#: A stride of 960 samples, which at 44.1 kHz is no whole number of milliseconds.
CARD = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {{sample_rate: {}, hidden_size: 16, ffn_size: 16, num_layers: 2,
             num_heads: 2, position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 4], [8, 4, 4], [8, 4, 4], [8, 3, 3]]}}
"""
RATES = (24000, 32000, 44100, 48000)


@pytest.fixture(scope="module")
def card_of(tmp_path_factory):
    """``card_of(rate)``: the card of an upstream of this rate, with equal weights."""
    folder = tmp_path_factory.mktemp("cards")
    for rate in RATES:
        (folder / f"{rate}.yaml").write_text(CARD.format(rate))
    return lambda rate: folder / f"{rate}.yaml"


@one_of_a_kind()
def test_every_kind_at_44100_from_a_cache(name, card_of, on_tables, launcher, tmp_path):
    """Scores equal the predictions of run and export, although training is rounded."""
    folder, given = on_tables(name)
    given = {**given, "upstream": card_of(44100), "cache": "auto"}
    out = tmp_path / "out"
    assert launcher.run(arguments(name, out, **given)) == 0
    log = (out / "log.txt").read_text()
    if "total_steps" in hparams_file(name).read_text():
        assert re.search(r"Cache of the test set: (pooled|frames) \(exact", log)
        rounded = "Cache of the train set: frames (rounded" in log
        crops = "train set: off (its audio is another one" in log
        assert rounded or crops or "Cache of the train set: pooled (exact" in log
    for model in (load(export(out, tmp_path / "export")), load(out)):
        assert model.mods.upstream.sample_rate == 44100
        if labels(name) != "waveforms":  # of which that check measures other samples
            small(name).check(out, model, folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("rate", (24000, 32000, 48000))
def test_features_are_kept_by_rate(
    rate, card_of, shared, on_tables, launcher, tmp_path
):
    """Nothing but the rate differs, so that features of another rate would fit."""
    name = "SUPERB/KS"
    folder, given = on_tables(name)
    cached = {"cache": "auto", "cache_folder": shared, "cache_dtype": "float32"}
    given = {**given, "upstream": card_of(rate), **cached}
    before = set(shared.glob("Hubert-pooled-*"))
    assert launcher.run(arguments(name, tmp_path / "out", **given)) == 0
    assert set(shared.glob("Hubert-pooled-*")) > before
    small(name).check(
        tmp_path / "out", load(export(tmp_path / "out", tmp_path / "export")), folder
    )


@pytest.mark.parametrize("rate", RATES)
def test_files_of_any_rate_are_resampled_once(rate, card_of, tmp_path):
    """Noise up to the highest frequency would not survive 16 kHz on the way."""
    upstream = load_upstream(str(card_of(rate)))
    assert f"every 960 samples at {rate} Hz" in check_upstream(upstream)[0]
    (tmp_path / "audio").mkdir()
    waves = {}
    for of_file in (22050, 44100, 48000):
        noise = 0.1 * numpy.random.default_rng(0).standard_normal(int(0.7 * of_file))
        waves[of_file] = noise.astype("float32")
        path = tmp_path / f"audio/{of_file}.wav"
        soundfile.write(path, waves[of_file], of_file, subtype="FLOAT")
    where = {"output": tmp_path / "out", "upstream": card_of(rate), "format": "npy"}
    options = [str(part) for key in where for part in (f"--{key}", where[key])]
    assert main(["extract", str(tmp_path / "audio"), *options]) == 0
    for of_file, wave in waves.items():
        straight = resample(torch.from_numpy(wave), of_file, rate)
        states, _ = upstream(straight[None])
        expected = torch.cat(states)
        found = torch.from_numpy(numpy.load(tmp_path / f"out/{of_file}.npy"))
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 1e-4
        path = str(tmp_path / f"audio/{of_file}.wav")
        for audio, of in ((path, None), (wave, of_file)):
            again = upstream.extract([audio], sample_rate=of)["last_hidden_state"][0]
            assert (again - states[-1][0]).abs().max() < 1e-4
