"""Makes fixtures/conversion_metrics.json with S3PRL's functions, in its environment.

    S3PRL=…/s3prl/downstream s3prl-env/bin/python \
        tests/parity/downstream/make_conversion_metrics.py

The environment also needs fastdtw, librosa, pysptk and pyworld; what else S3PRL's file
imports, for recognizers and speaker embeddings, is not called and stands in empty. The
mel-cepstra are pysptk's own.
"""

import json
import os
import sys
import types
from pathlib import Path

import numpy
import pysptk
from conversion_signals import PAIRS, speech

HERE = Path(__file__).parent
for absent in ("editdistance", "jiwer", "resemblyzer", "transformers"):
    sys.modules[absent] = types.ModuleType(absent)
sys.modules["resemblyzer"].preprocess_wav = sys.modules["resemblyzer"].VoiceEncoder = 0
for name in ("Wav2Vec2ForCTC", "Wav2Vec2Tokenizer", "Wav2Vec2Processor"):
    setattr(sys.modules["transformers"], name, None)
sys.path.insert(0, os.path.join(os.environ["S3PRL"], "a2o-vc-vcc2020"))
from vc_evaluate import calculate_mcd_f0  # noqa: E402

made = {"pairs": [], "cepstra": []}
for one, other, low, high in PAIRS:
    converted, rate = speech(one)
    target, _ = speech(other)
    values = calculate_mcd_f0(converted, target, rate, low, high)
    values = [None if numpy.isnan(value) else float(value) for value in values]
    made["pairs"].append(values)
rng = numpy.random.default_rng(0)
for n_fft, order, alpha in ((1024, 39, 0.466), (512, 24, 0.41), (64, 5, -0.3)):
    power = numpy.exp(rng.standard_normal(n_fft // 2 + 1))
    mel_cepstrum = pysptk.sp2mc(power, order, alpha)
    made["cepstra"].append([n_fft, order, alpha, mel_cepstrum.tolist()])
(HERE / "fixtures/conversion_metrics.json").write_text(json.dumps(made) + "\n")
