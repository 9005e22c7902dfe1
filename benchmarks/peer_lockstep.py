"""S3PRL's ``Runner.train()`` on a toy, with what each update was and gave.

    python peer_lockstep.py CHECKOUT CORPORA TASK UPDATES OUT.pt

Started by ``lockstep.py``, in S3PRL's own environment. The runner, experts,
datasets, loaders and optimizers are S3PRL's, unedited. So that both programs have
the same features, crops, dropout and SpecAugment are off, sox's effects stay away
(ASV, QbE), and the frames of padding that S3PRL leaves after an utterance are cut.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from argparse import Namespace
from pathlib import Path

import peer_downstream as peer
import peer_stand_ins
import torch

NEVER = 10**9
PLAIN = {
    "ASR": {"modelrc.RNNs.dropout": [0.0, 0.0]},
    "SF": {"model.RNNs.dropout": [0.0, 0.0]},
    "SID": {"datarc.max_timestep": None},
    "ASV": {"datarc.max_timestep": None},
}
SMALL = {  # the published sizes take minutes on a CPU
    "ASR": {"modelrc.project_dim": 64, "modelrc.RNNs.dim": [64, 64]},
    "SF": {"model.project_dim": 64, "model.RNNs.dim": [64, 64]},
    "ASV": {"modelrc.input_dim": 64, "modelrc.module_config.XVector.agg_dim": 128},
}


def true_frames(wav):
    """Returns the frames of Kaldi's filterbank: windows of 25 ms, every 10 ms."""
    return 1 + (len(wav) - 400) // 160


def names_of(task, others):
    """The utterances of a batch."""
    if task == "SD":
        return None
    names = others[0] if task == "ASV" else others[1]
    return list(names)


def main():
    """Trains, and writes first weights, batches and losses."""
    checkout, corpora, task, updates, out = sys.argv[1:]
    folder = Path(out).parent / "s3prl"
    torch.manual_seed(1)
    changes = {**PLAIN.get(task, {}), **SMALL.get(task, {})}
    model = peer.expert(task, checkout, corpora, folder, 240, changes)
    from s3prl.downstream import runner
    from s3prl.upstream.interfaces import Featurizer

    config = peer.config(task, checkout)
    config.pop("specaug", None)
    config["runner"].update(
        total_steps=int(updates), log_step=NEVER, eval_step=NEVER, save_step=NEVER
    )
    Featurizer.tolist = lambda self, wavs, features: [
        feature[: true_frames(wav)] for feature, wav in zip(features, wavs)
    ]
    if task == "ASV":
        from s3prl.downstream.sv_voxceleb1 import dataset

        dataset.EFFECTS.clear()
    if task == "QbE":
        from s3prl.downstream.quesst14_dtw import dataset

        dataset.apply_effects_file = lambda path, effects: peer_stand_ins.load(path)
    if task == "SD":
        chunks = watch_chunks()
    build = runner.Runner._init_model
    runner.Runner._get_downstream = lambda self: build(
        self, model=model, name="Downstream", trainable=True, interfaces=[]
    )
    arguments = Namespace(
        init_ckpt=None,
        upstream="fbank_no_cmvn",
        upstream_ckpt=None,
        upstream_model_config=None,
        upstream_refresh=False,
        upstream_trainable=False,
        upstream_feature_selection="hidden_states",
        upstream_layer_selection=None,
        upstream_feature_normalize=False,
        downstream=peer.TASKS[task][0],
        device="cpu",
        expdir=str(folder),
        seed=1,
        evaluate_split="eval",
        verbose=False,
        push_to_hf_hub=False,
        local_rank=None,
    )
    if task == "QbE":  # nothing is trained; the expert writes its list of scores
        return runner.Runner(arguments, config).evaluate()
    found = {
        "weights": {k: v.clone() for k, v in model.named_parameters()},
        "accumulate": config["runner"]["gradient_accumulate_steps"],
        "classes": classes(task, model),
        "batches": [],
        "losses": [],
    }
    forward = model.forward

    def watched(mode, features, *others, **kwargs):
        loss = forward(mode, features, *others, **kwargs)
        names = names_of(task, others)
        if names is None:
            names, chunks[:] = chunks[: len(features)], chunks[len(features) :]
        found["batches"].append(names)
        found["losses"].append(loss.item())
        return loss

    model.forward = watched
    runner.Runner(arguments, config).train()
    torch.save(found, out)


def classes(task, model):
    """Names of the outputs, in S3PRL's order; None where ours is the same."""
    if task == "SID":
        return [f"id{number + 10001}" for number in range(1251)]
    if task == "ER":
        return [model.test_dataset.idx2emotion[i] for i in range(4)]
    if task == "IC":
        slots = model.Sy_intent
        return [
            f"{slot} {value}"
            for slot in ("action", "object", "location")
            for key, value in slots[slot].items()
            if isinstance(key, int)
        ]
    if task == "SF":
        size = model.tokenizer.vocab_size
        return [model.tokenizer.idx_to_vocab(i).strip(" ") or " " for i in range(size)]
    return None


def watch_chunks():
    """A list that gets the chunks that S3PRL's diarization loads, in their order."""
    from s3prl.downstream.diarization.dataset import DiarizationDataset

    chunks, load = [], DiarizationDataset._get_labeled_speech

    def watched(self, recording, start, end, *others):
        chunks.append((recording, start))
        return load(self, recording, start, end, *others)

    DiarizationDataset._get_labeled_speech = watched
    return chunks


if __name__ == "__main__":
    main()
