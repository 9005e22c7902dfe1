"""Toy Fluent Speech Commands: the 31 intents of the corpus, in noise.

The wordings are made up here, in the style of the corpus. The commands are spoken in
one accent and ordinary timbres: with a few dozen of them, a linear classifier learns
the words only if voices are similar.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.toys import making

ROOMS = ("none", "kitchen", "bedroom", "washroom")
#: Action and object to wordings; {} is a place such as "in the kitchen"
COMMANDS = {
    ("activate", "lights"): "turn on the lights {}|switch on the lights {}|"
    "lights on {}",
    ("deactivate", "lights"): "turn off the lights {}|switch off the lights {}|"
    "lights off {}",
    ("increase", "heat"): "turn up the heat {}|increase the temperature {}|"
    "make it warmer {}",
    ("decrease", "heat"): "turn down the heat {}|decrease the temperature {}|"
    "make it cooler {}",
    ("activate", "music"): "play the music|put on the music|start the music",
    ("deactivate", "music"): "stop the music|pause the music|no more music",
    ("activate", "lamp"): "turn on the lamp|switch on the lamp|lamp on",
    ("deactivate", "lamp"): "turn off the lamp|switch off the lamp|lamp off",
    ("increase", "volume"): "turn up the volume|make it louder|turn the sound up",
    ("decrease", "volume"): "turn down the volume|make it quieter|turn the sound down",
    ("bring", "newspaper"): "bring me the newspaper|fetch the newspaper",
    ("bring", "juice"): "bring me some juice|fetch the juice",
    ("bring", "socks"): "bring me my socks|fetch my socks",
    ("bring", "shoes"): "bring me my shoes|fetch my shoes",
    ("change language", "none"): "change the language|use another language",
    ("change language", "Chinese"): "switch to Chinese|change the language to Chinese",
    ("change language", "Korean"): "switch to Korean|change the language to Korean",
    ("change language", "English"): "switch to English|change the language to English",
    ("change language", "German"): "switch to German|change the language to German",
}
INTENTS = [
    (action, thing, room)
    for (action, thing), wording in COMMANDS.items()
    for room in (ROOMS if "{}" in wording else ROOMS[:1])
]


@making.toy
def fluent_speech_commands(
    destination, speakers=24, commands=None, intents=None, seed=0
):
    """Speaks the commands, with tables of paths, speakers, words and slots.

    Arguments
    ---------
    destination : str
        Folder to make, with ``data`` and ``wavs``.
    speakers : int
        Number of speakers: a sixth for validation, a sixth for test, the rest for
        training.
    commands : int, optional
        Number of different commands of each speaker. Default: every intent once.
    intents : int, optional
        Number of intents, the first ones of the corpus' 31.

    Returns
    -------
    pathlib.Path
    """
    chosen = INTENTS[:intents]
    commands = len(chosen) if commands is None else commands
    if speakers < 3 or not 1 <= commands <= len(chosen):
        raise ValueError(
            f"At least 3 speakers, and 1 to {len(chosen)} commands, are needed"
        )
    sixth = max(1, speakers // 6)
    splits = ["test"] * sixth + ["valid"] * sixth
    splits += ["train"] * (speakers - 2 * sixth)
    rows, jobs = {"train": [], "valid": [], "test": []}, []
    voices = making.plain_voices(speakers, seed)
    for number, (split, voice) in enumerate(zip(splits, voices)):
        person = making.digest(seed, "speaker", number)[:16]
        rng = making.random_generator(seed, person)
        # The first speakers of the training set together say all intents
        start = (number - 2 * sixth) * commands if split == "train" else 0
        turn = rng.permutation(len(chosen)) if split != "train" else range(len(chosen))
        for k in range(commands):
            action, thing, room = chosen[turn[(start + k) % len(chosen)]]
            place = "" if room == "none" else f"in the {room}"
            wordings = COMMANDS[action, thing].split("|")
            text = str(rng.choice(wordings)).format(place).strip()
            name = f"{making.digest(seed, person, k)[:32]}.wav"
            path = f"wavs/speakers/{person}/{name}"
            rows[split].append((path, person, text.capitalize(), action, thing, room))
            jobs.append((path, voice, text))

    making.write_clips(destination, (_spoken(*job, seed) for job in jobs), len(jobs))
    (destination / "data").mkdir()
    header = ",path,speakerId,transcription,action,object,location"
    for split, cells in rows.items():
        lines = [",".join((str(i), *row)) for i, row in enumerate(cells)]  # no commas
        making.write_lines(destination / f"data/{split}_data.csv", [header, *lines])


def _spoken(path, voice, text, seed):
    """Returns a path and its command, as recorded from across a room."""
    rng = making.random_generator(seed, path)
    samples = making.varied(voice, rng).speak(text).trimmed(margin=0.1)
    return path, making.recorded(samples, rng)
