"""The English of docstrings and comments follows "How we write" in CONTRIBUTING.md."""

import prose
import pytest

FILES = [
    path for name in prose.FOLDERS for path in sorted((prose.ROOT / name).rglob("*.py"))
]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(prose.ROOT)))
def test_reads_as_plain_english(path):
    findings = prose.check_python(path)
    assert not findings, "\n" + "\n".join(map(str, findings))


BAD = '''
def frames(samples, seed):
    """What tells frames where they are.

    Arguments
    ---------
    samples : int
        Of the audio.
    seed, freeze
        As for every upstream.

    Returns
    -------
    int
        Such that it fits.
    """
    return samples  # lets go of the rest
'''
GOOD = '''
def frames(samples, seed):
    """Returns the number of frames.

    What an utterance gets is described elsewhere.

    Arguments
    ---------
    samples : int
        Length of the audio, in samples.
        Of all channels the first one counts.

    Returns
    -------
    int
        At least 1.
    """
    return samples  # the rest is dropped
'''


def test_finds_what_it_is_for(tmp_path):
    (tmp_path / "bad.py").write_text(BAD)
    (tmp_path / "good.py").write_text(GOOD)
    rules = [finding.rule for finding in prose.check([tmp_path])]
    assert [rule.split("'")[1] for rule in rules] == [
        "What",
        "Of",
        "As",
        "Such",
        "lets go of",
    ]
    lines = [finding.line for finding in prose.check([tmp_path])]
    assert lines == [3, 8, 10, 15, 17]
