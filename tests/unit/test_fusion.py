"""Fusions: several upstreams as one, on one grid of frames."""

from fractions import Fraction

import pytest
import torch

from s3prl_sb.audio.resampling import resample
from s3prl_sb.benchmark.contents import of_card
from s3prl_sb.brains.results import describe_upstream
from s3prl_sb.foreign.trust import TrustError
from s3prl_sb.identity import digest
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.inference import exporting
from s3prl_sb.lobes.cards.catalogue import facts
from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.cards.sources import open_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.gradients import depths
from s3prl_sb.lobes.ssl import SSL
from s3prl_sb.lobes.upstreams import UnknownUpstream, card, card_file, load, title
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.fusion import Fusion
from s3prl_sb.objectives.apc import APC

CARDS = """
hub: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    config: {hidden_size: 16, ffn_size: 16, num_layers: 4, num_heads: 2,
             position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 8], [8, 8, 8]]}
tera: !new:s3prl_sb.lobes.upstreams.mockingjay.Tera
    config: {transformer: {hidden_size: 24, num_hidden_layers: 2,
                           num_attention_heads: 4, intermediate_size: 32}}
"""
LENGTHS = [9000, 16001, 1, 4801]


class Steps(Upstream):
    """Numbers its frames: features of any rate and stride."""

    num_layers, output_size = 1, 2

    def __init__(self, rate=16000, stride=160, freeze=True, precision="fp32"):
        super().__init__(freeze, precision)
        self.sample_rate, self.stride = rate, stride

    def frames(self, samples):
        return max(1, samples // self.stride)

    def encode(self, wavs):
        numbers = torch.arange(float(self.frames(wavs.shape[1])))
        yield torch.stack([numbers, numbers], 1).repeat(len(wavs), 1, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with small cards, and a converted one."""
    folder = tmp_path_factory.mktemp("fusion")
    (folder / "cards.yaml").write_text(CARDS)
    convert(f"{folder}/cards.yaml:hub", folder / "hub")
    convert(f"{folder}/cards.yaml:tera", folder / "tera")
    (folder / "mine.yaml").write_text("fusion: [hub/card.yaml, cards.yaml:tera]\n")
    return folder


@pytest.fixture(scope="module")
def parts(folder):
    return [load(f"{folder}/cards.yaml:{name}") for name in ("hub", "tera")]


def batch(lengths=LENGTHS):
    wavs = torch.randn(len(lengths), max(lengths), generator=torch.Generator())
    return 0.1 * wavs, torch.tensor(lengths) / max(lengths)


# ------------------------------------------------------------------ hidden states
def test_pairs_are_the_parts_side_by_side(folder, parts):
    fusion, (wavs, lens) = load(folder / "mine.yaml"), batch()
    states, _ = fusion(wavs, lens)
    hub, tera = (part(wavs, lens)[0] for part in parts)
    assert fusion.columns == {"hub": slice(0, 16), "tera": slice(16, 40)}
    assert len(states) == fusion.num_layers == 5 and fusion.output_size == 40
    for i, samples in enumerate(LENGTHS):
        count = fusion.frames(samples)
        assert count == parts[1].frames(samples)  # 10 ms, the other has 20 ms
        rows = (torch.arange(count) // 2).clamp(max=parts[0].frames(samples) - 1)
        for k, depth in enumerate([0, 1, 1, 2, 2]):  # of 2 layers beside 4
            # Not to the last bit, which depends on where weights lie in memory.
            expected = torch.cat([hub[k][i, rows], tera[depth][i, :count]], dim=1)
            torch.testing.assert_close(
                states[k][i, :count], expected, rtol=0, atol=1e-5
            )


def test_own_columns_sum_to_the_sums_of_the_parts(folder):
    (wavs, lens), path = batch(), folder / "mine.yaml"
    states, _ = load(path, pairs=False)(wavs, lens)
    pairs, _ = load(path)(wavs, lens)
    assert len(states) == 8
    assert not any(s[..., 16:].any() for s in states[:5])
    assert not any(s[..., :16].any() for s in states[5:])
    featurizer = Featurizer(8)
    torch.nn.init.normal_(featurizer.scalars, generator=torch.Generator())
    weights = featurizer.weights
    hub = sum(w * pairs[k][..., :16] for k, w in enumerate(weights[:5]))
    tera = sum(w * pairs[k][..., 16:] for k, w in zip((0, 1, 4), weights[5:]))
    summed = featurizer(states)
    torch.testing.assert_close(summed, torch.cat([hub, tera], 2), rtol=0, atol=1e-6)


def test_normalized_parts(folder):
    states, _ = load(folder / "mine.yaml", normalize=True)(torch.randn(1, 16000))
    plain, _ = load(folder / "mine.yaml")(torch.randn(1, 16000))
    for columns in (slice(0, 16), slice(16, 40)):
        part = states[-1][..., columns]
        torch.testing.assert_close(part.mean(2), torch.zeros(1, 101), atol=1e-6, rtol=0)
    assert plain[-1].square().mean() != states[-1].square().mean()


# --------------------------------------------------------------------------- grid
@pytest.mark.parametrize(
    "kinds, rate, stride",
    [
        ([(16000, 160), (16000, 320)], 16000, 160),
        ([(16000, 15360), (16000, 160)], 16000, 160),
        ([(44100, 512), (16000, 320)], 44100, 512),
        ([(16000, 160), (24000, 320)], 24000, 240),
        ([(16000, 160), (22050, 1024)], 44100, 441),  # 220.5 samples at 22050 Hz
        ([(8000, 80), (48000, 640), (16000, 300)], 48000, 480),
    ],
)
def test_grid(kinds, rate, stride):
    """Each frame has the frame of every part whose time its centre is in."""
    makes = [lambda k=k, **options: Steps(*k, **options) for k in kinds]
    fusion = Fusion(upstreams=makes)
    assert (fusion.sample_rate, fusion.stride) == (rate, stride)
    finest = min(range(len(kinds)), key=lambda i: Fraction(kinds[i][1], kinds[i][0]))
    lengths = [int(seconds * rate) for seconds in (0.0001, 0.1, 1.234, 2)]
    states, lens = fusion(*batch(lengths))
    for i, samples in enumerate(lengths):
        own = [-(-samples * part.sample_rate // rate) for part in fusion.parts]
        counts = [part.frames(n) for part, n in zip(fusion.parts, own)]
        assert fusion.frames(samples) == counts[finest]
        assert fusion.frames(samples + 7 * stride) >= fusion.frames(samples) + 6
        for frame in range(counts[finest]):
            time = (frame + Fraction(1, 2)) * Fraction(stride, rate)
            for p, (part_rate, part_stride) in enumerate(kinds):
                number = int(time / Fraction(part_stride, part_rate))
                expected = min(number, counts[p] - 1)
                assert states[0][i, frame, 2 * p] == expected


def test_each_part_gets_its_own_rate(folder):
    """The part's features of the utterance, resampled alone."""
    fusion = Fusion(
        upstreams=[lambda **_: Steps(24000, 480), f"{folder}/cards.yaml:hub"]
    )
    wavs, lens = batch()
    states, _ = fusion(wavs, lens)
    hub = load(f"{folder}/cards.yaml:hub")
    for i, samples in enumerate(LENGTHS):
        alone, _ = hub(resample(wavs[i, :samples], 24000, 16000)[None])
        count = min(alone[3].shape[1], fusion.frames(samples))
        ours = states[3][i, :count, 2:]
        torch.testing.assert_close(ours, alone[3][0, :count], rtol=0, atol=1e-5)


# -------------------------------------------------------------------------- names
def test_a_sum_is_a_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    name = "hub/card.yaml+tera/model.safetensors+mel"
    assert title(name) == "hub+model+mel"
    assert title("mine.yaml") == "mine" and card_file(name).name == "fusion.yaml"
    node = card(name, upstreams={"mel": {"n_mels": 8}}, freeze=False)
    assert node["upstreams"]["mel"]["n_mels"] == 8
    assert node["upstreams"]["hub"]["source"] == str(folder / "hub/model.safetensors")
    fusion = load(name, upstreams={"mel": {"n_mels": 8}}, freeze=False)
    assert fusion.output_size == 16 + 24 + 8
    assert all(part.training for part in fusion.parts)
    assert open_source("mel+fbank").output_size == SSL("mel+fbank").output_size == 320
    assert of_card("mel+fbank") != of_card("mel+mfcc")
    (folder / "a+b.yaml").write_text(
        "a: !new:s3prl_sb.lobes.upstreams.features.StftFeatures\n"
    )
    assert load("a+b.yaml").output_size == 80


def test_facts_are_those_of_the_parts():
    row = facts("hubert_base+xlsr_53")
    assert row.output_sizes == [1792] * 25 and row.parameters > 400e6
    assert row.data.startswith("LibriSpeech 960 h; MLS")
    assert row.licence.startswith("MIT; ")
    assert len(row.source) == 2


@pytest.mark.parametrize(
    "entry, message",
    [
        ("fusion: mel", "give a list"),
        ("fusion: [mel]", "two upstreams or more, not of 1"),
        ("fusion: [mel, mel+fbank]", "is a fusion itself"),
        ("fusion: [mel, npcc]", "Unknown upstream 'npcc'"),
        ("fusion: [mel, {n_mels: 8}]", "a name, or"),
        ("fusion: [mel, {upstream: features_from_ark, size: 8}]", "features of an ark"),
        ("fusion: [mel, {upstream: mel, mels: 8}]", "mel_2.*mels"),
        ("fusion: [mel, {upstream: mel, precision: bf16}]", "'mel_2' of the fusion.*"),
        ("fusion: {upstreams: {a.b: mel, c: mel}}", "a label has letters"),
        ("fusion: {upstreams: {train: mel, c: mel}}", "my_train: …"),
        ("fusion: [mel, {upstream: tera, source: absent.ckpt}]", "'tera'.*absent.ckpt"),
    ],
)
def test_refusals(entry, message, tmp_path):
    (tmp_path / "mine.yaml").write_text(entry)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "mine.yaml")


def test_a_part_with_code_needs_trust(tmp_path):
    (tmp_path / "halves.py").write_text(
        "from s3prl_sb.lobes.upstreams.features import StftFeatures\n"
        "class Halves(StftFeatures):\n"
        "    def encode(self, wavs):\n"
        "        return [state / 2 for state in super().encode(wavs)]\n"
    )
    (tmp_path / "halves.yaml").write_text("halves: !new:halves.Halves {n_mels: 8}")
    (tmp_path / "named.yaml").write_text("fusion: [halves.yaml, mel]")
    direct = "mine: !new:s3prl_sb.lobes.upstreams.fusion.Fusion\n    upstreams: "
    (tmp_path / "direct.yaml").write_text(
        direct + "[!new:halves.Halves {n_mels: 8}, mel]"
    )
    (tmp_path / "call.yaml").write_text(direct + "[!new:os.system {command: ls}, mel]")
    for name in ("named", "direct", "call"):
        with pytest.raises(TrustError, match="halves.py beside it|os.system"):
            load(tmp_path / f"{name}.yaml")
    for name in ("named", "direct"):
        fusion = load(tmp_path / f"{name}.yaml", trust=True)
        assert type(fusion.parts[0]).__name__ == "Halves" and fusion.output_size == 88


# ----------------------------------------------------------- training and identity
def test_a_part_can_stay_frozen(folder):
    upstreams = {"tera": {"freeze": True}}
    fusion = load(folder / "mine.yaml", freeze=False, upstreams=upstreams)
    hub, tera = fusion.parts
    assert fusion.training and hub.training and not tera.training
    names = {name.split(".")[1] for name in fusion.trainable}
    assert names == {"hub"} and not any(p.requires_grad for p in tera.parameters())
    fusion(torch.randn(1, 8000))[0][-1].sum().backward()
    assert hub.network.encoder.layers[0].attention.query.weight.grad is not None
    both = load(folder / "mine.yaml", freeze=False)
    found = depths(both)  # the hidden states of equal depth together
    assert max(found.values()) == 4 and min(found.values()) == 0
    adapted = load(folder / "mine.yaml", freeze=False, adapter={"rank": 2})
    assert {n.split(".")[1] for n in adapted.trainable} == {"hub", "tera"}


def test_identity_is_that_of_the_parts(folder, tmp_path):
    fusion = load(folder / "mine.yaml")
    before = upstream_identity(fusion)
    assert len(before["files"]) == 1 and "network.tera.seed" not in before["files"]
    assert before["arguments"]["network.tera.seed"] == 0
    modules = before["code"]["modules"]
    assert "s3prl_sb.lobes.upstreams.mockingjay" in modules
    assert "s3prl_sb.lobes.cards.loading" not in modules
    with torch.no_grad():
        next(fusion.parts[1].parameters()).add_(1)
    assert digest(upstream_identity(fusion)) != digest(before)
    other = load(folder / "mine.yaml", upstreams={"tera": {"seed": 3}})
    assert digest(upstream_identity(other)) != digest(before)
    assert code_of([Fusion])["modules"].keys() < modules.keys()
    assert describe_upstream(fusion)["source"]["hub"].endswith("hub/model.safetensors")


def test_pretraining_is_refused(folder):
    with pytest.raises(ValueError, match="Fusion cannot be pre-trained: it does not"):
        APC(load(folder / "mine.yaml", freeze=False))


# --------------------------------------------------------------------- conversion
def test_conversion_has_all_parts(folder, tmp_path):
    (tmp_path / "all.yaml").write_text(
        f"fusion: [{folder}/hub/card.yaml, {folder}/cards.yaml:tera, fbank]"
    )
    path, converted = convert(tmp_path / "all.yaml", tmp_path / "converted")
    assert "upstreams:" not in path.read_text()
    original, (wavs, lens) = load(tmp_path / "all.yaml"), batch()
    again = open_source(path.with_name("model.safetensors"))
    for upstream in (converted, again, load(path, precision="bf16").float()):
        assert list(upstream.network) == ["hub", "tera", "fbank"]
        assert upstream.state_dict().keys() == original.state_dict().keys()
    for one, two in zip(original(wavs, lens)[0], again(wavs, lens)[0]):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    trained = load(path, freeze=False)
    assert trained.trainable == load(tmp_path / "all.yaml", freeze=False).trainable
    with pytest.raises(CheckpointError, match="no fusion"):
        Fusion(str(folder / "hub" / "card.yaml"))


def test_an_export_copies_the_checkpoint_of_every_part(folder, tmp_path):
    names = [f"{folder}/{name}/card.yaml" for name in ("hub", "tera")]
    node = card("+".join([*names, "mel", "hubert_base"]))  # which has an address
    run = exporting._Run(tmp_path, {}, {}, None, {"upstream_model": node})
    exporting._set_upstream(tmp_path, run, copy_upstream=True)
    for name, file in (("hub", ""), ("tera", "1")):
        copy = tmp_path / f"upstream_source{file}.safetensors"
        assert copy.read_bytes() == (folder / name / "model.safetensors").read_bytes()
        assert node["upstreams"][name]["source"].value == f"<export_folder>/{copy.name}"
    assert "https://" in str(node["upstreams"]["hubert_base"]["source"])


def test_unknown_part_of_a_sum():
    with pytest.raises(UnknownUpstream, match="Did you mean .*hubert_base"):
        load("mel+hubert_bas")


def test_parts_with_hidden_states_of_several_sizes(folder):
    small = {"hidden_size": 16, "ffn_size": 16, "num_heads": 2, "target_size": 8}
    small |= {"position_kernel": 8, "position_groups": 2, "inner_size": 12}
    small |= {"conv_layers": [[8, 10, 5], [8, 8, 8], [8, 8, 8]]}
    distil = {"upstream": "distilhubert", "source": None, "config": small}
    fusion = Fusion(upstreams=[distil, f"{folder}/cards.yaml:hub"])
    states, _ = fusion(*batch())
    assert [state.shape[2] for state in states] == fusion.output_sizes
    assert fusion.output_sizes == [32, 32, 32, 24, 24, 24]
    assert fusion.output_size == 24
    with pytest.raises(ValueError, match="Give pairs: True"):
        Fusion(upstreams=[distil, f"{folder}/cards.yaml:hub"], pairs=False)
