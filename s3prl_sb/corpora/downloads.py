"""What ``s3prl-sb download CORPUS DIR`` can fetch, and where the others are.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.ami import download_ami
from s3prl_sb.corpora.downloading import DownloadError, Published, download
from s3prl_sb.corpora.librilight import download_librilight
from s3prl_sb.corpora.librispeech import download_librispeech
from s3prl_sb.corpora.speech_commands import download_speech_commands

QUESST14 = Published(
    "https://speech.fit.vutbr.cz/files/quesst14Database.tgz",
    1.2,
    sha256="4f869e06bc066bbe9c5dde31dbd3909a0870d70291110ebbb38878dcbc2fc5e4",
)
SNIPS = Published(
    # S3PRL's processed copy (16 kHz wav, texts), which Google serves from here
    "https://drive.usercontent.google.com/download"
    "?id=1oBRZd-PaCKz5iY3eZkXs5OB_ZZ4w7bbG&export=download&confirm=t",
    11,
    name="SNIPS.zip",
)


def download_quesst14(destination):
    """QUESST 2014: ``quesst14Database`` with audio, queries and scoring.

    Arguments
    ---------
    destination : str
        The folder that gets it.

    Returns
    -------
    pathlib.Path
    """
    return download([QUESST14], destination)


def download_snips(destination):
    """Audio SNIPS as S3PRL has processed it: ``SNIPS`` with wav files and texts.

    Arguments
    ---------
    destination : str
        The folder that gets it.

    Returns
    -------
    pathlib.Path
    """
    return download([SNIPS], destination)


def _behind_a_form(corpus, where, way):
    """A download that says where the corpus is to be had."""

    def refuse(destination):
        raise DownloadError(f"{corpus} cannot be downloaded just so: {way} ({where})")

    refuse.__doc__ = f"Says how to get {corpus}."
    return refuse


#: From the names of corpora to functions of the folder that is to get them.
DOWNLOADS = {
    "ami": download_ami,
    "audio_snips": download_snips,
    "fluent_speech_commands": _behind_a_form(
        "Fluent Speech Commands",
        "https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-"
        "understanding-research/",
        "accept its licence on its page, which then gives the link.",
    ),
    "iemocap": _behind_a_form(
        "IEMOCAP",
        "https://sail.usc.edu/iemocap/iemocap_release.htm",
        "apply for it with the form of its page.",
    ),
    "libri2mix": _behind_a_form(
        "Libri2Mix",
        "https://github.com/s3prl/LibriMix",
        "it is mixed on your disk from LibriSpeech and WHAM! noise, by the scripts of "
        "its repository.",
    ),
    "librilight": download_librilight,
    "librispeech": download_librispeech,
    "quesst14": download_quesst14,
    "speech_commands": download_speech_commands,
    "voxceleb1": _behind_a_form(
        "VoxCeleb1",
        "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html",
        "apply for access with the form of its page, unpack dev and test as dev/wav "
        "and test/wav, and put iden_split.txt and veri_test.txt beside them.",
    ),
}
