"""Features that are not finite: the weights' fault or the audio's, as it is."""

import pytest
import soundfile
import torch

from s3prl_sb.cli import main
from s3prl_sb.lobes.checkpoints.finiteness import WeightsError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.base import AudioError
from s3prl_sb.lobes.upstreams.hubert import Hubert

TINY = {"hidden_size": 16, "ffn_size": 16, "num_layers": 2, "num_heads": 2}
TINY |= {"position_kernel": 8, "position_groups": 2, "conv_layers": [[8, 10, 5]]}


@pytest.fixture
def wavs():
    return 0.1 * torch.randn(2, 800, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["layers.1.ffn_norm.bias", "convolutions.0.weight"])
def test_weights_are_named(name, value, wavs):
    upstream = Hubert(config=TINY)
    label, weight = next((n, p) for n, p in upstream.named_parameters() if name in n)
    weight.view(-1)[0] = value
    with pytest.raises(
        WeightsError, match=f"weights of Hubert.*not the audio.*{label}"
    ):
        upstream(wavs)
    with pytest.raises(WeightsError):
        upstream.extract(list(wavs))


def test_weights_too_large(wavs):
    upstream = Hubert(config=TINY)
    for name, weight in upstream.named_parameters():
        if "contract.weight" in name:
            weight.fill_(3e38)
    with pytest.raises(WeightsError, match="Hubert is at fault, not the audio: hidden"):
        upstream(wavs)


def test_half_precision_has_its_own_way_out(wavs):
    upstream = Hubert(config=TINY, precision="fp16")
    for name, weight in upstream.named_parameters():
        if "contract.weight" in name:
            weight.fill_(6e4)
        elif "expand.bias" in name:
            weight.fill_(100)
    with pytest.raises(WeightsError, match="in fp16.*precision: fp32"):
        upstream(wavs.half())


def test_the_audio_is_blamed_where_it_is_at_fault(wavs):
    upstream = load("mel")
    wavs[1, 3] = 1e30
    with pytest.raises(AudioError, match="samples of up to 1e.30") as caught:
        upstream(wavs)
    assert caught.value.index == 1
    wavs[1, 3] = float("nan")
    with pytest.raises(AudioError, match="NaN"):
        upstream(wavs)


def test_trained_ones_may_diverge(wavs):
    upstream = Hubert(config=TINY, freeze=False)
    with torch.no_grad():
        next(upstream.parameters()).fill_(float("nan"))
    assert not upstream(wavs)[0][-1].isfinite().all()


def test_extract_says_so(tmp_path, capsys, wavs, monkeypatch):
    """A class whose weights go wrong after they were read."""
    (tmp_path / "my_damaged.py").write_text(
        "import torch\n"
        "from s3prl_sb.lobes.upstreams.base import Upstream\n"
        "class Damaged(Upstream):\n"
        "    stride, num_layers, output_size = 160, 1, 1\n"
        "    def __init__(self, freeze=True):\n"
        "        super().__init__(freeze)\n"
        "        self.scale = torch.nn.Parameter(torch.tensor(float('nan')))\n"
        "    def frames(self, samples):\n"
        "        return max(1, samples // 160)\n"
        "    def encode(self, wavs):\n"
        "        return [wavs.unfold(1, 160, 160).mean(2, keepdim=True) * self.scale]\n"
    )
    (tmp_path / "card.yaml").write_text("damaged: !new:my_damaged.Damaged\n")
    soundfile.write(tmp_path / "a.wav", wavs[0].numpy(), 16000)
    (tmp_path / "m.csv").write_text(f"id,wav\na,{tmp_path}/a.wav\n")
    options = ["--manifest", str(tmp_path / "m.csv"), "--output", str(tmp_path / "out")]
    card = str(tmp_path / "card.yaml")
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")  # it is own code
    assert main(["extract", "--upstream", card, *options]) == 1
    said = capsys.readouterr().err
    assert "not the audio" in said and "scale" in said and "listen" not in said
