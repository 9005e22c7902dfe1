"""The error rate that chooses a checkpoint, and the tokens of a training set."""

from types import SimpleNamespace

import pytest

from s3prl_sb.brains.transcription import TranscriptionBrain
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.characters import characters_in, characters_of

SPANISH = {"a": "EL NIÑO", "b": "SÍ"}, {"a": "EL NINO", "b": "SÍ"}
CHINESE = {"a": "你好世界"}, {"a": "你好"}


class Mean(TranscriptionBrain):
    """Without the rest of a Brain."""

    metric = "error_rate"

    def __init__(self, metric="auto"):
        self.hparams = SimpleNamespace(metric=metric)


class Words(Mean):
    """Like ASR, whose recipe has no such key."""

    metric = "wer"


@pytest.mark.parametrize(
    "texts, metric, expected",
    [
        (SPANISH, "auto", 1 / 3),
        (SPANISH, "cer", 1 / 9),
        (CHINESE, "auto", 1 / 2),
        (CHINESE, "wer", 1.0),
    ],
)
def test_errors_are_of_words_or_of_characters(texts, metric, expected):
    references, hypotheses = texts
    rates = Mean(metric).score(hypotheses, references)
    assert rates["error_rate"] == pytest.approx(expected)
    both = {name: rates[name] for name in ("wer", "cer")}
    assert Words().score(hypotheses, references) == both


def test_tokens_are_the_characters_of_training(tmp_path):
    """A space is one where there is one; what is unknown stays in the reference."""
    for split, text in (("train", "no  sí"), ("valid", "é")):
        record = {"wav": "a.wav", "duration": 1.0, "text": text}
        manifest.write({"a": record}, tmp_path / f"{split}.json")
    tokenizer = characters_in(tmp_path)
    assert tokenizer.tokens == ["<pad>", "<eos>", "<unk>", " ", "N", "O", "S", "Í"]
    assert tokenizer.encode("no é") == [4, 5, 3, 2, 1]
    assert tokenizer.normalize("no é") == "NO É"
    chinese = characters_of(["你", "好"])
    assert chinese.tokens[3:] == ["你", "好"] and chinese.space is None
    assert chinese.decode(chinese.encode("好你")) == "好你"
    with pytest.raises(ValueError, match="without any character"):
        characters_of(["", " "])
