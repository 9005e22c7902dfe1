"""A training set of which the short utterances alone have one form."""

from types import SimpleNamespace

import pytest
import soundfile
import torch

from s3prl_sb.brains import caching, planning
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.partly_cached import divided
from s3prl_sb.dataio.pipes import LoadAudio, RandomCrop
from s3prl_sb.errors import UserError
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.frames import FrameClassifier
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.lobes.upstreams import load

SECONDS = (0.5, 2.0, 0.75, 1.0, 1.5)  # cropped to one


@pytest.fixture
def records(tmp_path):
    generator, made = torch.Generator().manual_seed(0), {}
    for number, seconds in enumerate(SECONDS):
        wav = str(tmp_path / f"{number}.wav")
        samples = 0.1 * torch.randn(int(16000 * seconds), generator=generator)
        soundfile.write(wav, samples.numpy(), 16000)
        place = {"wav": wav, "start": None, "stop": None}
        made[f"u{number}"] = {**place, "duration": seconds}
    return made


def dataset(records):
    return ManifestDataset(records, [LoadAudio(), RandomCrop(1.0)], ["id", "sig"])


def brain(tmp_path, head, **hparams):
    upstream = load("fbank_no_cmvn")
    values = {
        "cache": "auto",
        "cache_folder": str(tmp_path / "cache"),
        "cache_budget": "auto",
        "total_steps": 20,
        "steps_per_epoch": 10,
        "batch_size": 2,
        **hparams,
    }
    return SimpleNamespace(
        hparams=SimpleNamespace(**values),
        upstream=upstream,
        raw_modules={"featurizer": Featurizer(upstream.num_layers), "head": head},
        device="cpu",
    )


HEADS = {
    "pooled": lambda: UtteranceClassifier(240, 2, hidden_size=4),
    "frames": lambda: FrameClassifier(240, 2, hidden_size=4),
}


def expected(made, data, index, draw, kind, dtype):
    """The features of a form, from its audio."""
    sig = data[index, draw]["sig"]
    states = torch.stack([s[0] for s in made.upstream(sig[None])[0]], dim=1)
    states = states.mean(0, keepdim=True) if kind == "pooled" else states
    if dtype == "int8":
        from s3prl_sb.dataio.quantization import quantize, restore

        return restore(quantize(states))
    return states.to(getattr(torch, dtype))


@pytest.mark.parametrize(
    "kind, dtype",
    [("pooled", "float32"), ("frames", "float16"), ("frames", "int8")],
)
def test_batches_are_what_they_were(kind, dtype, records, tmp_path):
    made = brain(tmp_path, HEADS[kind](), cache_dtype=dtype)
    data, audio = dataset(records), dataset(records)
    caching.use_cache(made, {"train": data})
    calls, forward = [], made.upstream.forward
    made.upstream.forward = lambda sig, *rest: (
        calls.append(len(sig)) or forward(sig, *rest)
    )
    for draws in ((0, 0, 0, 0, 0), (3, 1, 4, 1, 5)):
        calls.clear()
        batch = data.collate([data[i, draw] for i, draw in enumerate(draws)])
        assert calls == [2]  # those that are longer, together
        frames = (batch.feats.lengths * batch.feats.data.shape[1]).round().int()
        for i, draw in enumerate(draws):
            right = expected(made, audio, i, draw, kind, dtype)
            assert frames[i] == len(right)
            found = batch.feats.data[i, : frames[i]]
            torch.testing.assert_close(
                found.float(), right.float(), rtol=2e-3, atol=2e-3
            )
    calls.clear()
    data.collate([data[0, 7], data[2, 8]])
    assert not calls


def test_the_plan_has_both_parts(records, tmp_path):
    made = brain(tmp_path, HEADS["pooled"]())
    made.grad_accumulation_factor = 1
    short, long = planning.parts_of(made, "train", dataset(records))
    assert (short.utterances, short.cache, short.passes) == (3, "pooled", 1)
    assert short.seconds == 2.25 and "3 of 5 utterances, 53 %" in short.reason
    assert (long.utterances, long.cache, long.features) == (2, "off", "")
    assert long.seconds * long.passes == pytest.approx(20 * 2 * 2 / 5)


def test_little_of_a_set_is_not_worth_it(records, tmp_path):
    made = brain(tmp_path, HEADS["pooled"]())
    few = {name: records[name] for name in ("u0", "u1", "u4")}
    assert caching.kind(made, dataset(few))[0] == "off"
    assert caching.kind(made, dataset(records))[0] == "pooled"
    assert caching.kind(made, dataset(records), "valid")[0] == "off"
    made.hparams.cache = "frames"
    with pytest.raises(UserError, match="another one each time"):
        caching.kind(made, dataset(records))


def test_views_leave_the_dataset_as_it_is(records):
    data = dataset(records)
    finite, endless = divided(data)
    assert finite.data_ids == ["u0", "u2", "u3"] and endless.data_ids == ["u1", "u4"]
    assert len(data) == 5 and data.data_ids == list(records)
    only = dataset({"u0": records["u0"]})
    assert divided(only) == (only, None)
    only = dataset({"u1": records["u1"]})
    assert divided(only) == (None, only)


def test_unusable_audio_is_named(records, tmp_path):
    data, made = dataset(records), brain(tmp_path, HEADS["pooled"]())
    caching.use_cache(made, {"train": data})
    examples = [data[0], data[1]]
    examples[1]["feats"].sig[7] = float("nan")
    with pytest.raises(UserError, match="utterance 'u1'.*finite"):
        data.collate(examples)


def test_features_that_overflow_are_named(records, tmp_path):
    data, made = dataset(records), brain(tmp_path, HEADS["frames"]())
    made.hparams.cache_dtype = "float16"
    caching.use_cache(made, {"train": data})
    forward = made.upstream.forward
    made.upstream.forward = lambda sig, lens: (
        [states * 1e6 for states in forward(sig, lens)[0]],
        lens,
    )
    with pytest.raises(UserError, match="'u1' has features .* not finite as float16"):
        data.collate([data[0], data[1]])
