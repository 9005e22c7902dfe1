import csv
import itertools
import types

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.dataio.tokenizers import CharacterTokenizer
from s3prl_sb.lobes.heads.blstm import BLSTMHead

SIZE = 5
TOKENIZER = CharacterTokenizer(characters="|AB", specials=["<s>"], end=["|"])


class Texts(CTCBrain):
    """Counts the right texts."""

    metric = "wrong"

    def score(self, hypotheses, references):
        wrong = [hypotheses[name] != text for name, text in references.items()]
        return {"wrong": sum(wrong) / len(wrong)}


def make_brain(tmp_path, head=None, decoder=None, **hparams):
    """A Brain over features that are cached, so that it needs no upstream."""
    hparams = {
        "upstream_model": types.SimpleNamespace(freeze=True),
        "opt_class": None,
        "output_folder": str(tmp_path),
        **hparams,
    }
    head = head or torch.nn.Identity()
    modules = {"featurizer": torch.nn.Identity(), "head": Ignoring(head)}
    brain = Texts(TOKENIZER, decoder, modules=modules, hparams=hparams)
    brain.start_stage(sb.Stage.VALID)
    brain.modules.eval()
    return brain


class Ignoring(torch.nn.Module):
    """A head that may want lengths or not."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, features, lens):
        if isinstance(self.head, BLSTMHead):
            return self.head(features, lens)
        return self.head(features)


def make_batch(texts, frames, size=4):
    """Features at random, the same for the same text."""
    examples = []
    for name, text, n in zip("abcdef", texts, frames):
        tokens = TOKENIZER.encode(text)
        feats = torch.randn(n, size, generator=torch.Generator().manual_seed(n))
        examples.append(
            {
                "id": name,
                "feats": feats,
                "tokens_list": tokens,
                "tokens": torch.LongTensor(tokens),
                "reference": TOKENIZER.normalize(text),
            }
        )
    return PaddedBatch(examples)


def step(brain, batch, stage=sb.Stage.VALID):
    """The loss of a batch."""
    return brain.compute_objectives(brain.compute_forward(batch, stage), batch, stage)


def negative_log_likelihood(log_probs, tokens):
    """Sums over all alignments, one by one."""
    scores = []
    for alignment in itertools.product(
        range(log_probs.shape[1]), repeat=len(log_probs)
    ):
        if [t for t, _ in itertools.groupby(alignment) if t] == tokens:
            scores.append(log_probs[range(len(log_probs)), alignment].sum())
    return -torch.logsumexp(torch.stack(scores), 0)


def test_loss_is_that_of_all_alignments(tmp_path):
    brain = make_brain(tmp_path)
    batch = make_batch(["A", "BA"], [4, 6])
    expected = [
        negative_log_likelihood(torch.log_softmax(x[:n], -1), tokens) / len(tokens)
        for x, n, tokens in zip(batch.feats.data, (4, 6), batch.tokens_list)
    ]
    assert step(brain, batch) == pytest.approx(float(sum(expected)) / 2, rel=1e-5)


def test_batch_and_alone_are_equal(tmp_path):
    torch.manual_seed(1)
    head = BLSTMHead(4, num_classes=4, projection_size=SIZE, hidden_size=SIZE)
    texts, frames = ["A", "BA", "ABBA", "B"], [9, 21, 30, 14]
    whole, alone = make_brain(tmp_path, head), make_brain(tmp_path, head)
    with torch.no_grad():
        loss = step(whole, make_batch(texts, frames))
        losses = []
        for name, text, n in zip("abcd", texts, frames):
            batch = make_batch([text], [n])
            batch.id[0] = name
            losses.append(step(alone, batch))
    assert loss.item() == pytest.approx(sum(losses).item() / 4, rel=1e-5)
    assert whole.hypotheses == alone.hypotheses
    assert whole.references == alone.references == dict(zip("abcd", texts))


def test_padding_is_neither_decoded_nor_learned(tmp_path):
    brain = make_brain(tmp_path)
    batch = make_batch(["A", "BA"], [5, 50])
    first = step(brain, batch), dict(brain.hypotheses)
    batch.feats.data[0, 5:] = torch.randn(45, 4) * 100
    assert (step(brain, batch), brain.hypotheses) == first


def test_impossible_utterances_are_named_once(tmp_path, caplog):
    brain = make_brain(tmp_path)
    # A B B | needs five frames, as a blank must be between the Bs.
    batch = make_batch(["ABB", "A", "BBBB"], [4, 4, 3])
    loss = step(brain, batch, sb.Stage.TRAIN)
    alone = step(brain, make_batch(["A"], [4]), sb.Stage.TRAIN)
    assert loss.item() == pytest.approx(alone.item() / 3)  # the others count zero
    step(brain, batch)
    assert brain.impossible == {"a", "c"}
    assert caplog.text.count("cannot be learned") == 1
    assert "utterance 'a' has 4 frames, and its 4 tokens need 5" in caplog.text
    brain.stage_stats(sb.Stage.VALID)
    brain.stage_stats(sb.Stage.VALID)
    message = "2 utterances have fewer frames than their tokens need"
    assert caplog.text.count(message) == 1
    possible = make_brain(tmp_path)
    assert torch.isfinite(step(possible, make_batch(["ABB"], [5])))
    assert not possible.impossible


def test_augmented_in_training_only(tmp_path):
    def augment(features, lens):
        assert lens.tolist() == [1.0]
        return features * 0

    brain = make_brain(tmp_path, spec_augment=augment)
    batch = make_batch(["A"], [6])
    uniform, _ = brain.compute_forward(batch, sb.Stage.TRAIN)
    assert torch.allclose(uniform, torch.tensor(0.25).log())
    for stage in (sb.Stage.VALID, sb.Stage.TEST):
        assert not torch.allclose(*(brain.compute_forward(batch, stage)[0], uniform))


def test_decoder_on_the_test_set_only(tmp_path):
    seen = []

    def decoder(log_probs):
        seen.append(list(log_probs.shape))
        return "AB" if len(seen) == 1 else None

    brain = make_brain(tmp_path, decoder=decoder)
    batch = make_batch(["AB", "B"], [7, 5])
    step(brain, batch)
    assert not seen and set(brain.stage_stats(sb.Stage.VALID)) == {"wrong"}
    brain.start_stage(sb.Stage.TEST)
    step(brain, batch, sb.Stage.TEST)
    assert seen == [[7, 4], [5, 4]]  # true frames
    # Where it finds none, what was decoded greedily stands.
    assert brain.hypotheses_lm == {"a": "AB", "b": brain.hypotheses["b"]}
    stats = brain.stage_stats(sb.Stage.TEST)
    assert set(stats) == {"wrong", "wrong_lm"}
    assert stats["wrong_lm"] == (brain.hypotheses["b"] != "B") / 2


def test_files(tmp_path):
    brain = make_brain(tmp_path)
    brain.references = {"b,1": "A B", "a": ""}
    brain.hypotheses = {"a": "B", "b,1": "A"}
    brain.write_predictions()
    assert (tmp_path / "hyp.txt").read_text() == "a\tB\nb,1\tA\n"
    assert (tmp_path / "ref.txt").read_text() == "b,1\tA B\na\t\n"
    assert not (tmp_path / "hyp_lm.txt").exists()
    brain.hypotheses_lm = {"a": "A", "b,1": "AA"}
    brain.write_predictions()
    assert (tmp_path / "hyp_lm.txt").read_text() == "a\tA\nb,1\tAA\n"
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "id": "b,1",
        "reference": "A B",
        "prediction": "A",
        "prediction_lm": "AA",
    }


def test_interface_carries_tokenizer_and_search(tmp_path):
    import functools

    options = functools.partial(print, lm="here.arpa", lexicon=None, beam=7)
    interface = make_brain(tmp_path, lm_decoding=options).interface()
    assert interface["head"] == {"num_classes": len(TOKENIZER)}
    assert interface["hparams"] == {
        "tokenizer": TOKENIZER.spec(),
        "lm": None,
        "lexicon": None,
        "lm_decoding": {"beam": 7},
    }


# -------------------------------------------------------------------------- head
def test_head_is_superbs():
    with torch.device("meta"):
        head = BLSTMHead(768, num_classes=32)
    count = sum(parameter.numel() for parameter in head.parameters())
    # Projection, two layers of two directions of four gates with two biases, tokens.
    layers = [2 * 4 * (1024 * (size + 1024) + 2 * 1024) for size in (1024, 2048)]
    assert count == 769 * 1024 + sum(layers) + 2049 * 32
    assert round(count / 1e6, 1) == 42.8


def test_head_does_not_see_padding_or_the_batch():
    head = BLSTMHead(4, 3, projection_size=6, hidden_size=5).eval()
    x, frames = torch.randn(3, 20, 4), (20, 7, 13)
    with torch.no_grad():
        together = head(x, torch.tensor(frames) / 20)
        assert together.shape == (3, 20, 3)
        for row, features, n in zip(together, x, frames):
            alone = head(features[None, :n], torch.ones(1))[0]
            torch.testing.assert_close(row[:n], alone)


def test_head_drops_out_after_each_layer_in_training():
    features, lens = torch.randn(2, 10, 4), torch.ones(2)
    for layers in (1, 2):
        head = BLSTMHead(4, 3, 6, 5, num_layers=layers, dropout=0.5)
        assert not torch.equal(head(features, lens), head(features, lens))
        head.eval()
        assert torch.equal(head(features, lens), head(features, lens))
