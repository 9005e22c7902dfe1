"""RTTM and UEM files: what is read, written, and said of faults."""

import re

import pytest

from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rttm import (
    read_rttm,
    read_uem,
    write_rttm,
    write_uem,
)


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_all_kinds_of_lines(tmp_path):
    path = written(
        tmp_path / "a.rttm",
        ";; a comment\n"
        "SPKR-INFO a 1 <NA> <NA> <NA> adult_male ann <NA>\n"
        "\n"
        "SPEAKER a 1 0.1 0.2 <NA> <NA> MÉO069 <NA> <NA>\n"
        "SPEAKER  b 1    5.42    3.34 <NA> <NA> 6209 <NA>\n"
        "SPEAKER a 1 1 0 <NA> <NA> bob <NA> <NA>\n"
        "LEXEME a 1 0.1 0.2 hello lex ann <NA>\n",
    )
    assert read_rttm(path) == {
        "a": [("MÉO069", 0.1, 0.3), ("bob", 1.0, 1.0)],
        "b": [("6209", 5.42, 8.76)],
    }


def test_writes_what_it_reads(tmp_path):
    path = tmp_path / "a.rttm"
    found = {"a": [("ann", 0.5, 2.75), ("MÉO069", 0.001, 9.999)], "b": [("c", 0, 1)]}
    write_rttm(found, path)
    assert read_rttm(path) == found
    # To the millisecond, start and stop, not start and duration
    write_rttm({"a": [("ann", 0.0004, 1.0006)]}, path)
    assert read_rttm(path) == {"a": [("ann", 0.0, 1.001)]}


@pytest.mark.parametrize("end", ["", " <NA>"])
def test_names_with_a_number_behind_a_space(tmp_path, end):
    """0 and 1 may be confidences; two of them under one name are two speakers."""
    line = "SPEAKER a 1 0 1 <NA> <NA> Speaker %s" + end + "\n"
    path = written(tmp_path / "a.rttm", line % 1 + line % 1 + line % 0)
    with pytest.raises(ManifestError, match=r"rttm:3: 'Speaker 0' .*'Speaker 1'.*_0"):
        read_rttm(path)
    path = written(tmp_path / "a.rttm", line % "1.0" + line % "0.0" + line % 1)
    assert len(read_rttm(path)["a"]) == 3


def test_uem(tmp_path):
    path = tmp_path / "a.uem"
    regions = {"a": [(0.0, 10.0), (20.0, 30.5)], "b": [(1.0, 2.0)]}
    write_uem(regions, path)
    assert read_uem(path) == regions
    assert read_uem(written(path, "dev00 NA 0.000 30.000\n")) == {
        "dev00": [(0.0, 30.0)]
    }


@pytest.mark.parametrize(
    "line, reason",
    [
        ("SPEAKER a 1 0.1 0.2 <NA> <NA>", "malformed line"),
        ("ann 0.1 0.2", "malformed line"),
        ("SPEAKER a 1 zero 0.2 <NA> <NA> ann <NA> <NA>", "start 'zero' is no time"),
        ("SPEAKER a 1 -1 0.2 <NA> <NA> ann <NA> <NA>", "start '-1' is no time"),
        ("SPEAKER a 1 0 -0.2 <NA> <NA> ann <NA> <NA>", "duration '-0.2' is no time"),
        ("SPEAKER a 1 nan 0.2 <NA> <NA> ann <NA> <NA>", "start 'nan' is no time"),
    ],
)
def test_faults_in_rttm_have_a_place(tmp_path, line, reason):
    good = "SPEAKER a 1 0.1 0.2 <NA> <NA> ann <NA> <NA>\n"
    path = written(tmp_path / "a.rttm", good + line + "\n")
    with pytest.raises(ManifestError, match=re.escape(f"{path}:2: {reason}")):
        read_rttm(path)


@pytest.mark.parametrize(
    "line, reason",
    [
        ("a 1 0.1", "malformed line"),
        ("a 1 2 1", "stop 1.0 <= start 2.0"),
        ("a 1 0 end", "stop 'end' is no time"),
    ],
)
def test_faults_in_uem_have_a_place(tmp_path, line, reason):
    path = written(tmp_path / "a.uem", "a 1 0 1\n" + line + "\n")
    with pytest.raises(ManifestError, match=re.escape(f"{path}:2: {reason}")):
        read_uem(path)


def test_other_faults(tmp_path):
    with pytest.raises(ManifestError, match="no such file"):
        read_rttm(tmp_path / "none.rttm")
    (tmp_path / "latin.rttm").write_bytes("M\xc9O".encode("latin-1"))
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_rttm(tmp_path / "latin.rttm")


def test_names_with_spaces_are_written(tmp_path):
    """At the end of a run a name is no reason to lose the results."""
    found = {"a b": [("ann\tb", 0, 1)], "c\u00a0d\n": [("", 0, 1)]}
    write_rttm(found, tmp_path / "a.rttm")
    write_uem({name: [(0, 1)] for name in found}, tmp_path / "a.uem")
    names = ["a%20b", "c%C2%A0d%0A"]
    read = read_rttm(tmp_path / "a.rttm")
    assert read == {names[0]: [("ann%09b", 0, 1)], names[1]: [("<NA>", 0, 1)]}
    assert list(read_uem(tmp_path / "a.uem")) == names


@pytest.mark.parametrize(
    "line",
    [
        "SPEAKER m 1 0.5 1.0 <NA> <NA> Speaker 1 <NA> <NA>",
        "SPEAKER m 1 0.5 1.0 <NA> <NA> Ann Marie Lee <NA> <NA>",
        "SPEAKER m 1 0.5 1.0 <NA> <NA> Speaker 2 <NA>",
        "SPEAKER m 1 0.5 1.0 <NA> <NA> Ann Lee <NA>",
        "SPEAKER m 1 0.5 1.0 <NA> <NA> Ann Lee",
        "SPEAKER my meeting 1 0.5 1.0 <NA> <NA> Ann <NA> <NA>",
    ],
)
def test_names_with_spaces_are_no_shorter_names(tmp_path, line):
    good = "SPEAKER m 1 0.5 1.0 <NA> <NA> ann <NA>\n"
    path = written(tmp_path / "a.rttm", good + line + "\n")
    with pytest.raises(ManifestError, match=re.escape(f"{path}:2: ")) as fault:
        read_rttm(path)
    assert "space" in str(fault.value)


@pytest.mark.parametrize("rest", ["", " <NA>", " <NA> <NA>", " 0.93 <NA>", " 1"])
def test_fields_after_the_speaker(tmp_path, rest):
    line = f"SPEAKER m 1 0.5 1.0 <NA> <NA> ann{rest}\n"
    assert read_rttm(written(tmp_path / "a.rttm", line)) == {"m": [("ann", 0.5, 1.5)]}
