"""Labels in time, read from the files of many tools."""

import json
import shutil

import pytest

from s3prl_sb.dataio import label_files
from s3prl_sb.dataio.ctm import write_ctm
from s3prl_sb.errors import ManifestError

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "say ""a"" 2"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.7
            mark = "click"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.25
            text = "ɛ"
        intervals [3]:
            xmin = 1.25
            xmax = 1.5
            text = "t"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
1
"IntervalTier"
"phones"
0
1.5
2
0.5
1.25
"ɛ"
1.25
1.5
"t"
"""
PHONES = [("ɛ", 0.5, 1.25), ("t", 1.25, 1.5)]
#: Names of files to their texts, all with the same two segments of "a".
SAME = {
    "a.txt": "0.5\t1.25\tɛ\n\\\t100\t200\n1.25\t1.5\tt\n",
    "a.ctm": ";; a comment\na 1 1.25 0.25 t\na 1 0.5 0.75 ɛ 0.9\n",
    "a.rttm": "SPEAKER a 1 0.5 0.75 <NA> <NA> ɛ <NA> <NA>\n"
    "SPEAKER a 1 1.25 0.25 <NA> <NA> t <NA> <NA>\n",
    "a.PHN": "0 0 h#\n8000 20000 ɛ\n20000 24000 t\n",
    "x.csv": "record_id,label,start,stop\na,t,1.25,1.5\na,ɛ,0.5,1.25\n",
    "x.tsv": "filename\tonset\toffset\tevent_label\na\t0.5\t1.25\tɛ\na\t1.25\t1.5\tt\n",
    "ms.csv": "id,start_ms,duration_ms,phone\na,500,750,ɛ\na,1250,250,t\n",
    "n.csv": "id,start_sample,stop_sample,phone\na,8000,20000,ɛ\na,20000,24000,t\n",
    "s.json": json.dumps({"a": {"segments": [["ɛ", 0.5, 1.25], ["t", 1.25, 1.5]]}}),
    "p.json": json.dumps({"a": {"phones": [[0.5, 1.25, "ɛ"], [1.25, 1.5, "t"]]}}),
    "l.json": json.dumps({"a": [[0.5, 1.25, "ɛ"], [1.25, 1.5, "t"]]}),
    "r.json": json.dumps(
        {
            "1": {"record_id": "a", "label": "ɛ", "start": 0.5, "stop": 1.25},
            "2": {"record_id": "a", "label": "t", "start": 1.25, "stop": 1.5},
        }
    ),
    "a.TextGrid": SHORT,
    "a": SHORT,  # known by its content
}


@pytest.mark.parametrize("name", SAME)
def test_formats(name, tmp_path):
    (tmp_path / name).write_text(SAME[name], encoding="utf-8")
    assert label_files.read(tmp_path / name) == {"a": PHONES}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tiers_of_a_textgrid(encoding, tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(LONG, encoding=encoding)
    assert label_files.read(path, tier="phones") == {"a": PHONES}
    assert label_files.read(path, "words") == {"a": [('say "a" 2', 0.0, 1.5)]}
    for tier in (None, "clicks"):  # points are no intervals
        with pytest.raises(ManifestError, match="a.TextGrid: .*words, phones"):
            label_files.read(path, tier)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.phn", "0 10 a\n10 x b\n", "a.phn:2: .*first sample, last sample"),
        ("a.txt", "0.5 1.5 one\n", "a.txt:1: .*no label of Audacity"),
        ("a.ctm", "a 1 0.5 ah\n", "a.ctm:1: malformed"),
        ("a.ctm", "a 1 -1 1 ah\n", "a.ctm:1: start '-1' is no time"),
        ("a.rttm", "\nSPEAKER a 1 zero 1 <NA> <NA> b\n", "a.rttm:2: "),
        ("a.csv", "id,label,start\na,b,1\n", "a.csv:1: needed are columns"),
        ("a.csv", "id,label,start,stop\na,b,1,0.5\n", "a.csv:2: .*from 1.0 to 0.5 s"),
        ("a.csv", "id,label,start,stop\na,b,,\n", "a.csv:2: .*without times"),
        ("a.json", '{\n"a": {"text": "b"}}', "a.json:2: 'a' has no segments; found te"),
        ("a.json", '{"a": [["b", 1]]}', r"a.json:1: .*other segments .*\['b', 1\]"),
        ("a.xyz", "1 2 3\n", "a.xyz: what kind of labels"),
        ("a.TextGrid", "hello\n", "a.TextGrid:1: the file ends in the place"),
        ("a.TextGrid", SHORT.replace('"ɛ"', "7"), "a.TextGrid:15: 7 in the place of"),
        ("a.TextGrid", SHORT[:-5], "a.TextGrid:17: the file ends"),
        ("a.TextGrid", SHORT.replace("TextGrid", "Pitch"), "no .*TextGrid"),
    ],
)
def test_faults_name_the_line(name, text, message, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        label_files.read(tmp_path / name)


def test_folders(tmp_path):
    """Ids are paths without suffix; a kind is chosen if there are several."""
    (tmp_path / "DR1").mkdir()
    (tmp_path / "DR1/SA1.PHN").write_text("0 1600 h#\n")
    (tmp_path / "DR1/SA1.TXT").write_text("0 1600 She had.\n")
    assert label_files.read(tmp_path) == {"DR1/SA1": [("h#", 0.0, 0.1)]}
    assert label_files.read(tmp_path, rate=8000)["DR1/SA1"] == [("h#", 0.0, 0.2)]
    shutil.copy(tmp_path / "DR1/SA1.PHN", tmp_path / "DR1/SA1.WRD")
    with pytest.raises(ManifestError, match=r"several kinds: \.phn, \.wrd"):
        label_files.read(tmp_path)
    assert len(label_files.read(tmp_path, kind=".WRD")) == 1
    assert label_files.read(tmp_path, kind=".ctm") == {}


def test_recordings_without_labels(tmp_path):
    for name, text in (
        ("a.txt", ""),
        ("a.csv", "id,label,start,stop\na,,,\n"),
        ("a.json", '{"a": {"segments": []}}'),
        ("a.TextGrid", SHORT.replace('"ɛ"', '""').replace('"t"', '""')),
    ):
        (tmp_path / name).write_text(text)
        assert label_files.read(tmp_path / name) == {"a": []}, name


def test_ctm_is_read_as_written(tmp_path):
    written = {"a": PHONES, "b": [("x", 0.001, 0.0324)]}
    write_ctm(written, tmp_path / "a.ctm")
    written["b"] = [("x", 0.001, 0.032)]  # to the millisecond
    assert label_files.read(tmp_path / "a.ctm") == written
    write_ctm({"my talk": [("two words", 0, 1)]}, tmp_path / "b.ctm")
    found = {"my%20talk": [("two%20words", 0, 1)]}
    assert label_files.read(tmp_path / "b.ctm") == found
