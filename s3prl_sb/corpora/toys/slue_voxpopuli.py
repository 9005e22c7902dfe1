"""Toy SLUE-VoxPopuli: sentences with named entities of all tags.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.slue_voxpopuli import NAME, NAMES
from s3prl_sb.corpora.toys import making

#: Tags of the corpus to phrases; ``EVENT`` is one that the task drops.
PHRASES = {
    "PERSON": "Mister Weber|Anna Silva|Miss Novak",
    "ORG": "the Commission|the Council|parliament",
    "GPE": "France|Poland|Rome",
    "NORP": "the Greek|the Danish",
    "DATE": "on Monday|last year",
    "CARDINAL": "seven|twenty",
    "LAW": "article nine|article twelve",
    "EVENT": "the summit|the congress",
}
#: Sentences with tags in place of phrases.
SENTENCES = (
    "{PERSON} will speak {DATE}.",
    "we met {PERSON} in {GPE}, and voted",
    "{ORG} has sent {CARDINAL} letters to {GPE};",
    "{NORP} members of {ORG} did not come {DATE}!",
    "did {ORG} forget {LAW}?",
    "it's {CARDINAL} days before {EVENT} in {GPE}",
    "thank you very much",
)
COLUMNS = (
    "id raw_text normalized_text speaker_id split raw_ner normalized_ner"
).split()
SHARES = {"valid": 4, "test": 4}  # of how many utterances one is


@making.toy
def slue_voxpopuli(destination, utterances=96, seed=0):
    """Speaks sentences, with the tables of the three splits.

    Arguments
    ---------
    destination : str
        Folder to make, with ``slue-voxpopuli`` in it.
    utterances : int
        Number of utterances, from 12: a quarter each for validation and test.
    seed : int
        Seed of sentences and voices.

    Returns
    -------
    pathlib.Path
    """
    if utterances < 12:
        raise ValueError("At least 12 utterances are needed")
    counts = {split: utterances // share for split, share in SHARES.items()}
    counts["train"] = utterances - sum(counts.values())
    clips, voices = [], _voices(seed)
    for split, count in counts.items():
        rows = ["\t".join(COLUMNS)]
        for number in range(count):
            name = f"2026{number:04d}-PLENARY-en_{NAMES[split]}"
            rng = making.random_generator(seed, name)
            text, entities = _sentence(SENTENCES[number % len(SENTENCES)], rng)
            voice = voices[split][number % len(voices[split])]
            clips.append((f"{NAME}/{NAMES[split]}/{name}.wav", text, voice))
            cells = (name, text, text, "None", NAMES[split], "[]", str(entities))
            rows.append("\t".join(cells))
        (destination / NAME).mkdir(exist_ok=True)
        making.write_lines(destination / NAME / f"{NAME}_{NAMES[split]}.tsv", rows)
    making.write_clips(
        destination, (_spoken(*clip, seed) for clip in clips), len(clips)
    )


def _voices(seed):
    """Returns the voices of each split."""
    everyone = list(making.plain_voices(12, seed))
    return {"valid": everyone[:2], "test": everyone[2:4], "train": everyone[4:]}


def _sentence(form, rng):
    """Returns a text, and its entities as in the tables."""
    text, entities = "", []
    for part in form.split("{"):
        tag, brace, rest = part.partition("}")
        if not brace:
            text += part
            continue
        phrase = rng.choice(PHRASES[tag].split("|")).lower()
        entities.append([tag, len(text), len(phrase)])
        text += phrase + rest
    return text, entities


def _spoken(path, text, voice, seed):
    """Returns a path, and the text as spoken."""
    rng = making.random_generator(seed, path)
    samples = making.varied(voice, rng).speak(text).trimmed(0.1)
    return path, making.recorded(samples, rng)
