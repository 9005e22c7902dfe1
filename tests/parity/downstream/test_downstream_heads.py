"""Heads, losses and gradients against S3PRL's own, for the same weights and batch.

Limits are relative to the largest value of a tensor: 2e-6 where one product
follows another, 2e-5 where fp32 rounds through hundreds of recurrent steps. The
gradient of CTC sums exponentials over all paths: how fp32 rounds there depends on the
instructions of the CPU (2.7e-5 on one, 1e-6 on another), so its limit is 1e-4.
"""

import peer_values
import pytest
import speechbrain as sb
import torch
from peer_values import Values, batch_of, brain, error, gradient_errors, with_weights

from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.brains.diarization import DiarizationBrain
from s3prl_sb.brains.intents import IntentBrain
from s3prl_sb.brains.verification import VerificationBrain
from s3prl_sb.dataio.tokenizers import CharacterTokenizer, SymbolTokenizer
from s3prl_sb.lobes import margin_losses
from s3prl_sb.lobes.heads.blstm import BLSTMHead
from s3prl_sb.lobes.heads.diarization import RecurrentDiarizer
from s3prl_sb.lobes.heads.frames import FrameClassifier
from s3prl_sb.lobes.heads.statistics_pooling import statistics
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.lobes.heads.xvector import XVector

SIZE, LIMIT, RECURRENT, CTC_GRADIENT = 12, 2e-6, 2e-5, 1e-4
TRAIN = sb.Stage.TRAIN


def check(values, modules, features, loss, limit, gradient_limit=None):
    """The loss and all gradients."""
    assert error(loss, values["loss"]) < limit
    loss.backward()
    errors = gradient_errors(values, modules, features)
    assert max(errors.values()) < (gradient_limit or limit), errors


@pytest.mark.parametrize("task, classes", [("KS", 12), ("SID", 1251), ("ER", 4)])
def test_classification(task, classes):
    values = Values(task)
    modules = with_weights(values, UtteranceClassifier(SIZE, classes, 8))
    features, lens, _ = values.batch()
    logits = modules["head"](features, lens)
    assert error(logits, values["logits"]) < LIMIT
    labels = torch.tensor(values.facts["labels"])[:, 0]
    loss = ClassificationBrain.compute_objectives(
        brain(ClassificationBrain), logits, batch_of(label_encoded=labels), TRAIN
    )
    check(values, modules, features, loss, LIMIT)


def test_intents():
    values = Values("IC")
    modules = with_weights(values, UtteranceClassifier(SIZE, 24, 8))
    features, lens, _ = values.batch()
    logits = modules["head"](features, lens)
    assert error(logits, values["logits"]) < LIMIT
    slots = values.facts["targets"]["values"]
    labels = torch.tensor(values.facts["labels"])
    encoded = {f"{slot}_encoded": labels[:, i] for i, slot in enumerate(slots)}
    names = ("action", "object", "location")
    assert sorted(slots) == sorted(names)
    encoded = {f"{slot}_encoded": labels[:, i] for i, slot in enumerate(names)}
    made = brain(IntentBrain, slots={name: slots[name] for name in names})
    loss = made.compute_objectives(logits, batch_of(**encoded), TRAIN)
    check(values, modules, features, loss, LIMIT)


def tokenizer_of(task):
    """The tokenizer of a CTC task; of slots, S3PRL's have one without a name."""
    if task == "SF":
        return slot_tokenizer(Values("SF").facts["targets"]["vocabulary"])
    return {"PR": SymbolTokenizer, "ASR": CharacterTokenizer}[task]()


def slot_tokenizer(vocabulary):
    """Ours for the slots of a vocabulary of S3PRL's."""
    from s3prl_sb.dataio.tokenizers import SlotTokenizer

    return SlotTokenizer([t[2:] for t in vocabulary if t.startswith("B-")])


def head_of(task):
    """The head of a CTC task in the size of the fixtures."""
    if task == "PR":
        return FrameClassifier(SIZE, 74, 8)
    projection = 8
    return BLSTMHead(SIZE, len(tokenizer_of(task)), projection, 20, 2, dropout=0.0)


@pytest.mark.parametrize("task", ["PR", "ASR", "SF"])
def test_ctc(task):
    values, tokenizer = Values(task), tokenizer_of(task)
    limit = LIMIT if task == "PR" else RECURRENT
    modules = with_weights(values, head_of(task))
    features, lens, frames = values.batch()
    logits = modules["head"](features, lens)
    for i, n in enumerate(frames.tolist()):
        assert error(logits[i, :n], values["logits"][i, :n]) < limit
    labels = [torch.tensor(row) for row in values.facts["labels"]]
    sizes = torch.tensor([len(row) for row in labels])
    targets = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True)
    batch = batch_of(
        id=[str(i) for i in range(len(labels))],
        tokens=(targets, sizes / sizes.max()),
        tokens_list=values.facts["labels"],
    )
    made = brain(CTCBrain, tokenizer=tokenizer, impossible=set())
    log_probs = logits.log_softmax(-1)
    loss = made.compute_objectives((log_probs, lens), batch, TRAIN)
    assert not made.impossible
    check(values, modules, features, loss, limit, CTC_GRADIENT)


@pytest.mark.parametrize("task", ["PR", "ASR", "SF"])
def test_texts_of_a_model(task):
    """Decodes one utterance at a time, as S3PRL evaluates."""
    values, tokenizer = Values(task), tokenizer_of(task)
    modules = with_weights(values, head_of(task), group="later").eval()
    records = values.facts["records"]
    made = brain(CTCBrain, tokenizer=tokenizer, decoder=None, impossible=set())
    made.start_stage(sb.Stage.VALID)
    for i, feature in enumerate(values.group("feature")):
        with torch.no_grad():
            log_probs = modules["head"](feature[None], torch.ones(1)).log_softmax(-1)
        tokens = values.facts["labels"][i]
        batch = batch_of(
            id=[i],
            tokens=(torch.tensor([tokens]), torch.ones(1)),
            tokens_list=[tokens],
            reference=[tokenizer.decode(tokens)],
        )
        made.compute_objectives((log_probs, torch.ones(1)), batch, sb.Stage.VALID)
    if task == "ASR":
        found = [" ".join(words) for words in records["pred_words"]]
        true = [" ".join(words) for words in records["target_words"]]
    else:
        found, true = records["hypothesis"], records["groundtruth"]
    assert list(made.references.values()) == true
    assert list(made.hypotheses.values()) == found
    assert any(found)


def test_diarization():
    values = Values("SD")
    head = RecurrentDiarizer(SIZE, 2, hidden_size=8)
    modules = with_weights(values, head)
    features, lens, frames = values.batch()
    logits = modules["head"](features, lens)
    for i, n in enumerate(frames.tolist()):
        assert error(logits[i, :n], values["logits"][i, :n]) < RECURRENT
    labels = values.group("labels")
    padded = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True)
    batch = batch_of(activity=(padded, lens), id=list("abcd"))
    made = brain(DiarizationBrain)
    loss = made.compute_objectives((logits, lens), batch, TRAIN)
    check(values, modules, features, loss, RECURRENT)
    # What validation counts: S3PRL averages accuracies of batches of one.
    shares = []
    for i, n in enumerate(frames.tolist()):
        made.start_stage(sb.Stage.VALID)
        batch = batch_of(activity=(labels[i][None], torch.ones(1)), id=["a"])
        one = logits[i : i + 1, :n].detach(), torch.ones(1)
        made.compute_objectives(one, batch, sb.Stage.VALID)
        ((right, counted),) = made.right.values()
        shares.append(right / counted)
    assert shares == pytest.approx(values.facts["records"]["acc"], abs=1e-9)


def xvector(values):
    """The head and loss of the fixtures, with S3PRL's weights."""
    speakers = len(values.facts["targets"]["speakers"])
    head = XVector(SIZE, hidden_size=16, pooled_size=24, output_size=16)
    return with_weights(values, head, margin_losses.AMSoftmaxLoss(16, speakers))


def test_verification():
    values = Values("ASV")
    modules = xvector(values).train()
    features, lens, _ = values.batch()
    embeddings = modules["head"](features, lens)
    assert error(embeddings, values["logits"]) < LIMIT
    made = brain(VerificationBrain, modules=modules, counted=0, short=0)
    enough = torch.ones(len(features), dtype=torch.bool)
    labels = torch.tensor(values.facts["labels"])
    batch = batch_of(speaker_encoded=labels)
    loss = made.compute_objectives((embeddings, enough), batch, TRAIN)
    check(values, modules, features, loss, RECURRENT)


def test_embeddings():
    """Embeddings of the evaluation: the first affine layer, normalized."""
    values = Values("ASV")
    head = xvector(values).eval()["head"]
    for feature, expected in zip(values.group("feature"), values.group("embedding")):
        with torch.no_grad():
            found = head(feature[None], torch.ones(1))[0]
        assert error(torch.nn.functional.normalize(found, dim=0), expected) < LIMIT


@pytest.mark.parametrize("name", ["AMSoftmaxLoss", "AAMSoftmaxLoss", "SoftmaxLoss"])
def test_margins(name):
    values = Values("ASV")
    loss = getattr(margin_losses, name)(10, 5)
    weights = values.group(f"margin/{name}/weight")
    if name == "SoftmaxLoss":
        weights = {k.replace("fc", "classifier"): v for k, v in weights.items()}
    else:
        weights = {"weight": weights["W"].T if "W" in weights else weights["weight"]}
    loss.load_state_dict(weights)
    embeddings = values["margin/embeddings"].requires_grad_()
    found = loss(embeddings, values["margin/labels"])
    found.backward()
    assert error(found, values[f"margin/{name}"]) < LIMIT
    assert error(embeddings.grad, values[f"margin/{name}/gradient"]) < RECURRENT


def test_statistics_of_almost_constant_frames():
    """Deviations of 1e-6 and 1e-8 count, and carry gradient; one of zero does not."""
    values = Values("ASV")
    frames = values["pooling/frames"].requires_grad_()
    counts = torch.full((len(frames),), frames.shape[1])
    found = statistics(frames.transpose(1, 2), counts)
    (found * torch.arange(1.0, 11)).sum().backward()
    expected, gradient = values["pooling/vectors"], values["pooling/gradient"]
    for i in range(10):
        close = pytest.approx(expected[:, i].tolist(), rel=1e-5, abs=2e-10)
        assert found[:, i].tolist() == close
    for i in range(5):
        assert error(frames.grad[..., i], gradient[..., i]) < RECURRENT


def test_weights_find_their_place():
    """A name that nobody maps would be a weight that nobody compares."""
    for task in ("KS", "SID", "IC", "ER", "PR", "ASR", "SF", "SD", "ASV"):
        names = Values(task).group("weight")
        mapped = {peer_values.ours(name, value)[0] for name, value in names.items()}
        assert len(mapped) == len(names)
