"""Toy CoVoST 2: English sentences with their German translations.

The sentences are made of the phrases of all toys; each phrase has its translation, so
that a small model can learn them. Layouts are those of Common Voice 4 and of CoVoST 2.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.common_voice import CLIPS
from s3prl_sb.corpora.covost2 import VALIDATED
from s3prl_sb.corpora.toys import making

RATE = 48000  # Hz
COLUMNS = "client_id path sentence up_votes down_votes age gender accent".split()
#: Translations of the phrases in ``making.PHRASES``. Verbs are in the past tense, and
#: the last word of separable ones follows the object.
GERMAN = {
    "when": "heute|jeden Abend|letzten Winter|vor dem Sturm|am Sonntag|einmal im Jahr|"
    "um halb fünf|nach der langen Sitzung",
    "who": "meine jüngste Schwester|der Kapitän|ein alter Bauer|niemand|"
    "die Klavierlehrerin|unser Nachbar|zwei von den Kindern|ein Fremder|"
    "das ganze Orchester",
    "did": "malte|vergaß|trug|verkaufte|suchte|beschrieb|verspottete|reparierte|"
    "fotografierte|fand endlich",
    "what": "das blaue Fahrrad|eine Kiste Orangen|die hölzerne Brücke|sieben Briefe|"
    "eine Karte|eine leere Flasche|das Küchenfenster|ihr neues Teleskop|"
    "die kaputte Uhr",
    "where": "hinter dem Bahnhof|am Fluss|in der Bibliothek|unter der Treppe|"
    "am Rand des Waldes|im dritten Stock|vor dem Theater",
}
CLAUSE = "who did what where".split()
REMOVED = "REMOVE"  # marks a pair that is not a translation
SHARES = {
    "dev": 8,
    "test": 8,
    "train_covost": 4,
}  # the share is 1 / this number; the rest: train


@making.toy
def covost2(destination, clips=160, speakers=20, seed=0):
    """Speaks English sentences, and writes their German translations.

    Arguments
    ---------
    destination : str
        Folder to make, with ``en`` and ``covost_v2.en_de.tsv``.
    clips : int
        Number of clips, from 16; an eighth for each of validation and test.
    speakers : int
        Number of speakers, from 4.

    Returns
    -------
    pathlib.Path
    """
    if clips < 16 or speakers < 4:
        raise ValueError("16 clips and 4 speakers are the least")
    voices = list(making.plain_voices(speakers, seed))
    of_split = {"dev": [0], "test": [1]}  # speakers of a split are its own
    of_train = range(2, speakers)
    marks = ["dev"] * (clips // SHARES["dev"]) + ["test"] * (clips // SHARES["test"])
    marks += ["train_covost"] * (clips // SHARES["train_covost"])
    marks += ["train"] * (clips - len(marks))
    sentences = ["\t".join(COLUMNS)]
    translations = ["path\ttranslation\tsplit"]
    for number, mark in enumerate(making.shown(marks)):
        rng = making.random_generator(seed, "clip", number)
        people = of_split.get(mark, of_train)
        who = people[number % len(people)]
        english, german = pair(rng)
        samples = making.varied(voices[who], rng).speak(english).trimmed(0.1)
        path = f"common_voice_en_{18400000 + number}.mp3"
        samples = making.recorded(samples, rng, (25, 40))
        making.write_mp3(destination / "en" / CLIPS / path, samples, RATE)
        if mark == "train" and number == clips - 1:
            german = REMOVED
        speaker = making.digest(seed, "speaker", who) * 2
        cells = [speaker, path, english, "2", "0", "", "", ""]
        sentences.append("\t".join(cells))
        translations.append("\t".join([path, german, mark]))
    making.write_lines(destination / "en" / VALIDATED, sentences)
    making.write_lines(destination / "covost_v2.en_de.tsv", translations)


def pair(rng):
    """Returns an English sentence and its translation.

    Arguments
    ---------
    rng : numpy.random.Generator
        Source of the choices.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> pair(making.random_generator(0, "example"))[1][-1]
    '.'
    """
    english, german = [], []
    for slot in CLAUSE:
        phrases = making.PHRASES[slot].split("|")
        choice = int(rng.integers(len(phrases)))
        english.append(phrases[choice])
        german.append(GERMAN[slot].split("|")[choice])
    return tuple(
        f"{text[0].upper()}{text[1:]}." for text in map(" ".join, (english, german))
    )
