"""Expected errors of preparations."""

import re

import pytest

from s3prl_sb.errors import ManifestError


def fails(*parts):
    """A ManifestError whose message has the parts in that order."""
    return pytest.raises(ManifestError, match="(?s)" + ".*".join(map(re.escape, parts)))
