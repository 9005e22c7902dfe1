"""Toy VoxCeleb1: speakers in videos of different noise, level and colour.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import os

import numpy as np

from s3prl_sb.corpora.toys import making


@making.toy
def voxceleb1(destination, speakers=20, videos=4, utterances=3, seed=0):
    """Speaks VoxCeleb1, with its lists for identification and verification.

    Arguments
    ---------
    destination : str
        Folder to make, with ``dev``, ``test`` and the lists.
    speakers : int
        Number of speakers: a quarter in ``test``, with ids from id10270.
    videos : int
        Number of videos of each speaker, of different noise, level and colour. For
        identification, the last is for test, the last but one for validation.
    utterances : int
        Number of utterances of each video, 3 to 9 s long.

    Returns
    -------
    pathlib.Path
    """
    if not 4 <= speakers <= 160 or videos < 3 or utterances < 1:
        raise ValueError("4 to 160 speakers, from 3 videos and 1 utterance are needed")
    tests = speakers // 4
    ids = [*range(10001, 10001 + speakers - tests), *range(10270, 10270 + tests)]
    jobs, split_lines = [], []  # folder, path, voice, seconds at least
    meta = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for number, voice in zip(ids, making.choose_voices(speakers, seed)):
        person, folder = f"id{number}", "test" if number >= 10270 else "dev"
        nation = "USA" if voice.voice.startswith("en-us") else "UK"
        alias = f"{voice.voice}+{voice.variant}"
        meta.append(f"{person}\t{alias}\t{voice.gender}\t{nation}\t{folder}")
        for video in range(videos):
            code = bytes.fromhex(making.digest(seed, person, video))
            name = base64.urlsafe_b64encode(code)[:11].decode()
            split = {videos - 1: 3, videos - 2: 2}.get(video, 1)
            for n in range(utterances):
                path = f"{person}/{name}/{n + 1:05d}.wav"
                split_lines.append(f"{split} {path}")
                jobs.append((folder, path, voice, 3 if video + n else 8))

    def clips():
        for folder, path, voice, shortest in jobs:
            yield f"{folder}/wav/{path}", _in_video(voice, path, shortest, seed)

    making.write_clips(destination, clips(), len(jobs))
    tested = [path for folder, path, _, _ in jobs if folder == "test"]
    making.write_lines(destination / "iden_split.txt", split_lines)
    making.write_lines(destination / "veri_test.txt", _trials(tested, seed))
    making.write_lines(destination / "vox1_meta.csv", meta)


def _in_video(voice, path, shortest, seed):
    """Returns an utterance of ``shortest`` to 9 s with the sound of its video."""
    rng = making.random_generator(seed, path)
    words = expected = 2.9 * rng.uniform(shortest + 0.2, 8.8)
    utterance = voice.speak(making.passage(rng, words))
    while not shortest <= utterance.duration <= 9:
        words *= expected / 2.9 / utterance.duration
        utterance = voice.speak(making.passage(rng, words))
    video = making.random_generator(seed, os.path.dirname(path))
    tilt, snr = video.uniform(-0.3, 0.3), video.uniform(20, 40)
    kind, peak = video.choice(list(making.BACKGROUNDS)), video.uniform(-15, -2)
    samples = np.convolve(utterance.samples, [1, tilt])
    return making.at_level(making.add_noise(samples, rng, snr, kind), peak)


def _trials(paths, seed):
    """Yields up to four pairs of the same and of other speakers for each path."""
    rng = making.random_generator(seed, "trials")
    for path in paths:
        for target in (1, 0):
            others = [p for p in paths if (p[:7] == path[:7]) == target and p != path]
            for i in rng.permutation(len(others))[:4]:
                yield f"{target} {path} {others[i]}"
