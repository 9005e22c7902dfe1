"""Toy LibriSpeech: readers, chapters, words, and a lexicon of the actual phones.

eSpeak reports its phones, which are mapped to ARPAbet. All speakers have an American
accent, so that words sound as in the lexicon.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from collections import Counter

from s3prl_sb.corpora.toys import making

#: eSpeak's mnemonics of American English, as ARPAbet without stress.
ARPABET = {
    **{"@": "AH", "@2": "AH", "a#": "AH", "I#": "IH", "I2": "IH", "i": "IY"},
    **{"3": "ER", "@L": "AH L", "@5": "AH"},  # the reduced vowels come first
    **{"0": "AA", "A:": "AA", "A@": "AA R", "a": "AE", "aa": "AE", "aI": "AY"},
    **{"aU": "AW", "E": "EH", "e@": "EH R", "eI": "EY", "3:": "ER", "I": "IH"},
    **{"i@": "IH R", "i@3": "IH R", "i:": "IY", "O": "AO", "O:": "AO", "O@": "AO R"},
    **{"O2": "AO", "o@": "AO R", "OI": "OY", "oU": "OW", "U": "UH", "U@": "UH R"},
    **{"u:": "UW", "V": "AH", "aI@": "AY AH", "aI3": "AY ER"},
    **{"t#": "T", "tS": "CH", "dZ": "JH", "D": "DH", "T": "TH", "S": "SH", "Z": "ZH"},
    **{"h": "HH", "j": "Y", "N": "NG", "r-": "R", "_": "SIL"},
    **{phone: phone.upper() for phone in "bdfgklmnprstvwz"},
    ";": "",  # a glide between vowels, which English does not count
}
REDUCED = set(list(ARPABET)[:9])
LAX = ("I", "U")  # reduced after a stressed vowel
SWALLOWED = {"while": "L", "whole": "L"}  # phones that eSpeak reports without a time
VOWELS = tuple("AEIOU")
ALIGNMENTS = "alignments.tsv"


@making.toy
def librispeech(destination, speakers=20, chapters=2, utterances=6, seed=0):
    """Speaks LibriSpeech's three sets for SUPERB, and writes a lexicon of their words.

    Arguments
    ---------
    destination : str
        Folder to make, with ``LibriSpeech`` with ``train-clean-100``,
        ``dev-clean``, ``test-clean``, ``SPEAKERS.TXT``, ``librispeech-lexicon.txt``
        and ``alignments.tsv`` with the times of the phones.
    speakers : int
        Number of speakers: a fifth in ``dev-clean``, a fifth in ``test-clean``.
    chapters : int
        Number of chapters of each speaker.
    utterances : int
        Number of utterances of each chapter, 2 to 6 s long.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 3 or chapters < 1 or utterances < 1:
        raise ValueError("3 speakers, 1 chapter and 1 utterance are the least")
    root = destination / "LibriSpeech"
    share = max(1, speakers // 5)
    names = ["dev-clean"] * share + ["test-clean"] * share
    names += ["train-clean-100"] * (speakers - len(names))
    voices = making.choose_voices(speakers, seed)
    readers = [
        (name, 19 + 7 * n, voice._replace(voice="en-us"), utterances)
        for n, (name, voice) in enumerate(zip(names, voices))
    ]
    write_readings(root, readers, chapters, seed)
    lines = ["; id   | sex | subset           | minutes | name"]
    for name, number, voice, _ in readers:
        lines.append(
            f"{number:<6} | {voice.gender.upper()}   | {name:<16} | "
            f"{chapters * utterances * 4 / 60:<7.2f} | {voice.voice}+{voice.variant}"
        )
    making.write_lines(root / "SPEAKERS.TXT", lines)
    entries = [f"{w}\t{phones}" for w, phones in lexicon()]
    making.write_lines(root / "librispeech-lexicon.txt", entries)


def write_readings(root, readers, chapters, seed):
    """Speaks chapters, and writes transcriptions and alignments.

    Arguments
    ---------
    root : pathlib.Path
        Folder of the corpus, for ``<part>/<speaker>/<chapter>/``.
    readers : list of tuple
        Part, number, voice and number of utterances per chapter of each speaker.
    chapters : int
        Number of chapters of each speaker.
    seed : int
        Seed of the words and the noise.
    """
    texts, alignments = {}, []

    def clips():
        for part, number, voice, utterances in readers:
            for chapter in range(chapters):
                stem = f"{number}-{100 + 13 * number + chapter}"
                folder = f"{part}/{stem.replace('-', '/')}"
                for n in range(utterances):
                    name = f"{stem}-{n:04d}"
                    rng = making.random_generator(seed, part, name)
                    spoken = voice.speak(making.passage(rng, words=rng.integers(5, 12)))
                    text = re.sub("[^A-Z' ]", "", _text(spoken).upper())
                    texts.setdefault(f"{folder}/{stem}", []).append(f"{name} {text}")
                    for start, stop, phone in aligned(spoken):
                        alignments.append(f"{name}\t{start:.4f}\t{stop:.4f}\t{phone}")
                    sound = making.recorded(spoken.samples, rng, (25, 40), (-12, -3))
                    yield f"{folder}/{name}.flac", sound

    root.mkdir(parents=True, exist_ok=True)
    making.write_clips(root, clips(), chapters * sum(count for *_, count in readers))
    for path, lines in texts.items():
        making.write_lines(root / f"{path}.trans.txt", lines)
    header = "utterance\tstart\tstop\tphone"
    making.write_lines(root / ALIGNMENTS, [header, *alignments])


def _text(spoken):
    """Returns the words of an utterance, separated by spaces."""
    return " ".join(word for _, _, word in spoken.words)


def aligned(spoken):
    """Returns the phones of an utterance in ARPAbet: list of (start, stop, phone).

    eSpeak does not report the stressed syllable. The first full vowel of each word gets
    stress 1, others 2, reduced ones 0.

    Arguments
    ---------
    spoken : s3prl_sb.corpora.espeak.Utterance
        Utterance with eSpeak's phones.
    """
    starts = {start for start, _, _ in spoken.words}
    swallowed = {
        stop: SWALLOWED.get(word.lower(), "") for _, stop, word in spoken.words
    }
    phones, stressed = [], False
    following = [phone for _, _, phone in spoken.phones[1:]] + ["_"]
    for (start, stop, phone), after in zip(spoken.phones, following):
        if start in starts:
            stressed = False
        names = ARPABET[phone].split()
        if names[-1:] == ["R"] and len(names) > 1 and after in ("r", "r-"):
            names.pop()  # the linking r is a phone of its own
        names += swallowed.get(stop, "").split()
        if not names and phones:
            phones[-1] = (phones[-1][0], stop, phones[-1][2])
        step = (stop - start) / max(1, len(names))  # several names share the time
        for n, name in enumerate(names):
            if name.startswith(VOWELS):
                reduced = phone in REDUCED or (stressed and phone in LAX)
                stress = 0 if reduced else 2 if stressed else 1
                stressed = stressed or not reduced
                name += str(stress)
            phones.append((start + n * step, start + (n + 1) * step, name))
    return phones


def lexicon():
    """Returns the pronunciations of all words of a toy: list of (word, phones).

    The most frequent one of a word, that within a phrase, comes first.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("espeakng_loader")
    >>> dict(reversed(lexicon()))["BRIDGE"]
    'B R IH1 JH'
    """
    from s3prl_sb.corpora.espeak import speak

    phrases = [p for group in making.PHRASES.values() for p in group.split("|")]
    counts, words = {}, sorted({w.upper() for p in phrases for w in p.split()})
    for phrase in (*phrases, *words):
        weight = 1 if phrase.isupper() else 100  # a word alone is stressed
        spoken = speak(phrase.lower(), voice="en-us")
        phones = aligned(spoken)
        for start, stop, word in spoken.words:
            if " " not in word:
                inside = [
                    name
                    for at, _, name in phones
                    if start <= at < stop and name != "SIL"
                ]
                counts.setdefault(word.upper(), Counter())[" ".join(inside)] += weight
    return [
        (word, phones)
        for word in words
        for phones, _ in sorted(counts[word].items(), key=lambda item: (-item[1], item))
    ]
