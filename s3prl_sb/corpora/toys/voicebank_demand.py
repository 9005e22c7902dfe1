"""Toy VoiceBank-DEMAND: clean voices, and the same voices in noise.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.voicebank_demand import TEST, TRAIN, VALID_SPEAKERS

#: Noises and their ratios to the speech, dB: the test set has others, as the original.
NOISES = {
    TRAIN: ("white_noise", "pink_noise", "running_tap", "exercise_bike"),
    TEST: ("doing_the_dishes", "dude_miaowing"),
}
RATIOS = {TRAIN: (0.0, 5.0, 10.0, 15.0), TEST: (2.5, 7.5, 12.5, 17.5)}
TEST_SPEAKERS = ("p232", "p257")
PEAK = -12  # dB of the clean speech, below full scale: noise must fit


@making.toy
def voicebank_demand(destination, speakers=12, utterances=12, seed=0):
    """Speaks pairs of clean and noisy utterances.

    Arguments
    ---------
    destination : str
        Folder to make, with ``{clean,noisy}_{trainset_28spk,testset}_wav`` and
        ``log_{trainset_28spk,testset}.txt``: file, noise, signal-to-noise ratio.
    speakers : int
        Number of speakers: two for validation, two for the test, the others for
        training.
    utterances : int
        Number of utterances of each speaker, 2 to 4 s long.
    seed : int
        Seed of voices, sentences and noises.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 5 or utterances < 1:
        raise ValueError("at least 5 speakers and 1 utterance of each are needed")
    others = (f"p{number}" for number in range(227, 400))
    taken = (*VALID_SPEAKERS, *TEST_SPEAKERS)
    training = [name for name in others if name not in taken][: speakers - 4]
    voices = making.choose_voices(speakers, seed)
    people = {TRAIN: (*VALID_SPEAKERS, *training), TEST: TEST_SPEAKERS}
    names = [(part, name) for part in people for name in people[part]]
    logs = {part: [] for part in people}

    def clips():
        for (part, speaker), voice in zip(names, voices):
            for number in range(utterances):
                name = f"{speaker}_{number + 1:03d}"
                rng = making.random_generator(seed, name)
                kind = str(rng.choice(NOISES[part]))
                ratio = float(rng.choice(RATIOS[part]))
                spoken = making.varied(voice, rng).speak(
                    making.passage(rng, words=rng.uniform(4, 8))
                )
                clean = making.at_level(spoken.samples.astype("float64"), PEAK)
                noisy = making.add_noise(clean, rng, ratio, kind)
                logs[part].append(f"{name} {kind} {ratio:g}")
                yield f"clean_{part}/{name}.wav", clean
                yield f"noisy_{part}/{name}.wav", noisy

    making.write_clips(destination, clips(), 2 * utterances * speakers)
    for part, lines in logs.items():
        log = f"log_{part.removesuffix('_wav')}.txt"
        making.write_lines(destination / log, lines)
