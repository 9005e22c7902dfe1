"""Names of heads: what fits a task, messages, and the list on the console."""

import inspect
import subprocess
import sys
from pkgutil import resolve_name

import pytest

from s3prl_sb.cli import main
from s3prl_sb.foreign.classes import HEAD, find_class
from s3prl_sb.lobes.heads.named_encoders import ENCODERS
from s3prl_sb.lobes.heads.named_poolings import POOLINGS
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.schema.named_heads import encoders, named_heads, node, poolings


def test_names_and_classes_agree():
    assert list(poolings()) == list(POOLINGS)
    assert list(encoders()) == list(ENCODERS)


@pytest.mark.parametrize("name", named_heads())
def test_a_name_is_a_class_of_the_package(name):
    """So an export with it needs no trust; and the sizes have one name."""
    head = named_heads()[name]
    assert head.kinds
    for kind in head.kinds:
        cls = resolve_name(getattr(head, kind))
        assert find_class(getattr(head, kind), HEAD) is cls
        parameters = inspect.signature(cls).parameters
        outputs = "num_mels" if kind == "spectra" else "num_classes"
        assert list(parameters)[:2] == ["input_size", outputs]
        assert set(head.arguments) <= set(parameters)


@pytest.mark.parametrize(
    "name, labels, message",
    [
        ("ecpa", "classes", "no head called 'ecpa'. Did you mean ecapa?"),
        (
            "what",
            "tokens",
            "no head called 'what'. There are: linear, single_linear, .*blstm",
        ),
        (
            "ecapa",
            "segments",
            "one vector an utterance, and .* needs one vector a frame",
        ),
        (
            "xvector",
            "tokens",
            "These fit: linear, single_linear, mlp, .*conf.*bl",
        ),
        (
            "blstm",
            "classes",
            "one vector a frame, and .* needs one vector an utterance",
        ),
        ("linear", "occurrences", "a task whose labels are occurrences has no head"),
        ("linear", None, "'linear' is for utterances and for frames. Declare"),
    ],
)
def test_what_does_not_fit(name, labels, message):
    with pytest.raises(KeysError, match=message):
        node(name, labels)


def test_without_labels_one_class_is_enough():
    assert node("ecapa") == ("s3prl_sb.lobes.heads.ecapa.ECAPA", {})
    node("mlp", "classes")[1]["encoder"] = "changed"
    assert node("mlp", "classes")[1] == {"encoder": "mlp"}


def test_names_are_read_without_torch():
    code = """
import sys
from s3prl_sb.schema.named_heads import named_heads, node, poolings
named_heads(), node("mlp", "classes"), poolings()
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ----------------------------------------------------------------------- console
def test_list(capsys):
    assert main(["heads", "--upstream", "fbank", "--task", "KS"]) == 0
    out = capsys.readouterr().out
    assert "Parameters are for 240 features and 10 outputs." in out
    [line] = [line for line in out.splitlines() if line.startswith("linear")]
    assert line.split()[-3:] == ["64.3", "k", "utterances"]  # 241 * 256 + 257 * 10
    assert "blstm" not in out and "attentive_statistics" in out


def test_list_of_a_frame_task(capsys):
    assert main(["heads", "--upstream", "fbank", "--task", "sd"]) == 0
    out = capsys.readouterr().out
    assert "and 2 outputs" in out  # the recipe's number of speakers
    assert "ecapa" not in out and "pooling" not in out.replace("pooling.", "")


def test_a_task_without_a_head(capsys):
    assert main(["heads", "--task", "QbE"]) == 1
    assert "SUPERB/QbE has no head" in capsys.readouterr().err
    assert main(["heads", "--task", "ST"]) == 1
    assert "SUPERB/ST has a network of its own" in capsys.readouterr().err


OWN = """
import torch
from layers import size

class Mine(torch.nn.Module):
    def __init__(self, input_size, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(input_size, outputs)

    def forward(self, features, lens):
        return self.layer(features)
"""


def test_check_of_an_own_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_heads.py").write_text(OWN)
    (tmp_path / "layers.py").write_text("size = 3")
    argv = ["check-head", f"{tmp_path}/my_heads.py:Mine", "--outputs", "outputs"]
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("ok  shapes: one vector a frame, 125 p")
    monkeypatch.chdir(tmp_path)
    assert main(["check-head", "my_heads.Mine", "--outputs", "outputs"]) == 0


@pytest.mark.parametrize(
    "head, message",
    [
        ("ecap", "no head called 'ecap'. Did you mean ecapa"),
        ("nowhere.Mine", "'nowhere.Mine' is no class: No module named 'nowhere'"),
        ("torch.nn.Nothing", "'torch.nn.Nothing' is no class"),
        ("nowhere.py:Mine", "There is no file"),
        ("torch.nn.Linear", "does not keep the contract of a head"),
    ],
)
def test_check_of_what_is_not_there(head, message, capsys):
    assert main(["check-head", head]) == 1
    assert message in capsys.readouterr().err


def test_check_of_a_name_runs_for_both_kinds(capsys):
    assert main(["check-head", "linear", "--input_size", "8"]) == 0
    out = capsys.readouterr().out
    assert "linear for utterances\nok  shapes: one vector an" in out
    assert "linear for frames\nok  shapes: one vector a frame" in out
