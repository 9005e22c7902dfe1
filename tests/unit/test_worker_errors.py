"""Errors that the user can fix.

Authors
 * The s3prl_sb developers, 2026
"""

import pytest
from torch._utils import ExceptionWrapper

from s3prl_sb.audio.loading import AudioFileError
from s3prl_sb.errors import ManifestError

LINES = "a.csv:3: 'x': missing key clean\nFill it in, or drop the record."


@pytest.mark.parametrize("kind", [ManifestError, AudioFileError])
def test_error_in_a_worker_of_a_data_loader_is_its_message_alone(kind, monkeypatch):
    try:
        try:
            raise KeyError("clean")
        except KeyError as error:
            raise kind(LINES) from error
    except kind:
        caught = ExceptionWrapper(where="in DataLoader worker process 0")
    monkeypatch.delenv("S3PRL_SB_TRACEBACK", raising=False)
    with pytest.raises(kind) as raised:
        caught.reraise()
    assert str(raised.value) == LINES
    monkeypatch.setenv("S3PRL_SB_TRACEBACK", "1")
    assert "Original Traceback" in str(raised.value)
