"""The table of upstreams: complete, right, and its document is current."""

import json
import os
import subprocess
import sys

import pytest
import torch
import torchaudio

from s3prl_sb.cli import main
from s3prl_sb.lobes.cards import catalogue
from s3prl_sb.lobes.cards.catalogue import (
    COLUMNS,
    IMPORTANCE,
    about,
    as_markdown,
    as_text,
    cells,
    facts,
    is_restricted,
)
from s3prl_sb.lobes.cards.finding import matching, notes, published, read_cards
from s3prl_sb.lobes.upstreams import load, names

COMMAND = "python -m s3prl_sb.lobes.cards.catalogue > docs/upstreams.md"
MEL = "!new:s3prl_sb.lobes.upstreams.features.StftFeatures\n    feature: mel\n"


@pytest.fixture(scope="module")
def rows():
    pytest.importorskip("transformers")  # or its models have no sizes
    return [facts(name) for name in names()]


# ------------------------------------------------------------------ the published
def test_document(rows):
    text = catalogue.document(rows)
    assert COMMAND in text and f"There are {len(names())} names" in text
    assert [name for name in names() if f"\n| `{name}` | " not in text] == []


def test_every_card_has_its_facts(rows):
    lacking = {
        row.name: [key for key in catalogue.ABOUT if not getattr(row, key)]
        for row in rows
    }
    lacking = {name: keys for name, keys in lacking.items() if keys}
    assert not lacking, f"write them under _about in the card files: {lacking}"
    assert [row.name for row in rows if not row.paper.startswith("https://")] == []


def test_every_card_has_its_sizes(rows):
    unknown = [
        row.name
        for row in rows
        if not (row.stride and row.num_layers and row.output_sizes)
        or len(row.output_sizes) != row.num_layers
    ]
    assert not unknown, f"these cards do not build with source: null: {unknown}"


def test_patterns_match_a_card():
    for path in published():
        for pattern in notes(path, "_about"):
            matched = [c for c in read_cards(path) if matching({pattern: True}, c)]
            assert matched, f"{path.name}: _about '{pattern}' matches no card"


@pytest.mark.parametrize(
    "name, theirs",
    [
        ("wav2vec2_base_960", "wav2vec2_base"),
        ("hubert_large_ll60k", "hubert_large"),
        ("xls_r_1b", "wav2vec2_xlsr_1b"),
        ("xls_r_2b", "wav2vec2_xlsr_2b"),
    ],
)
def test_parameters(name, theirs, rows):
    """As many as in torchaudio's network of that name."""
    with torch.device("meta"):
        network = getattr(torchaudio.models, theirs)()
    expected = sum(p.numel() for p in network.parameters())
    row = next(row for row in rows if row.name == name)
    assert abs(row.parameters - expected) < 0.001 * expected


def test_sizes_are_those_of_the_network():
    upstream, row = load("hubert_small_random"), facts("hubert_small_random")
    assert row.parameters == sum(p.numel() for p in upstream.parameters())
    assert row.output_sizes == upstream.output_sizes
    assert (row.num_layers, row.stride) == (upstream.num_layers, upstream.stride)


# ------------------------------------------------------------------------- _about
def test_later_patterns_win(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "_about:  # of these\n"
        '    "*": {input: waveform, data: speech}\n'
        "\n"
        "# between\n"
        '    "big*": {data: more speech}\n'
        f"small: {MEL}big: {MEL}"
    )
    none = {"paper": None, "licence": None, "input": "waveform"}
    assert about(f"{path}:small") == {**none, "data": "speech"}
    assert about(f"{path}:big") == {**none, "data": "more speech"}
    row = facts(f"{path}:big")
    assert row.name == "big" and row.num_layers == 1
    assert cells(row)["licence"] == "not stated"


def test_restricted_licences(rows):
    """They are marked, and no others."""
    marked = {row.licence for row in rows if row.restricted}
    assert "CC-BY-NC-4.0" in marked
    for licence in ("MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "not stated"):
        assert licence not in marked
    for row in rows:
        assert cells(row)["licence"].endswith(" (restricted)") == row.restricted


@pytest.mark.parametrize(
    "restricted, licence",
    [
        (True, "CC-BY-NC-SA-4.0"),
        (True, "NVIDIA OneWay Noncommercial"),
        (True, "Qwen Research, not commercial"),
        (True, "Tongyi Qianwen Research License"),
        (True, "by NTT, evaluation only"),
        (True, "only for academic use"),
        (True, "not stated; CC-BY-NC-4.0"),
        (False, "CC-BY-4.0"),
        (False, "MIT; code for research and commerce"),
        (False, "NCSA"),
        (False, None),
    ],
)
def test_words_of_restrictions(restricted, licence):
    assert is_restricted(licence) == restricted


def test_free_ones(capsys):
    assert main(["upstreams", "--free"]) == 0
    free = set(capsys.readouterr().out.split())
    assert {"hubert_base", "panns_cnn14", "fbank"} <= free <= set(names())
    assert not free & {"hf_mms_1b", "byol_a_2048", "passt_base"}  # the last: not stated
    assert main(["upstreams", "hf_mms*", "--free"]) != 0
    assert "no upstream is called 'hf_mms*'" in capsys.readouterr().err


def test_other_sample_rates(rows):
    """They stand beside the stride, 16 kHz does not."""
    strides = {row.name: cells(row)["stride"] for row in rows}
    assert strides["panns_cnn14"] == "320 ms at 32 kHz"
    assert strides["panns_cnn14_16k"] == "320 ms"
    assert strides["hubert_base"] == "20 ms"
    assert strides["features_from_ark"] == "10 ms"
    for row in rows:
        usual = row.sample_rate == 16000 or row.stride == 1
        assert (" kHz" in strides[row.name]) != usual


def test_unknown_facts(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f'_about: {{"*": {{license: MIT}}}}\nmine: {MEL}')
    with pytest.raises(ValueError, match="_about has no 'license', only paper"):
        about(path)


def test_a_card_that_cannot_be_built(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    path = tmp_path / "mine.yaml"
    path.write_text("mine: !new:absent_module.Absent\n    source: a.pt\n")
    row = facts(path)
    assert row.source == "a.pt" and row.stride is None and row.parameters is None
    assert "cannot be built here" in caplog.text and "absent_module" in caplog.text
    line = as_text([row]).splitlines()[1].split("  ")
    assert line[0] == "mine" and "?" in [cell.strip() for cell in line]


# -------------------------------------------------------------------------- forms
def test_columns_that_fit(rows):
    assert sorted(COLUMNS) == sorted(IMPORTANCE)
    shown = []
    for width in (10, 80, 120, 200, None):
        lines = as_text(rows, width).splitlines()
        assert len(lines) == len(rows) + 1
        shown.append(lines[0].split())
        if len(shown[-1]) > 1 and width:
            assert max(map(len, lines)) <= width
        assert [line.split()[0] for line in lines[1:]] == names()
    assert shown[0] == ["name"] and shown[-1] == list(IMPORTANCE)
    assert [len(columns) for columns in shown] == sorted(map(len, shown))


def test_markdown(rows):
    lines = as_markdown(rows).splitlines()
    assert {line.count("|") for line in lines} == {len(COLUMNS) + 1}
    assert "[2106.07447](https://arxiv.org/abs/2106.07447)" in "\n".join(lines)


@pytest.mark.parametrize(
    "count, text",
    [
        (0, "0"),
        (45600, "45.6 k"),
        (94371712, "94.4 M"),
        (999_400_000, "999 M"),
        (999_600_000, "1 B"),
        (2162e6, "2.16 B"),
    ],
)
def test_amounts(count, text):
    assert catalogue._amount(count) == text


# ------------------------------------------------------------------ command line
def test_forms_on_the_command_line(monkeypatch, capsys):
    def printed(*options):
        assert main(["upstreams", "fbank*", *options]) == 0
        return capsys.readouterr().out

    both = [facts("fbank"), facts("fbank_no_cmvn")]
    assert printed() == printed("--names") == "fbank\nfbank_no_cmvn\n"
    assert printed("--table") == as_text(both) + "\n"
    assert printed("--markdown") == as_markdown(both) + "\n"
    found = json.loads(printed("--json"))
    assert [(row["name"], row["stride"]) for row in found] == [
        ("fbank", 160),
        ("fbank_no_cmvn", 160),
    ]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    assert printed() == as_text(both, 40) + "\n" != as_text(both) + "\n"
    assert printed("--names") == "fbank\nfbank_no_cmvn\n"
    with pytest.raises(SystemExit):
        main(["upstreams", "--names", "--json"])


def test_names_are_light():
    code = (
        "import sys; from s3prl_sb.cli import main; main(['upstreams', '--names']); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_has_enough():
    """`s3prl-sb upstreams | head -1` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "s3prl_sb.cli", "upstreams"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
