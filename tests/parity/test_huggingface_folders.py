"""Folders as transformers saves them: where settings stand, heads, shards, names."""

import json
import logging
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from tensors import close, noise
from test_huggingface import CASES, LARGE, TINY, their_states, theirs

from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.cards.families import SourceError, classes
from s3prl_sb.lobes.cards.sources import open_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.data2vec import Data2VecAudio
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.huggingface import HuggingFace
from s3prl_sb.lobes.upstreams.unispeech_sat import UniSpeechSat
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.lobes.upstreams.wavlm import WavLM

transformers = pytest.importorskip("transformers")

STABLE = {**LARGE, "do_stable_layer_norm": True}
MMS = {**STABLE, "adapter_attn_dim": 6, "vocab_size": 9}
#: Model type to our class and its card.
FAMILIES = {
    "wav2vec2": (Wav2Vec2, "wav2vec2"),
    "hubert": (Hubert, "hubert"),
    "wavlm": (WavLM, "wavlm"),
    "unispeech-sat": (UniSpeechSat, "unispeech_sat"),
    "data2vec-audio": (Data2VecAudio, "data2vec"),
}
#: Beginnings of transformers' class names to model types.
STARTS = {
    "Wav2Vec2": "wav2vec2",
    "Hubert": "hubert",
    "WavLM": "wavlm",
    "UniSpeechSat": "unispeech-sat",
    "Data2VecAudio": "data2vec-audio",
    "SEW": "sew",
    "SEWD": "sew-d",
    "UniSpeech": "unispeech",
    "Wav2Vec2Bert": "wav2vec2-bert",
    "Wav2Vec2Conformer": "wav2vec2-conformer",
}


CLASSES = dir(transformers)  # takes a second


def tasks_of(start):
    """Heads that transformers has a class for; ForMaskedLM is an alias of 2020."""
    pattern = re.compile(rf"{start}((?:Model|For[A-Z])\w*)")
    found = filter(None, map(pattern.fullmatch, CLASSES))
    return sorted({match[1] for match in found} - {"ForMaskedLM"})


HEADS = [(kind, task) for start, kind in STARTS.items() for task in tasks_of(start)]
#: What heads are made of.
HEAD = {
    "vocab_size": 12,
    "classifier_proj_size": 8,
    "tdnn_dim": [8] * 5,
    "xvector_output_dim": 8,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "num_codevectors_per_group": 4,
    "use_weighted_layer_sum": True,
}


def raw(folder, **options):
    """Says that waveforms are taken as they are."""
    text = json.dumps({"do_normalize": False, "sampling_rate": 16000, **options})
    (folder / "preprocessor_config.json").write_text(text)


def same(states, expected, relative=1e-5):
    assert len(states) == len(expected)
    for state, reference in zip(states, expected):
        close(state, reference, relative)


# -------------------------------------------------------------------- heads
def test_every_head_is_tried():
    tasks = {task for _, task in HEADS}
    assert {"Model", "ForCTC", "ForXVector", "ForPreTraining"} <= tasks and len(
        HEADS
    ) > 40
    assert {kind for kind, _ in HEADS} == set(STARTS.values())


@pytest.mark.parametrize("kind, task", HEADS)
def test_encoder_of_every_head(kind, task, tmp_path):
    model = theirs(kind, {**CASES[kind][1], **HEAD}, task)
    model.save_pretrained(tmp_path), raw(tmp_path)
    kinds = [HuggingFace, *FAMILIES.get(kind, ())[:1]]
    base = next(m for m in model.modules() if type(m).__name__.endswith("Model"))
    wav = noise(7000)[None]
    if kind == "wav2vec2-bert":  # takes features, and has a test of its own
        weights = base.state_dict()
        own = HuggingFace(tmp_path).network.model.state_dict()
        weights = {n: t for n, t in weights.items() if n != "masked_spec_embed"}
        assert weights.keys() == own.keys()
        assert all(torch.equal(weights[name], own[name]) for name in own)
        return
    expected = their_states(base, {"input_values": wav}, kind)
    for cls in kinds:
        same(cls(tmp_path)(wav)[0], expected)


# ------------------------------------------------------------- preprocessors
def placed(folder, where, settings):
    """Settings of a feature extractor where transformers, or somebody, put them."""
    typed = {**settings, "feature_extractor_type": "Wav2Vec2FeatureExtractor"}
    other = {**typed, "do_normalize": not settings["do_normalize"]}
    files = {
        "preprocessor": {"preprocessor_config": typed},
        "processor": {"processor_config": {"feature_extractor": typed}},
        "audio_processor": {"processor_config": {"audio_processor": typed}},
        "typed processor": {"processor_config": typed},
        "both": {
            "processor_config": {"feature_extractor": typed},
            "preprocessor_config": other,
        },
        "processor without": {
            "processor_config": {"processor_class": "Wav2Vec2Processor"},
            "preprocessor_config": typed,
        },
    }[where]
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


PLACES = ["preprocessor", "processor", "audio_processor", "typed processor"]
PLACES += ["both", "processor without"]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("where", PLACES)
def test_settings_wherever_they_stand(where, normalize, tmp_path):
    """One reader: each class says the same, and what transformers says."""
    theirs("wav2vec2", STABLE).save_pretrained(tmp_path)
    placed(tmp_path, where, {"do_normalize": normalize, "sampling_rate": 8000})
    for cls, _ in FAMILIES.values():  # all read all of these folders
        own = cls(tmp_path)
        assert (own.config.normalize_wav, own.sample_rate) == (normalize, 8000)
    other = HuggingFace(tmp_path)
    assert (other.features.normalize, other.sample_rate) == (normalize, 8000)
    if where != "typed processor":
        said = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
        assert (said.do_normalize, said.sampling_rate) == (normalize, 8000)


def test_a_folder_without_settings(tmp_path, caplog):
    """Every class uses transformers' defaults and warns."""
    model, wav = theirs("wav2vec2", STABLE), 0.3 + noise(6000)[None]
    model.save_pretrained(tmp_path)
    (tmp_path / "processor_config.json").write_text('{"processor_class": "A"}')
    prepared = transformers.Wav2Vec2FeatureExtractor()(
        wav[0].numpy(), sampling_rate=16000, return_tensors="pt"
    )
    expected = their_states(model, prepared, "wav2vec2")
    for cls in (Wav2Vec2, Data2VecAudio, HuggingFace):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            upstream = cls(tmp_path)
        same(upstream(wav)[0], expected)
        assert "has no preprocessor_config.json" in caplog.text
        assert "do_normalize: true and sampling_rate: 16000" in caplog.text
    caplog.clear()
    raw(tmp_path)
    with caplog.at_level(logging.WARNING):
        Wav2Vec2(tmp_path)
    assert not caplog.text


def test_a_processor_as_transformers_saves_it(tmp_path):
    model, wav = theirs("wav2vec2", STABLE, "ForCTC"), 0.3 + noise(6000)[None]
    model.save_pretrained(tmp_path)
    tokens = json.dumps({"<pad>": 0, "<unk>": 1, "|": 2})
    (tmp_path / "tokens.json").write_text(tokens)
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "tokens.json"))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(tmp_path)
    prepared = extractor(wav[0].numpy(), sampling_rate=16000, return_tensors="pt")
    expected = their_states(model.wav2vec2, prepared, "wav2vec2")
    same(Wav2Vec2(tmp_path)(wav)[0], expected)
    same(HuggingFace(tmp_path)(wav)[0], expected)


# --------------------------------------------------------------- conversions
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("kind", FAMILIES)
def test_conversion_keeps_features_normalization_and_rate(kind, normalize, tmp_path):
    folder, wav = tmp_path / "folder", 0.3 + noise(6000)[None]
    theirs(kind, CASES[kind][1]).save_pretrained(folder)
    placed(folder, "processor", {"do_normalize": normalize, "sampling_rate": 8000})
    for name in (FAMILIES[kind][1], "hf_mms_300m"):
        before = load(name, source=str(folder))
        card, after = convert(str(folder), str(tmp_path / name), upstream=name)
        assert before.sample_rate == after.sample_rate == 8000
        for again in (after, load(str(card))):
            for a, b in zip(before(wav)[0], again(wav)[0], strict=True):
                assert torch.equal(a, b)


@pytest.mark.parametrize("kind", FAMILIES)
def test_conversion_is_of_the_class_that_the_folder_says(kind, tmp_path):
    """Whatever the folder is called."""
    folder = tmp_path / "tera-or-hubert"
    theirs(kind, CASES[kind][1]).save_pretrained(folder), raw(folder)
    _, upstream = convert(str(folder), str(tmp_path / "made"))
    assert type(upstream) is FAMILIES[kind][0]


@pytest.mark.parametrize("cls", [Wav2Vec2, HuggingFace])
def test_a_rate_that_contradicts_the_checkpoint(cls, tmp_path):
    theirs("wav2vec2", TINY).save_pretrained(tmp_path)
    raw(tmp_path, sampling_rate=8000)
    assert cls(tmp_path, sample_rate=8000).sample_rate == 8000
    with pytest.raises(CheckpointError, match="of 8000 Hz, and sample_rate: 16000 con"):
        cls(tmp_path, sample_rate=16000)
    for nonsense in (0, -8000, "fast", 8000.5):
        raw(tmp_path, sampling_rate=nonsense)
        with pytest.raises(CheckpointError, match="has a sample rate of .*is no Hz"):
            cls(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": false}')
    upstream = cls(tmp_path, sample_rate=24000)  # it says nothing
    assert upstream.sample_rate == 24000
    assert cls(tmp_path).sample_rate == 16000


# ------------------------------------------------------------ names and files
def changed(folder, change, shards=None):
    """Other names, or other files, in place of ``model.safetensors``."""
    weights = change(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    if shards is None:
        torch.save(weights, folder / "pytorch_model.bin")
        return
    places, names = {}, sorted(weights)
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        stem, ending = shards.split(".")
        file = f"{stem}-0000{i}-of-00002.{ending}"
        held = {name: weights[name] for name in part}
        (torch.save if ending == "bin" else save_file)(held, folder / file)
        places.update(dict.fromkeys(part, file))
    index = json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
    (folder / f"{shards}.index.json").write_text(index)


def of_2021(weights):
    mask = weights.pop("wav2vec2.masked_spec_embed")
    names = (("parametrizations.weight.original0", "weight_g"),)
    names += (("parametrizations.weight.original1", "weight_v"),)
    for new, old in names:
        name = f"wav2vec2.encoder.pos_conv_embed.conv.{new}"
        weights[name.replace(new, old)] = weights.pop(name)
    return {**weights, "wav2vec2.mask_time_emb_vector": mask}


def without_place(name):
    """An adapter in a model that has no room for one, which transformers ignores."""
    extra = f"wav2vec2.encoder.layers.0.adapter_layer.{name}"
    return lambda weights: {**weights, extra: torch.ones(4, 32)}


CHANGES = {
    "2021": of_2021,
    "compiled": lambda w: {f"_orig_mod.{n}": t for n, t in w.items()},
    "distributed": lambda w: {f"module.{n}": t for n, t in w.items()},
    "wrapped": lambda w: {
        n.replace("layers.0.", "layers.0._fsdp_wrapped_module."): t
        for n, t in w.items()
    },
    "adapter": without_place("linear_1.weight"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("task", ["ForCTC", "ForPreTraining"])
def test_names_of_other_days_and_programs(change, task, tmp_path):
    model, wav = theirs("wav2vec2", {**STABLE, **HEAD}, task), noise(6000)[None]
    model.save_pretrained(tmp_path), raw(tmp_path)
    changed(tmp_path, CHANGES[change])
    expected = their_states(model.wav2vec2, {"input_values": wav}, "wav2vec2")
    same(Wav2Vec2(tmp_path)(wav)[0], expected)
    same(HuggingFace(tmp_path)(wav)[0], expected)


@pytest.mark.parametrize("shards", ["model.safetensors", "pytorch_model.bin"])
def test_shards(shards, tmp_path):
    model, wav = theirs("hubert", TINY, "ForCTC"), noise(6000)[None]
    model.save_pretrained(tmp_path), raw(tmp_path)
    changed(tmp_path, dict, shards)
    expected = their_states(model.hubert, {"input_values": wav}, "hubert")
    for cls in (Hubert, HuggingFace):
        upstream = cls(tmp_path)
        same(upstream(wav)[0], expected)
        # Each of them is a part of what the features are known by.
        opened = {name.rpartition("/")[2] for name in upstream.opened_files.files}
        parts = {p.name for p in tmp_path.iterdir() if "-of-" in p.name}
        assert len(parts) == 2 and {*parts, f"{shards}.index.json"} <= opened
    before = upstream_identity(Hubert(tmp_path))
    path = max(p for p in tmp_path.iterdir() if "-of-" in p.name)
    content = load_file(path) if shards.startswith("model") else torch.load(path)
    name = next(name for name in content if "encoder.layers" in name)
    content[name] = content[name] + 1
    (save_file if shards.startswith("model") else torch.save)(content, path)
    after = upstream_identity(Hubert(tmp_path))
    assert before["weights"] != after["weights"] and before["files"] != after["files"]
    path.unlink()
    for cls in (Hubert, HuggingFace):
        missing = rf"{path.name}' is missing, one of the 2 files.*{shards}.index.json"
        with pytest.raises(CheckpointError, match=missing):
            cls(tmp_path)


def test_shards_of_transformers_own(tmp_path):
    model, wav = theirs("hubert", TINY), noise(6000)[None]
    model.save_pretrained(tmp_path, max_shard_size="30KB"), raw(tmp_path)
    assert (tmp_path / "model.safetensors.index.json").is_file()
    expected = their_states(model, {"input_values": wav}, "hubert")
    same(Hubert(tmp_path)(wav)[0], expected)


def test_a_file_instead_of_its_folder(tmp_path):
    theirs("hubert", TINY).save_pretrained(tmp_path), raw(tmp_path)
    with pytest.raises(CheckpointError, match="give the folder with them and their"):
        Hubert(tmp_path / "model.safetensors")
    (tmp_path / "config.json").unlink()
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no config.json.* holds model.pt: is"):
        Hubert(tmp_path)


def test_what_is_no_model_says_what_it_is(tmp_path):
    """In three lines at most, by whatever class."""
    theirs("wav2vec2", TINY).save_pretrained(tmp_path), raw(tmp_path)
    weights = tmp_path / "model.safetensors"
    half = weights.rename(tmp_path / "model.fp16.safetensors")
    with pytest.raises(SourceError, match="model.fp16.safetensors: call it") as found:
        open_source(tmp_path)
    assert str(found.value).count("\n") < 4
    half.rename(tmp_path / "adapter_model.safetensors")
    (tmp_path / "config.json").unlink()
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(CheckpointError, match="adapter of PEFT alone.*Merge it"):
        HuggingFace(tmp_path)


def test_classes_that_a_folder_may_be_of(tmp_path):
    for kind in ("wav2vec2", "sew", "wav2vec2-conformer"):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        found = [tag.rpartition(".")[2] for tag in classes(tmp_path)]
        assert "HuggingFace" in found and not {"Apc", "Tera", "WavLM"} & set(found)


# ----------------------------------------------------------------------- MMS
@pytest.fixture
def languages(tmp_path):
    """A folder with adapters, and its networks: as saved, and in French."""
    model = theirs("wav2vec2", MMS, "ForCTC")
    model.save_pretrained(tmp_path), raw(tmp_path)
    french = theirs("wav2vec2", MMS, "ForCTC")
    with torch.no_grad():
        for name, weight in french.named_parameters():
            if "adapter_layer" in name or "lm_head" in name:
                weight += 0.3 * noise(weight.numel(), seed=5).view(weight.shape)
    adapter = {n: t.detach().clone() for n, t in french._get_adapters().items()}
    save_file(adapter, tmp_path / "adapter.fra.safetensors")
    torch.save(adapter, tmp_path / "adapter.azj-script_latin.bin")
    return tmp_path, model.wav2vec2, french.wav2vec2


@pytest.mark.parametrize("cls", [Wav2Vec2, HuggingFace])
def test_adapters_of_languages(cls, languages, tmp_path):
    """As transformers' load_adapter does."""
    (folder, model, french), wav = languages, noise(6000)[None]
    prepared = {"input_values": wav}
    same(cls(folder)(wav)[0], their_states(model, prepared, "wav2vec2"))
    expected = their_states(french, prepared, "wav2vec2")
    for language in ("fra", "azj-script_latin"):
        same(cls(folder, target_lang=language)(wav)[0], expected)
    loaded = transformers.Wav2Vec2ForCTC.from_pretrained(folder, target_lang="fra")
    same(their_states(loaded.eval().wav2vec2, prepared, "wav2vec2"), expected)
    assert (cls(folder)(wav)[0][-1] - expected[-1]).abs().max() > 0.01
    with pytest.raises(CheckpointError, match="target_lang: fre, .*Did you mean fra"):
        cls(folder, target_lang="fre")


def test_a_conversion_is_of_one_language(languages, tmp_path):
    folder, _, french = languages
    card = tmp_path / "mine.yaml"
    tag = "!new:s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2"
    card.write_text(f"mine: {tag}\n    source: {folder}\n    target_lang: fra\n")
    wav = noise(6000)[None]
    made, _ = convert(str(card), str(tmp_path / "made"))
    again = load(str(made))
    same(again(wav)[0], their_states(french, {"input_values": wav}, "wav2vec2"))
    with pytest.raises(
        CheckpointError, match="no adapters of target_lang: deu, .* fra"
    ):
        load(str(made), target_lang="deu")


@pytest.mark.parametrize("cls", [Wav2Vec2, HuggingFace])
def test_a_model_without_room_for_adapters(cls, languages):
    folder, *_ = languages
    theirs("wav2vec2", STABLE, "ForCTC").save_pretrained(folder)
    with pytest.raises(CheckpointError, match="is of another model: its adapters"):
        cls(folder, target_lang="fra")
