"""ML-SUPERB: its lists, texts, tracks and measures; its head."""

import logging

import numpy
import pytest
import soundfile
import torch

from s3prl_sb.brains.multilingual import (
    MultilingualBrain,
    languages_of,
    without_marks,
)
from s3prl_sb.brains.parts import Parts, _of_parts
from s3prl_sb.corpora.ml_superb import (
    FEW_SHOT,
    MONOLINGUAL,
    few_shot_utterances,
    find_language,
    language_of,
    normalize,
    prepare_ml_superb,
)
from s3prl_sb.corpora.toys.ml_superb import ml_superb
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.characters import characters_of
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tokenizers import MarkTokenizer, from_spec
from s3prl_sb.lobes.heads.subsampled_transformer import (
    PADDING,
    SubsampledTransformerHead,
)
from s3prl_sb.lobes.heads.transformers import TransformerEncoder
from s3prl_sb.lobes.spec_augment import SpecAugment
from s3prl_sb.metrics.languages import cer_of_languages, identification_accuracy


def write(home, numbers, seconds=0.1, lists=("10min",), text="It's [uh] late!"):
    """Writes a source of a language, whose lists all have the same utterances."""
    (home / "wav").mkdir(parents=True, exist_ok=True)
    names = [f"{home.parent.name}_{home.name}_{number:06d}" for number in numbers]
    for name in names:
        samples = numpy.zeros(int(16000 * seconds))
        soundfile.write(home / "wav" / f"{name}.wav", samples, 16000)
    for minutes in lists:
        for split in ("train", "dev", "test"):
            lines = "".join(f"{name} who {text}\n" for name in names)
            path = home / f"transcript_{minutes}_{split}.txt"
            path.write_text(lines, "utf-8")
    return names


def prepared(*args, **kwargs):
    paths = prepare_ml_superb(*args, **kwargs)
    return {split: manifest.read(path) for split, path in paths.items()}


def test_a_set_trains_on_one_source_and_is_tested_on_all(tmp_path):
    first = write(tmp_path / "eighth_version/mls/eng", [1, 2])
    others = write(tmp_path / "eighth_version/nchlt/eng", [3])
    write(tmp_path / "eighth_version/mls/deu", [1])
    splits = prepared(tmp_path, tmp_path / "save", "eng1")
    assert list(splits["train"]) == list(splits["valid"]) == first
    assert list(splits["test"]) == first + others
    record = splits["test"][others[0]]
    assert (record["text"], record["language"]) == ("ITS LATE", "eng")
    splits = prepared(tmp_path, tmp_path / "save", "nchlt/eng")
    assert list(splits["train"]) == others


def test_an_hour_is_of_the_training_set_only(tmp_path):
    write(tmp_path / "mls/eng", [1], lists=("10min",))
    write(tmp_path / "mls/eng", [2], lists=("1h",))
    splits = prepared(tmp_path, tmp_path / "save", "eng1", duration="1h")
    names = {split: list(records) for split, records in splits.items()}
    short = ["mls_eng_000001"]
    assert names == {"train": ["mls_eng_000002"], "valid": short, "test": short}
    with pytest.raises(ManifestError, match="duration: '2h'. There are 10min and 1h"):
        prepared(tmp_path, tmp_path / "save", "eng1", duration="2h")


def test_few_shot_languages_train_on_five_utterances(tmp_path):
    write(tmp_path / "fleurs/kea", [52, 53, 70])
    write(tmp_path / "mls/eng", [52])
    splits = prepared(tmp_path, tmp_path / "save")
    assert list(splits["train"]) == [
        "fleurs_kea_000052",
        "fleurs_kea_000070",
        "mls_eng_000052",
    ]
    assert len(splits["valid"]) == len(splits["test"]) == 4
    splits = prepared(tmp_path, tmp_path / "save", "fleurs/kea")
    assert len(splits["train"]) == 3  # a set of its own has all
    assert len(FEW_SHOT) == 20 and len(few_shot_utterances()) == 100
    assert not set(FEW_SHOT) & {name[:3] for name in MONOLINGUAL}


def test_what_is_left_out(tmp_path, caplog):
    """Long utterances of training, empty files, texts without letters."""
    write(tmp_path / "swc/deu", [1], seconds=0.3)
    write(tmp_path / "mls/deu", [2], seconds=0.1)
    write(tmp_path / "nst/deu", [3], seconds=0)
    write(tmp_path / "cv/deu", [4], text="[Musik] -!?")
    with caplog.at_level(logging.INFO):
        splits = prepared(tmp_path, tmp_path / "save", longest=0.2)
    assert list(splits["train"]) == ["mls_deu_000002"]
    assert list(splits["valid"]) == ["mls_deu_000002", "swc_deu_000001"]
    words = caplog.text
    assert "1 utterances of more than 0.2 s are left out" in words
    assert "1 recordings are empty and are left out" in words
    assert "1 utterances without any letter are left out" in words
    assert "1 languages, and 143 are published" in words


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"language": "eng9"}, "'eng9' is none of eng1, .*nor a source and a language"),
        ({"language": "rus"}, r"M-AILABS/rus: no such folder.*There are mls/eng"),
        ({"languages": ["eng", "xyz"]}, "'xyz' is not in .*, which has eng"),
    ],
)
def test_wrong_languages(tmp_path, keys, words):
    write(tmp_path / "mls/eng", [1])
    with pytest.raises(ManifestError, match=words):
        prepared(tmp_path, tmp_path / "save", **keys)
    find_language(str(tmp_path), "eng1")


def test_wrong_folders_and_lines(tmp_path):
    with pytest.raises(ManifestError, match="no <source>/<language>/wav"):
        prepared(tmp_path, tmp_path / "save")
    write(tmp_path / "mls/eng", [1])
    path = tmp_path / "mls/eng/transcript_10min_dev.txt"
    path.write_text("mls_eng_000001 who\n")
    with pytest.raises(ManifestError, match=r"dev.txt:1: .* A line is an id, a name"):
        prepared(tmp_path, tmp_path / "save", "eng1")
    path.write_text("mls_eng_000001 who A\nmls_eng_000001 who B\n")
    with pytest.raises(ManifestError, match=r"dev.txt:2: .* again, first .*:1"):
        prepared(tmp_path, tmp_path / "save", "eng1")
    path.unlink()
    with pytest.raises(ManifestError, match="transcript_10min_dev.txt"):
        prepared(tmp_path, tmp_path / "save", "eng1")


def test_texts():
    assert normalize("¿Qué? L'été — [bruit] a-t-il") == "¿QUÉ LÉTÉ — ATIL"
    assert normalize("[a] b [c]") == ""  # ESPnet's brackets reach to the last one
    assert normalize("[a (b) c] d") == "A B C D"


def test_tokens_with_marks():
    tokenizer = characters_of(["[fra] ÉTÉ", "[eng] A B"], ["[eng]", "[fra]"])
    text = "[fra] a été"
    assert tokenizer.decode(tokenizer.encode(text)) == "[fra] A ÉTÉ"
    assert tokenizer.tokens[-2:] == ["[eng]", "[fra]"]
    assert "[" not in tokenizer.tokens
    again = from_spec(tokenizer.spec())
    assert type(again) is MarkTokenizer and again.tokens == tokenizer.tokens
    assert again.encode(text) == tokenizer.encode(text)
    unspaced = characters_of(["[jpn] あ"], ["[jpn]"])
    assert " " in unspaced.tokens  # between the mark and the text
    assert unspaced.decode(unspaced.encode("[jpn] あ")) == "[jpn] あ"
    assert without_marks("[jpn] あ [ い [う]", {"[jpn]"}) == "あ [ い [う]"
    assert characters_of(["[eng] aB"], ["[eng]"], upper=False).encode("b")[0] == 2


def test_error_rates_of_languages():
    """Against a count by hand; the mean weighs languages alike."""
    true = {"a": "AB", "b": "ABCD", "c": "XY"}
    predicted = {"a": "A", "b": "ABCD", "c": "ZZ"}
    found = cer_of_languages(predicted, true, {"a": "eng", "b": "eng", "c": "kea"})
    assert {k: (v.total, v.tokens) for k, v in found.items()} == {
        "eng": (1, 6),
        "kea": (2, 2),
    }
    assert (
        identification_accuracy({"a": "[eng] A", "b": ""}, {"a": "[eng]", "b": "x"})
        == 0.5
    )


class Scoring(MultilingualBrain):
    """The Brain without the rest."""

    def __init__(self, languages):
        self.languages = languages


def test_few_shot_languages_are_scored_apart():
    brain = Scoring({"a": "eng", "b": "deu", "c": "kea"})
    true = {"a": "[eng] ABCD", "b": "[deu] AB", "c": "[kea] AB"}
    predicted = {"a": "[eng] ABCD", "b": "[eng] A", "c": "CD"}
    scores = brain.score(predicted, true)
    assert scores == {
        "accuracy": 0.5,
        "accuracy_few_shot": 0.0,
        "cer": pytest.approx(1 / 6),
        "cer_of_languages": pytest.approx(0.25),
        "cer_few_shot": 1.0,
        "cer_of_languages_few_shot": 1.0,
    }
    plain = {name: text.partition(" ")[2] for name, text in true.items()}
    assert brain.score(plain, plain).keys() == {k for k in scores if "acc" not in k}
    assert brain.score({"c": "AB"}, {"c": "AB"})["cer"] == 0.0  # few-shot ones only


def test_brackets_of_texts_are_no_marks_of_languages():
    brain = Scoring({"a": "eng", "b": "eng"})
    true = {"a": "[NOISE]", "b": "A [X]"}
    scores = brain.score({"a": "", "b": "A [X]"}, true)
    assert scores == {"cer": pytest.approx(7 / 12), "cer_of_languages": scores["cer"]}
    for mark in ("[eng]", "[ENG]"):  # as tokens are
        marked = {name: f"{mark} {text}" for name, text in true.items()}
        scores = brain.score({**marked, "a": f"{mark} [NOISE"}, marked)
        assert scores["accuracy"] == 1 and scores["cer"] == pytest.approx(1 / 12)


def test_ids_of_two_languages():
    eng, deu = {"a": {"language": "eng"}}, {"a": {"language": "deu"}}
    assert languages_of({"train": eng, "test": eng}) == {"a": "eng"}
    with pytest.raises(ManifestError, match="test: 'a' is in the language 'deu', and"):
        languages_of({"train": eng, "test": deu})


def test_lines_end_as_in_an_editor(tmp_path):
    """Not at the separators and controls that texts of the web have inside."""
    write(tmp_path / "mls/eng", [1])
    name, text = "mls_eng_000001", "a\u2028b\x85c\x0bd\x1ce"
    for split in ("train", "dev", "test"):
        path = tmp_path / f"mls/eng/transcript_10min_{split}.txt"
        path.write_bytes(f"{name} who {text}\r\n\r\n".encode())
    splits = prepared(tmp_path, tmp_path / "save", "eng1")
    assert splits["test"][name]["text"] == "A B C D E"


def test_the_mean_over_sets_is_over_languages():
    """Two sets of English count as one."""
    names = ("eng1", "eng2", "rus")
    parts = Parts("language", names, group=language_of)
    rates = [{"chosen_by": {"metric": "cer"}, "metrics": {"cer": r}} for r in (2, 4, 9)]
    means = _of_parts(parts, rates, "metrics")
    assert means == {"cer": 6, "cer_eng1": 2, "cer_eng2": 4, "cer_rus": 9}
    assert _of_parts(parts._replace(group=str), rates, "metrics")["cer"] == 5
    others = parts._replace(values=parts.chosen(["eng1", "fleurs/eng", "fleurs/por"]))
    assert [others.folder(name) for name in others.values][1] == "fleurs-eng"
    means = _of_parts(others, rates, "metrics")
    assert means == {"cer": 6, "cer_eng1": 2, "cer_fleurs-eng": 4, "cer_fleurs-por": 9}


def small_head():
    torch.manual_seed(0)
    return SubsampledTransformerHead(24, 5, 20, 8, 1, 2, 16).eval()


def test_head():
    """Its shapes and padding, and one output frame from plain torch."""
    head = small_head()
    with torch.no_grad():
        x = torch.randn(2, 21, 24)
        lens = torch.tensor([1.0, 12 / 21])
        together = head(x, lens)
        alone = head(x[1:, :12], torch.ones(1))
        torch.testing.assert_close(together[1:, :6], alone)
        assert together.shape == (2, 11, 5) and alone.shape == (1, 6, 5)
        assert head(x[:, :1], torch.ones(2)).shape == (2, 1, 5)
        # ESPnet pads nothing: its frames are those in the middle
        y = head.reduction(x[:1] - x[:1].mean(1, keepdim=True))[:, None]
        padded = torch.nn.functional.pad(y, (0, 0, *PADDING))
        count = (21 - 1) // 2 - 2
        inner = head.convolutions(padded)[:, :, 1 : 1 + count]
        torch.testing.assert_close(inner, head.convolutions(y))


def test_scaled_positions():
    torch.manual_seed(0)
    one = TransformerEncoder(8, 16, num_layers=1, scaled=True).eval()
    other = TransformerEncoder(8, 16, num_layers=1).eval()
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        other.projection.weight *= 4
        other.projection.bias *= 4
        x = torch.randn(1, 5, 8)
        torch.testing.assert_close(one(x, torch.ones(1)), other(x, torch.ones(1)))


def test_time_masks_of_a_share_of_the_utterance():
    augment = SpecAugment(0, channel_masks=0, time_masks=1, time_share=0.5)
    torch.manual_seed(0)
    widths = []
    for _ in range(50):
        out = augment(torch.ones(2, 40, 3), torch.tensor([1.0, 0.25]))
        widths.append([40 - int(out[0, :, 0].sum()), 10 - int(out[1, :, 0].sum())])
    most = torch.tensor(widths).amax(0).tolist()
    assert most[0] in range(15, 20) and most[1] in range(3, 5)
    with pytest.raises(ValueError, match="time_share is above 0"):
        SpecAugment(time_share=0)


def test_toy(tmp_path):
    """It has both tracks; few-shot languages have the utterances to train on."""
    pytest.importorskip("espeakng_loader")
    toy = ml_superb(tmp_path / "toy", utterances=8, languages=["deu", "epo", "jpn"])
    splits = prepared(str(toy), tmp_path / "save")
    languages = {r["language"] for r in splits["train"].values()}
    assert languages == {"deu", "epo", "jpn"}
    assert {n for n in splits["train"] if "_epo_" in n} == {
        "cv_epo_000006",
        "cv_epo_000039",
    }
    counts = {split: len(records) for split, records in splits.items()}
    assert counts == {"train": 8, "valid": 8, "test": 8}
    splits = prepared(str(toy), tmp_path / "save", "deu2", duration="1h")
    assert len(splits["train"]) == 4 and len(splits["test"]) == 4
    assert ml_superb(tmp_path / "toy", 8, ["deu", "epo", "jpn"]) == toy
    with pytest.raises(ValueError, match="At least 8"):
        ml_superb(tmp_path / "other", utterances=4)
