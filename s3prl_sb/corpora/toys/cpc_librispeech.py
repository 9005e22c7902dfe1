"""Toy LibriSpeech with CPC's split and alignments.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora import cpc_librispeech as corpus
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.librispeech import ALIGNMENTS, write_readings
from s3prl_sb.dataio.phones import ARPABET

#: The phones by their numbers in this toy: the original does not name its 41.
PHONES = ["SIL", *ARPABET.split(), "SPN"]


@making.toy
def cpc_librispeech(destination, speakers=12, chapters=2, utterances=5, seed=0):
    """Speaks train-clean-100, and writes CPC's lists and alignments.

    Arguments
    ---------
    destination : str
        Folder to make, with ``LibriSpeech/train-clean-100``, and beside it
        ``train_split.txt``, ``test_split.txt`` and ``converted_aligned_phones.txt``.
    speakers : int
        Number of speakers.
    chapters : int
        Number of chapters of each speaker.
    utterances : int
        Number of utterances of each chapter, 2 to 6 s long; the last of each is for the
        test.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 2 or chapters < 1 or utterances < 3:
        raise ValueError("2 speakers, 1 chapter and 3 utterances are the least")
    root = destination / "LibriSpeech"
    voices = making.choose_voices(speakers, seed)
    readers = [
        (corpus.PART, 19 + 7 * n, voice._replace(voice="en-us"), utterances)
        for n, voice in enumerate(voices)
    ]
    write_readings(root, readers, chapters, seed)
    times = root / ALIGNMENTS
    frames = _frames(times.read_text("utf-8").splitlines()[1:])
    times.unlink()  # the original has none
    making.write_lines(
        root / corpus.ALIGNMENTS,
        [" ".join([name, *map(str, numbers)]) for name, numbers in frames.items()],
    )
    last = f"-{utterances - 1:04d}"
    tested = [name for name in frames if name.endswith(last)]
    making.write_lines(root / corpus.TEST_LIST, tested)
    trained = [name for name in frames if not name.endswith(last)]
    making.write_lines(root / corpus.TRAIN_LIST, trained)


def _frames(lines):
    """Returns the number of the phone at the centre of each 10 ms of the utterances."""
    frames: dict[str, list[int]] = {}
    for line in lines:
        name, _, stop, phone = line.split("\t")
        numbers = frames.setdefault(name, [])
        number = PHONES.index(phone.rstrip("012"))
        count = round(float(stop) / corpus.FRAME_SECONDS)
        numbers += [number] * (count - len(numbers))
    return frames
