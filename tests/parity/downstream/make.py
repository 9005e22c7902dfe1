"""Makes the downstream fixtures from S3PRL 0.4.18, next to this script.

In S3PRL's environment (benchmarks/README.md says how to set it up), with
CHECKOUT a clone of S3PRL's repository at its release, and CORPORA made by
``toys.py`` in the environment of this project:

    PYTHONPATH=benchmarks s3prl-env/bin/python tests/parity/downstream/make.py \
        --checkout CHECKOUT --corpora CORPORA --out tests/parity/downstream/fixtures

Of each task there is a TASK.safetensors with a small head of S3PRL's, trained
for a while so that it knows something, features of a batch, logits, loss and
gradients; and a TASK.json with texts, metrics, and the targets of all splits.
All classes are S3PRL's own; features are made up.
"""

import argparse
import json
import random
import tempfile
from collections import Counter
from pathlib import Path

import peer_downstream as peer
import targets
import torch
from peer_search import search
from safetensors.torch import save_file

SIZE = 12  # of the features
BATCH = 4
RNN = {"dim": [20, 20], "dropout": [0.0, 0.0]}
HEADS = {
    **dict.fromkeys(("KS", "SID", "IC", "ER"), {"modelrc.projector_dim": 8}),
    "PR": {"model.project_dim": 8},
    "SF": {"model.project_dim": 8, **{f"model.RNNs.{k}": v for k, v in RNN.items()}},
    "ASR": {
        "modelrc.project_dim": 8,
        **{f"modelrc.RNNs.{k}": v for k, v in RNN.items()},
    },
    "SD": {"modelrc.hidden_size": 8, "datarc.chunk_size": 500},
    "ASV": {"modelrc.input_dim": 16, "modelrc.module_config.XVector.agg_dim": 24},
    "QbE": {},
}
CTC = ("PR", "ASR", "SF")
UPDATES = (20, 80)  # of CTC heads, before gradients and after
UPDATES_OF = {"ASV": 3}  # so small a network of ReLUs soon dies
LOSSES = ("AMSoftmaxLoss", "AAMSoftmaxLoss", "SoftmaxLoss")  # of ASV


def spoken(tokens, each=2, noise=0.4):
    """Features [frames, SIZE] from which tokens can be learned: ``each`` noisy
    frames of a vector for each token."""
    shape = torch.as_tensor(tokens).long().reshape(len(tokens), -1)
    keys = [int(row @ torch.arange(1, row.numel() + 1)) for row in shape]
    vectors = [
        torch.randn(SIZE, generator=torch.Generator().manual_seed(key)) for key in keys
    ]
    frames = torch.stack(vectors).repeat_interleave(each, 0)
    return frames + noise * torch.randn(frames.shape)


def batch_of(task, model):
    """Features of a batch, and what else S3PRL's loader gives with the audio."""
    items = targets.some(task, model, BATCH)
    if task == "SD":
        features = [spoken(labels, each=1, noise=1.0) for labels in items[0]]
    elif task in CTC:
        features = [spoken(tokens) for tokens in items[0]]
    else:
        labels = items[1] if task == "ASV" else items[0]
        # S3PRL's x-vector pools a frame of padding too: there, none.
        lengths = [24] * BATCH if task == "ASV" else range(18, 18 + 3 * BATCH, 3)
        features = [spoken([y], each=n, noise=2.0) for y, n in zip(labels, lengths)]
    return features, items


def learn(model, features, others, updates):
    """Some updates of the whole head."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(updates):
        loss, _ = peer.forward(model, "train", features, others)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def watched(model):
    """A list that gets what the head gives; embeddings for ASV."""
    seen = []
    keep = lambda module, given, out: seen.append(out)  # noqa: E731
    model.model.register_forward_hook(keep)
    return seen


def measured(model, features, others, mode="train"):
    """Loss, logits and all gradients of a batch."""
    model.train()
    model.zero_grad()
    features = [x.clone().requires_grad_() for x in features]
    seen = watched(model)
    loss, records = peer.forward(model, mode, features, others)
    loss.backward()
    logits = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    found = {"loss": loss.detach(), "logits": logits.detach()}
    for name, value in model.named_parameters():
        found[f"weight/{name}"] = value.detach().clone()
        found[f"gradient/{name}"] = value.grad.clone()
    for i, feature in enumerate(features):
        found[f"feature/{i}"] = feature.detach()
        found[f"feature_gradient/{i}"] = feature.grad
    return found, records


def evaluated(task, model, features, others):
    """Texts and numbers of an evaluation, an utterance at a time as S3PRL's."""
    model.eval()
    everything = {}
    split = "test-clean" if task == "ASR" else "test"
    for i, feature in enumerate(features):
        alone = [None if x is None else x[i : i + 1] for x in others]
        if task == "SD":
            alone[-1] = f"recording{i}"
        with torch.no_grad():
            _, records = peer.forward(model, split, [feature], alone)
        for key, values in records.items():
            everything.setdefault(key, []).extend(values)
    numbers, _ = peer.logged(model, split, everything)
    texts = {k: v for k, v in everything.items() if isinstance(v[0], (str, list))}
    return {"metrics": numbers, "records": {**texts, "acc": everything.get("acc")}}


def damaged(references, seed=0):
    """Hypotheses: the texts of references, with words lost, doubled and changed."""
    draw = random.Random(seed)
    words = [word for text in references for word in text.split(" ")]
    found = []
    for text in references:
        damage = []
        for word in text.split(" "):
            kind = draw.random()
            if kind < 0.1:
                continue
            damage.append(draw.choice(words) if kind < 0.2 else word)
            if kind > 0.9:
                damage.append(draw.choice([word, word[:1] or "A"]))
        found.append(" ".join(damage))
    return found


def scored(task, model, references):
    """S3PRL's metrics of damaged texts."""
    hypotheses = damaged(references)
    if task == "ASR":
        units = [" ".join(text.replace(" ", "|")) for text in hypotheses]
        true = [" ".join(text.replace(" ", "|")) for text in references]
        both = [text.split() for text in hypotheses], [t.split() for t in references]
        uer, wer = model._compute_metrics(units, both[0], true, both[1])
        values = {"uer": uer, "wer": wer}
    else:
        from s3prl.downstream.ctc import metric

        values = {
            name: getattr(metric, name)(hypothesis=hypotheses, groundtruth=references)
            for name in model.metrics
        }
    return {"hypotheses": hypotheses, "references": references, "values": values}


def pooled(found):
    """S3PRL's statistics over time where a deviation is tiny, or zero."""
    from s3prl.downstream.sv_voxceleb1.model import SP

    scales = torch.tensor([1.0, 1e-3, 1e-6, 1e-8, 0.0])
    frames = torch.relu(torch.randn(2, 30, 5)) * scales
    frames.requires_grad_()
    vectors = SP(5, 5)(frames, torch.zeros(2, 30))
    (vectors * torch.arange(1.0, 11)).sum().backward()
    found["pooling/frames"] = frames.detach()
    found["pooling/vectors"] = vectors.detach()
    found["pooling/gradient"] = frames.grad


def verification(model, features, others, folder):
    """ASV's losses and embeddings, and S3PRL's EER of many trials."""
    from s3prl.downstream.sv_voxceleb1 import model as losses
    from s3prl.downstream.sv_voxceleb1.utils import EER

    found, _ = measured(model, features, others)
    model.eval()
    with torch.no_grad():
        for i, feature in enumerate(features):
            records = {}
            model("test", [feature], ["name"], records=records)
            found[f"embedding/{i}"] = records["name"]
    embeddings = torch.randn(6, 10)
    labels = torch.tensor([0, 1, 4, 2, 3, 1])
    found["margin/embeddings"], found["margin/labels"] = embeddings, labels
    for name in LOSSES:
        loss = getattr(losses, name)(hidden_dim=10, speaker_num=5)
        given = embeddings.clone().requires_grad_()
        value = loss(given, labels)
        value.backward()
        found[f"margin/{name}"] = value.detach()
        found[f"margin/{name}/gradient"] = given.grad
        for key, weight in loss.named_parameters():
            found[f"margin/{name}/weight/{key}"] = weight.detach()
    pooled(found)
    metrics = {}
    for name, digits in (("fine", 6), ("tied", 1)):
        true = torch.rand(400) < 0.3
        scores = (torch.randn(400) + 1.5 * true).round(decimals=digits)
        found[f"trials/{name}/scores"] = scores
        found[f"trials/{name}/true"] = true.int()
        metrics[name] = float(EER(true.int().numpy(), scores.numpy())[0])
    return found, {"eer": metrics}


def task(name, arguments, folder):
    """(tensors, facts) of a task."""
    torch.manual_seed(list(HEADS).index(name))
    model = peer.expert(
        name, arguments.checkout, arguments.corpora, folder, SIZE, HEADS[name]
    )
    facts = {"targets": targets.all_of(name, model, arguments, folder)}
    if name == "QbE":
        tensors, more = search(model)
        return tensors, {**facts, **more}
    features, others = batch_of(name, model)
    learn(
        model, features, others, UPDATES[0] if name in CTC else UPDATES_OF.get(name, 10)
    )
    if name == "ASV":
        tensors, more = verification(model, features, others, folder)
        return tensors, {**facts, **more, "labels": others[1]}
    tensors, _ = measured(model, features, others)
    if name in CTC:  # gradients want a loss to fall, and texts a model that has learned
        learn(model, features, others, UPDATES[1])
        for key, value in model.named_parameters():
            tensors[f"later/{key}"] = value.detach().clone()
    facts |= evaluated(name, model, features, others)
    if name in CTC:
        facts["damaged"] = scored(name, model, targets.texts(name, model))
    if name == "SD":
        tensors |= {f"labels/{i}": torch.tensor(x) for i, x in enumerate(others[0])}
        facts["rttm"] = targets.rttm(model, arguments.checkout, folder)
        facts["counts"] = targets.counts(model, features, others)
    else:
        facts["labels"] = [
            [int(y) for y in torch.as_tensor(x).reshape(-1)] for x in others[0]
        ]
    return tensors, facts


def main():
    """Writes the fixtures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkout", required=True)
    parser.add_argument("--corpora", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--only", nargs="+", default=list(HEADS))
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    sizes = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            tensors, facts = task(name, arguments, Path(folder))
            tensors = {k: v.contiguous() for k, v in tensors.items()}
            save_file(tensors, out / f"{name}.safetensors")
            text = json.dumps(facts, separators=(",", ":"), sort_keys=True)
            (out / f"{name}.json").write_text(text + "\n")
            for path in out.glob(f"{name}.*"):
                sizes[path.name] = path.stat().st_size
    for name, size in sizes.items():
        print(f"{name}: {size} bytes")


if __name__ == "__main__":
    main()
