"""Small corpus that the tests run my_task on.

In a checkout ``tests/contract/small/tasks.py`` says what else this file may have.

Authors
 * Me, 2026
"""

import numpy as np
import soundfile

LABELS = ("low", "high")


def corpus(folder):
    """Writes tones of two pitches by two speakers; returns keys of the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    time = np.arange(4800) / 16000  # seconds
    for pitch, label in enumerate(LABELS, 1):
        for seed, speaker in enumerate(("ann", "bob")):
            for number in range(12):
                rng = np.random.default_rng([pitch, seed, number])
                tone = 0.1 * np.sin(2 * np.pi * 400 * pitch * time)
                noise = 0.02 * rng.standard_normal(len(time))
                soundfile.write(
                    folder / f"{label}_{speaker}_{number}.wav", tone + noise, 16000
                )
    return {}
