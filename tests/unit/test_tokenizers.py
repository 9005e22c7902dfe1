import json

import pytest
import sentencepiece

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.tokenizers import (
    LETTERS,
    PHONES,
    CharacterTokenizer,
    SentencePieceTokenizer,
    SlotTokenizer,
    SymbolTokenizer,
    from_spec,
)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """The model of a tiny text."""
    folder = tmp_path_factory.mktemp("pieces")
    text = folder / "text.txt"
    text.write_text("THE CAT SAT\nTHE DOG SAT ON THE CAT\nA CAT AND A DOG\n" * 10)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tiny"),
        vocab_size=16,
        minloglevel=9,
    )
    return folder / "tiny.model"


def test_characters_are_those_of_s3prl():
    tokenizer = CharacterTokenizer()
    assert len(tokenizer) == 32 and tokenizer.blank == 0
    assert tokenizer.tokens[:6] == ["<s>", "<pad>", "</s>", "<unk>", "|", "E"]
    assert sorted(LETTERS) == sorted("|'ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    # A space is |, and every utterance ends with | and </s>.
    tokens = [tokenizer.tokens[i] for i in tokenizer.encode("Don't stop")]
    assert tokens == [*"DON'T|STOP|", "</s>"]


def test_decoding_leaves_out_what_is_no_text():
    tokenizer = CharacterTokenizer()
    a, space = tokenizer.indices["A"], tokenizer.indices["|"]
    assert tokenizer.decode([0, 1, 2, 3]) == ""
    assert tokenizer.decode([space, a, 0, space, space, 3, a, a, 2]) == "A AA"
    assert tokenizer.decode([]) == ""


def test_white_space_does_not_matter():
    tokenizer = CharacterTokenizer()
    assert tokenizer.encode(" A\tCAT \n") == tokenizer.encode("A CAT")
    assert tokenizer.encode("") == tokenizer.end
    assert SymbolTokenizer().encode(" B  D ") == SymbolTokenizer().encode("B D")


@pytest.mark.parametrize(
    "tokenizer, text, unknown, way_out",
    [
        (CharacterTokenizer(), "CAFÉ 2", "'2', 'É'", "more characters"),
        (CharacterTokenizer(upper=False), "Cat", "'a', 't'", "more characters"),
        (CharacterTokenizer(), "A|B <s>", "'<', '>'", "more characters"),
        (SymbolTokenizer(), "HH AX <eos>", "'<eos>', 'AX'", "more symbols"),
        (SlotTokenizer(["city"]), "B-town ROME", "'-'", "more characters"),
    ],
)
def test_what_is_unknown_is_named(tokenizer, text, unknown, way_out):
    with pytest.raises(ValueError) as error:
        tokenizer.encode(text)
    message = str(error.value)
    assert message.startswith(f"{unknown} in '{text}' is none of the {len(tokenizer)}")
    assert way_out in message and "unknown: <unk>" in message


def test_what_is_unknown_may_have_a_token():
    tokenizer = CharacterTokenizer(unknown="<unk>")
    indices = tokenizer.encode("CAFÉ")
    assert [tokenizer.tokens[i] for i in indices] == [*"CAF", "<unk>", "|", "</s>"]
    assert tokenizer.decode(indices) == "CAF"


def test_phones_are_superbs():
    tokenizer = SymbolTokenizer()
    assert len(PHONES) == 71 and len(tokenizer) == 74
    assert tokenizer.tokens[:5] == ["<pad>", "<eos>", "<unk>", "SIL", "SPN"]
    assert tokenizer.tokens[5:8] == ["AA0", "AA1", "AA2"]
    assert tokenizer.tokens[-1] == "ZH" and len(set(PHONES)) == 71
    assert sum(phone[-1] in "012" for phone in PHONES) == 45
    assert tokenizer.encode("ZH")[-2:] == [73, 1]
    assert tokenizer.decode([73, 0, 73, 2, 1]) == "ZH ZH"


def test_slots():
    slots = [f"slot_{i}" for i in range(39)]
    tokenizer = SlotTokenizer(slots)
    assert len(tokenizer) == 3 + 28 + 2 * 39
    assert tokenizer.tokens[:5] == ["<pad>", "<eos>", "<unk>", " ", "A"]
    text = "B-slot_1 NEW YORK E-slot_1 B-slot_0 TODAY E-slot_0 NOW"
    tokens = [tokenizer.tokens[i] for i in tokenizer.encode(text)]
    expected = ["B-slot_1", *"NEW YORK", "E-slot_1", " ", "B-slot_0", *"TODAY"]
    assert tokens == [*expected, "E-slot_0", *" NOW", "<eos>"]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    # Case is that of the slot where it is one, however the words are written.
    assert tokenizer.encode("B-slot_1 New York E-slot_1") == tokenizer.encode(
        "B-slot_1 NEW YORK E-slot_1"
    )
    # Marks are words of their own also where no space was predicted.
    found = [tokenizer.indices[t] for t in ("A", "B-slot_1", "B", "E-slot_1", "C")]
    assert tokenizer.decode(found) == "A B-slot_1 B E-slot_1 C"


def test_sentencepieces(pieces):
    tokenizer = SentencePieceTokenizer(str(pieces))
    assert tokenizer.tokens[0] == "<blank>" and len(tokenizer) == 17
    model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    text = "THE DOG AND THE CAT"
    assert tokenizer.encode(text) == [i + 1 for i in model.encode(text)]
    assert tokenizer.decode([0, *tokenizer.encode(text), 0]) == text
    with pytest.raises(ValueError, match="'Z' in 'THE Z' is none .* unknown: True"):
        tokenizer.encode("THE Z")
    lenient = SentencePieceTokenizer(str(pieces), unknown=True)
    assert lenient.decode(lenient.encode("THE Z")).strip() == "THE"


def test_rebuilt_from_json(pieces):
    tokenizers = (
        (CharacterTokenizer(characters="|AB", unknown="<unk>"), "AB BÄ"),
        (SlotTokenizer(["city"]), "TO B-city ROME E-city"),
        (SymbolTokenizer(["x", "y"], specials=["-"], end=[]), "x y x"),
        (SentencePieceTokenizer(str(pieces)), "THE CAT"),
    )
    for tokenizer, text in tokenizers:
        again = from_spec(json.loads(json.dumps(tokenizer.spec())))
        assert type(again) is type(tokenizer) and again.tokens == tokenizer.tokens
        indices = tokenizer.encode(text)
        assert again.encode(text) == indices
        assert again.decode(indices) == tokenizer.decode(indices)
        assert again.spec() == tokenizer.spec()


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="twice: 'A'"):
        CharacterTokenizer(characters="|ABA")
    with pytest.raises(ValueError, match="'</s>' is none of the 4 tokens"):
        SymbolTokenizer(["a"], end=["</s>"])
    with pytest.raises(ValueError, match="'Words' is no tokenizer; there are Char"):
        from_spec({"class": "Words"})
    with pytest.raises(ValueError, match="either model_file or model"):
        SentencePieceTokenizer()
    with pytest.raises(
        FileNotFoundError, match="no sentencepiece model at '.*x.model'"
    ):
        SentencePieceTokenizer(str(tmp_path / "x.model"))


def test_pipe():
    records = {"a": {"text": "NO"}, "b": {"text": "ON"}}
    pipe = EncodeTokens(CharacterTokenizer())
    dataset = ManifestDataset(records, [pipe], ["tokens_list", "tokens"])
    for i in range(2):
        assert dataset[i]["tokens"].tolist() == dataset[i]["tokens_list"]
    assert dataset[0]["tokens_list"][:2] == dataset[1]["tokens_list"][1::-1]
    assert dataset.variants(0) == 1  # so that features can be cached


def test_references_keep_what_is_unknown():
    """Else a model that leaves it out would be right."""
    letters = CharacterTokenizer(unknown="<unk>")
    slots = SlotTokenizer(["artist"], unknown="<unk>")
    phones = SymbolTokenizer(unknown="<unk>")
    for tokenizer, text, expected in (
        (letters, "the  year 1984 über", "THE YEAR 1984 ÜBER"),
        (slots, "Play B-artist  M83 E-artist now", "PLAY B-artist M83 E-artist NOW"),
        (phones, "HH  AH0 XX", "HH AH0 XX"),
    ):
        records = {"a": {"text": text}}
        dataset = ManifestDataset(records, [EncodeTokens(tokenizer)], ["reference"])
        assert dataset[0]["reference"] == expected
        known = tokenizer.decode(tokenizer.encode(text))
        assert known != expected and tokenizer.normalize(known) == known


def test_the_space_is_a_character():
    tokenizer = CharacterTokenizer("AB")
    assert tokenizer.decode(tokenizer.encode("a b")) == "A B"
    assert tokenizer.tokens == CharacterTokenizer("|AB").tokens


def test_pipe_names_the_utterance_before_training():
    records = {"a": {"text": "NO"}, "b 1": {"text": "NÖ"}}
    with pytest.raises(ValueError, match="(?s)'b 1' .*'Ö' in 'NÖ' is none"):
        ManifestDataset(records, [EncodeTokens(CharacterTokenizer())])
