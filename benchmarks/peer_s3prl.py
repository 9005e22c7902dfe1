"""The worker that runs S3PRL 0.4.18, in S3PRL's own environment.

Started by ``extraction.py`` and ``probing.py``; README.md says how to set up
the environment. S3PRL's modules are imported one by one: ``s3prl.hub`` and
``s3prl.nn`` need parts of torchaudio that no longer exist, these do not.

Authors
 * The s3prl_sb developers, 2026
"""

import s3prl
import soundfile
import torch
from measure import measure, resident, serve
from peer_families import expert, write
from s3prl.downstream.model import UtteranceLevel
from s3prl.upstream.interfaces import Featurizer

loaded = {}


def load(checkpoint, family="hubert"):
    """Loads it; returns the versions."""
    loaded["expert"] = expert(family)(checkpoint).eval()
    with torch.no_grad():  # one-time costs of the libraries
        loaded["expert"]([torch.randn(16000)])
    loaded["baseline"] = resident()
    return f"s3prl {s3prl.__version__}, torch {torch.__version__}"


def make(folder, size, family="hubert"):
    """Writes a random checkpoint in S3PRL's format; returns its path."""
    return write(folder, size, family)


def extract(wavs, alone, save=None):
    """Hidden states of a batch, padded or each utterance alone."""
    wavs, upstream = torch.load(wavs), loaded["expert"]

    def run():
        with torch.no_grad():
            if alone:
                return [upstream([wav])["hidden_states"] for wav in wavs]
            return upstream(wavs)["hidden_states"]

    states, cost = measure(run, loaded["baseline"])
    if save:  # [utterance][layer][frames, size]
        if not alone:
            states = [[layer[i] for layer in states] for i in range(len(wavs))]
        else:
            states = [[layer[0] for layer in utterance] for utterance in states]
        torch.save([[layer.clone() for layer in u] for u in states], save)
    return cost


def probe(paths, labels, batch_size, num_classes):
    """Some batches of probing as S3PRL's downstream runner does it, with the
    model of its speech_commands: Featurizer, projection, UtteranceLevel."""
    if "featurizer" not in loaded:
        loaded["featurizer"] = Featurizer(loaded["expert"], upstream_device="cpu")
    featurizer, upstream = loaded["featurizer"], loaded["expert"]
    projector = torch.nn.Linear(featurizer.output_dim, 256)
    model = UtteranceLevel(256, num_classes)
    trained = [p for m in (featurizer, projector, model) for p in m.parameters()]
    optimizer = torch.optim.Adam(trained, lr=1e-4)
    loader = torch.utils.data.DataLoader(
        list(zip(paths, labels)),
        batch_size=batch_size,
        collate_fn=lambda items: [
            [soundfile.read(path, dtype="float32")[0] for path, _ in items],
            [label for _, label in items],
        ],
    )

    def run():
        for wavs, targets in loader:
            wavs = [torch.FloatTensor(wav) for wav in wavs]
            with torch.no_grad():
                features = upstream(wavs)
            features = featurizer(wavs, features)
            lengths = torch.IntTensor([len(feature) for feature in features])
            features = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)
            logits, _ = model(projector(features), lengths)
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(targets))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return measure(run)[1]


if __name__ == "__main__":
    serve({"make": make, "load": load, "extract": extract, "probe": probe})
