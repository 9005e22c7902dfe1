"""The Brain of SUPERB's keyword probe over any upstream, as its recipe builds it.

Authors
 * The s3prl_sb developers, 2026
"""

import os


def keyword_brain(upstream, manifest, folder, cache, steps, batch_size, device="cpu"):
    """Builds the Brain: weighted sum, Linear 256, mean over time, Linear, Adam.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    manifest : str
        Manifest with the key ``label``.
    folder : str
        Folder of the outputs and of the cache.
    cache : str
        "off", "frames" or "pooled".
    steps : int
        Number of updates of an epoch, which is the whole run.
    batch_size : int
        Utterances of a batch.
    device : str
        Device of the training and of the upstream.

    Returns
    -------
    brain : s3prl_sb.brains.classification.ClassificationBrain
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        The training set, with audio.
    """
    import torch
    from speechbrain.dataio.encoder import CategoricalEncoder

    from s3prl_sb.brains.classification import ClassificationBrain
    from s3prl_sb.dataio import manifest as manifests
    from s3prl_sb.dataio.dataset import ManifestDataset
    from s3prl_sb.dataio.pipes import EncodeCategory, LoadAudio
    from s3prl_sb.lobes.featurizer import Featurizer
    from s3prl_sb.lobes.heads.utterance import UtteranceClassifier

    records = manifests.read(manifest)
    labels = sorted({record["label"] for record in records.values()})
    encoder = CategoricalEncoder()
    encoder.expect_len(len(labels))
    encoder.update_from_iterable(labels)
    pipes = [LoadAudio(upstream.sample_rate), EncodeCategory(encoder)]
    dataset = ManifestDataset(records, pipes, ["id", "sig", "label_encoded"])
    brain = ClassificationBrain(
        labels=labels,
        modules={
            "featurizer": Featurizer(upstream.num_layers),
            "head": UtteranceClassifier(upstream.output_size, len(labels)),
        },
        hparams={
            "upstream_model": upstream,
            "upstream_name": "random",
            "seed": 0,
            "opt_class": lambda parameters: torch.optim.Adam(parameters, lr=1e-4),
            "steps_per_epoch": steps,
            "total_steps": steps,
            "batch_size": batch_size,
            "train_dataloader_opts": {"batch_size": batch_size},
            "output_folder": folder,
            "cache": cache,
            "cache_folder": os.path.join(folder, "cache"),
        },
        run_opts={"device": device, "noprogressbar": True},
    )
    return brain, dataset
