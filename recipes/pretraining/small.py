"""The recipes of pre-training at a size that tests can afford.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy
import soundfile

RATE = 16000  # Hz
#: Keys of every objective, as on the command line.
COMMON = {
    "valid_share": 0.3,
    "min_seconds": 0.2,
    "sequence_seconds": 1.0,
    "total_steps": 4,
    "steps_per_epoch": 2,
    "batch_seconds": 2.0,
    "grad_accumulation_factor": 1,
    "warmup_steps": 1,
    "ckpt_interval_steps": 1,
    "train_dataloader_opts": "{num_workers: 0}",
    "valid_dataloader_opts": "{num_workers: 0}",
}
TRANSFORMER = "hidden_size: 16, ffn_size: 32, num_layers: 2, num_heads: 2"
CONVOLUTIONS = (
    "conv_layers: [[8, 10, 5], [8, 3, 2], [8, 3, 2], [8, 3, 2], [8, 3, 2], "
    "[8, 2, 2], [8, 2, 2]], position_kernel: 8, position_groups: 2"
)
WAVEFORM = f"{{config: {{{TRANSFORMER}, {CONVOLUTIONS}}}}}"
MASKED = (
    "{config: {transformer: {hidden_size: 16, num_hidden_layers: 2, "
    "num_attention_heads: 2, intermediate_size: 32}}}"
)
RECURRENT = "{config: {hidden_size: 16, num_layers: 2}}"
#: Keys of one objective besides.
OWN = {
    "mockingjay": {"upstream_model": MASKED},
    "tera": {"upstream_model": MASKED},
    "audio_albert": {"upstream_model": MASKED},
    "spec_augment": {"upstream_model": MASKED},
    "apc": {"upstream_model": RECURRENT},
    "vq_apc": {
        "upstream_model": "{config: {hidden_size: 16, num_layers: 2, "
        "codebook_size: [8], code_dim: [16]}}"
    },
    "npc": {
        "upstream_model": "{config: {hidden_size: 16, n_blocks: 2, "
        "codebook_size: [4, 4], code_dim: [8, 8]}}"
    },
    "hubert": {
        "upstream_model": WAVEFORM,
        "units": "{upstream: mfcc_hubert, layer: 0, clusters: 4}",
        "objective": "{final_size: 8}",
    },
    "wav2vec2": {
        "upstream_model": WAVEFORM,
        "objective": "{entries: 4, code_size: 8, final_size: 8, num_negatives: 5}",
    },
    "best_rq": {
        "upstream_model": f"{{config: {{{TRANSFORMER}}}}}",
        "objective": "{entries: 16}",
    },
    "distilhubert": {
        "teacher": "hubert_small_random",
        "upstream_model": "{config: {hidden_size: 16, ffn_size: 32, num_heads: 2, "
        f"targets: [1, 2], target_size: 192, inner_size: 16, {CONVOLUTIONS}}}}}",
        "objective": "{init_from_teacher: False}",
    },
}


def keys(name):
    """Returns the keys of a recipe at a small size.

    Arguments
    ---------
    name : str
        Name of its YAML, such as "tera".

    Returns
    -------
    dict
    """
    return {**COMMON, **OWN.get(name, {})}


def audio(folder, utterances=12):
    """Writes tones of unequal lengths.

    Arguments
    ---------
    folder : pathlib.Path
        Folder to make.
    utterances : int
        Number of files.
    """
    folder.mkdir(parents=True)
    for number in range(utterances):
        time = numpy.arange(int(RATE * (0.5 + 0.07 * number))) / RATE
        random = numpy.random.default_rng(number)
        tone = 0.3 * numpy.sin(2 * numpy.pi * (150 + 40 * number) * time)
        wave = tone + random.normal(0, 0.02, len(time))
        soundfile.write(folder / f"tone-{number:02d}.wav", wave, RATE)
