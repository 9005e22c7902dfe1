"""``s3prl-sb mix``: scenes of speech and sounds with exact truth.

Authors
 * The s3prl_sb developers, 2026
"""

SPLITS = ("train", "valid", "test")


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "destination", metavar="DEST", help="folder to make or complete"
    )
    sources = parser.add_argument_group("sources")
    sources.add_argument(
        "--speech",
        default="toy",
        metavar="SOURCE",
        help="toy (default), none, a folder of LibriSpeech or TIMIT, a list of "
        "utterances (CSV or JSON with wav, speaker, text and perhaps words), or a "
        "folder with train.json, valid.json and test.json",
    )
    sources.add_argument(
        "--word_times",
        metavar="PATH",
        help="times of the words of --speech: CTM, TextGrid or others, by ids",
    )
    sources.add_argument(
        "--sounds",
        default="toy",
        metavar="SOURCE",
        help="toy (default), none, a folder of ESC-50 or ESC-10, a list of clips "
        "(CSV or JSON with wav, label and perhaps fold), or a folder with three lists",
    )
    sources.add_argument(
        "--labels",
        nargs="+",
        metavar="NAME",
        default=(),
        help="labels of --sounds (default: all)",
    )
    sources.add_argument(
        "--background",
        default="pink",
        metavar="SOURCE",
        help="pink (default), none, or a folder of recordings",
    )
    sources.add_argument(
        "--words",
        type=int,
        default=0,
        help="size of the vocabulary of toy speech (default: 0, sentences)",
    )
    sources.add_argument(
        "--voices", type=int, default=20, help="voices of toy speech (default: 20)"
    )
    _add_scenes(parser.add_argument_group("scenes"))
    parser.add_argument(
        "--processes", type=int, default=1, help="number of processes (default: 1)"
    )


def _add_scenes(group):
    """Adds the settings of scenes; their defaults are those of ``Settings``."""
    for split, count in zip(SPLITS, (400, 60, 60)):
        group.add_argument(
            f"--{split}",
            type=int,
            default=count,
            metavar="N",
            help=f"scenes of the {split} set (default: {count})",
        )
    for name, kind, text in (
        ("seconds", float, "length of a scene (default: 10 20)"),
        ("speakers", int, "number of speakers of a scene (default: 1 3)"),
        ("pause", float, "seconds between turns (default: 0.2 1.2)"),
        ("events", int, "number of sounds of a scene (default: 1 5)"),
        ("snr", float, "dB of speech above a sound (default: -5 20)"),
        ("background_level", float, "dB of speech above it (default: 30 50)"),
    ):
        group.add_argument(
            f"--{name}", nargs=2, type=kind, metavar=("LOW", "HIGH"), help=text
        )
    group.add_argument(
        "--overlap",
        type=float,
        help="share of the speech in which two people speak (default: 0.2)",
    )
    group.add_argument("--rate", type=int, help="sample rate, Hz (default: 16000)")
    group.add_argument(
        "--rooms", action="store_true", help="put every scene into a simulated room"
    )
    group.add_argument(
        "--seed", type=int, help="another one, other scenes (default: 0)"
    )
    group.add_argument(
        "--twins",
        nargs="*",
        metavar="SET",
        choices=SPLITS,
        default=("test",),
        help="sets whose scenes also come with speech only and sounds only "
        "(default: test; without SET: none)",
    )
    group.add_argument(
        "--stems", action="store_true", help="write each part of a scene too"
    )


def main(arguments):
    """Makes scenes, and prints their manifests."""
    from dataclasses import fields

    from s3prl_sb.corpora.mixing import folder, sources
    from s3prl_sb.corpora.mixing.settings import Settings

    given = {**vars(arguments), "background": arguments.background_level}
    names = {field.name for field in fields(Settings)} & given.keys()
    chosen = {name: given[name] for name in names if given[name] is not None}
    settings = Settings(**chosen)
    mix = folder.Mix(
        arguments.destination,
        settings,
        sources.speech_source(
            arguments.speech,
            settings,
            arguments.voices,
            arguments.words,
            arguments.word_times,
        ),
        sources.sound_source(arguments.sounds, settings, arguments.labels),
        sources.background_source(arguments.background, settings),
        {s: folder.twins_of(s in arguments.twins) for s in SPLITS},
        arguments.stems,
    )
    counts = {split: given[split] for split in SPLITS}
    for path in folder.make_scenes(mix, counts, arguments.processes).values():
        print(path)
