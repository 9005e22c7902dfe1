"""Toy VCC2018: speech of systems that are noisy and clipped to different degrees.

The score of an utterance falls with the noise and the clipping of its system. Judges
differ from it by a bias of their own and by chance, and give whole scores from 1 to 5.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.corpora import vcc2018 as corpus
from s3prl_sb.corpora.toys import making

NOISE = (40.0, 0.0)  # dB above the noise, of the best and the worst system
CLIPPING = (1.0, 0.1)  # level that cuts the waveform, relative to its peak
SCORES = (4.8, 1.2)  # of the best and the worst system
JUDGES, EACH = 12, 4  # number of judges, and of those of a training utterance
TASKS = ("HUB", "SPO")


@making.toy
def vcc2018(destination, systems=8, utterances=20, seed=0):
    """Speaks VCC2018, with its lists of judgements and the scores of its systems.

    Arguments
    ---------
    destination : str
        Folder to make.
    systems : int
        Number of systems.
    utterances : int
        Number of utterances of each system: a fifth validates, a fifth is for the test.

    Returns
    -------
    pathlib.Path
    """
    if systems < 2 or utterances < 5:
        raise ValueError("2 systems and 5 utterances are the least")
    voices = list(making.plain_voices(4, seed))
    biases = making.random_generator(seed, "judges").normal(0, 0.4, JUDGES)
    rows, jobs, scores = {split: [] for split in corpus.LISTS}, [], {}
    for system in range(systems):
        worse = system / (systems - 1)
        name, task = f"N{system:02d}", TASKS[system % len(TASKS)]
        means = []
        for number in range(utterances):
            target, source = f"VCC2T{number % 4 + 1}", f"VCC2S{number % 2 + 1}"
            file = f"{name}_{target}_{source}_{30001 + number}_{task}.wav"
            split = {0: "valid", 1: "test"}.get(number % 5, "train")
            rng = making.random_generator(seed, "scores", file)
            count = EACH if split == "train" else 1
            judges = rng.permutation(JUDGES)[:EACH]
            true = SCORES[0] + worse * (SCORES[1] - SCORES[0])
            given = np.clip(np.rint(rng.normal(true + biases[judges], 0.3)), 1, 5)
            means.append(given.mean())
            for judge, score in list(zip(judges, given))[:count]:
                row = f"{file},{means[-1]},{score:.0f},JUDGE{judge:02d}"
                rows[split].append(row)
            jobs.append((file, voices[number % 4], worse))
        scores[f"{name}_{task}"] = f"{np.mean(means):.4f}"
    for split, lines in rows.items():
        making.write_lines(
            destination / corpus.LISTS[split], [",".join(corpus.COLUMNS), *lines]
        )
    results = destination / corpus.RESULTS
    results.parent.mkdir(parents=True)
    making.write_lines(results, [",".join(scores), ",".join(scores.values())])
    clips = (_degraded(*job, seed) for job in jobs)
    making.write_clips(destination / corpus.AUDIO, clips, len(jobs))


def _degraded(file, voice, worse, seed):
    """Returns a name, and a sentence as noisy and as clipped as the system makes it."""
    rng = making.random_generator(seed, file)
    sentence = making.passage(rng, words=4)
    samples = making.varied(voice, rng).speak(sentence).trimmed(margin=0.1)
    snr = NOISE[0] + worse * (NOISE[1] - NOISE[0])
    samples = making.add_noise(samples, rng, snr, "white_noise")
    level = CLIPPING[0] * (CLIPPING[1] / CLIPPING[0]) ** worse
    peak = level * np.abs(samples).max()
    return file, making.at_level(np.clip(samples, -peak, peak), -6)
