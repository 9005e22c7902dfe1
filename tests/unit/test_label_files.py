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
    "comment.TextGrid": SHORT.replace("<exists>\n1", "<exists>\n1 ! 2 more, later"),
    "points.TextGrid": SHORT.replace("0.5\n1.25", "+.5\n125e-2 ! 7"),
    "crlf.phn": "0 0 h#\r\n8000 20000 ɛ\r\n20000 24000 t\r\n",
    "cr.phn": "8000 20000 ɛ\r20000 24000 t\r",
    "tabs.rttm": "SPKR-INFO\ta\t1\t<NA>\t<NA>\t<NA>\tadult\tɛ\t<NA>\n"
    "SPEAKER\ta\t1\t0.5\t0.75\t<NA>\t<NA>\tɛ\t<NA>\n"
    "SPEAKER\ta\t1\t1.25\t0.25\t<NA>\t<NA>\tt\t0.5\n",
    "types.ctm": "a A 0.5 0.75 ɛ NA lex ann\na A 1.25 0.25 t 1 lex ann\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", SAME)
def test_formats(name, encoding, tmp_path):
    (tmp_path / name).write_bytes(SAME[name].encode(encoding))
    [segments] = label_files.read(tmp_path / name).values()
    assert segments == PHONES


def test_labels_with_commas_and_line_breaks(tmp_path):
    label = 'a, "b"'
    for name, text in (
        ("a.csv", 'id,label,start,stop\na,"a, ""b""",0.5,1\n'),
        ("a.txt", '0.5\t1\ta, "b"\n'),
        ("a.TextGrid", SHORT.replace('"ɛ"', '"a, ""b"""').replace('"t"', '""')),
        ("a.json", json.dumps({"a": [[0.5, 1, label]]})),
    ):
        (tmp_path / name).write_text(text)
        [(found, start, _)] = label_files.read(tmp_path / name)["a"]
        assert (found, start) == (label, 0.5), name


def test_overlaps_and_gaps_are_kept(tmp_path):
    """A task with one label a frame refuses overlaps, another one may want them."""
    (tmp_path / "a.txt").write_text("0\t1\ta\n0.5\t2\tb\n3\t3\tpoint\n4\t5\tc\n")
    expected = [("a", 0.0, 1.0), ("b", 0.5, 2.0), ("c", 4.0, 5.0)]
    assert label_files.read(tmp_path / "a.txt") == {"a": expected}
    places = [row[4] for row in label_files.rows(tmp_path / "a.txt") if row[1]]
    assert places == [f"{tmp_path / 'a.txt'}:{line}" for line in (1, 2, 3, 4)]


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
        ("a.phn", "0 ² a\n", "a.phn:1: .*first sample, last sample"),
        ("a.phn", "0 10 a b\n", "a.phn:1: .*first sample, last sample"),
        ("a.phn", "9 3 a\n", "a.phn:1: a segment of 'a' from .*0 <= start <= stop"),
        ("a.txt", "0.5 1.5 one\n", "a.txt:1: .*no label of Audacity"),
        ("a.txt", "0.5\t1.5\n", "a.txt:1: .*no label of Audacity"),
        ("a.txt", "0\t1\ta\tb\n", "a.txt:1: .*no label of Audacity"),
        ("a.txt", "0,5\t1,5\ta\n", "a.txt:1: .*times in seconds"),
        ("a.txt", "0\tinf\ta\n", "a.txt:1: a segment of 'a' from 0.0 to inf"),
        ("a.ctm", "a 1 0 1 two words\n", "a.ctm:1: the 6th field.*Write two_words"),
        ("a.ctm", "a A 0 1 x\na B 0 1 y\n", "a.ctm:2: 'a' has channel B .*in line 1"),
        ("a.ctm", "a 1 * * <ALT_BEGIN>\n", "a.ctm:1: <ALT_BEGIN>: alternatives"),
        ("a.ctm", "a 1 0.5 ah\n", "a.ctm:1: malformed"),
        ("a.ctm", "a 1 -1 1 ah\n", "a.ctm:1: start '-1' is no time"),
        ("a.rttm", "\nSPEAKER a 1 zero 1 <NA> <NA> b\n", "a.rttm:2: "),
        ("a.csv", "id,label,start\na,b,1\n", "a.csv:1: needed are columns"),
        ("a.csv", "id,label,start,stop\na,b,1,0.5\n", "a.csv:2: .*from 1.0 to 0.5 s"),
        ("a.csv", "id,label,start,stop\na,b,,\n", "a.csv:2: .*without times"),
        ("a.json", '{\n"a": {"text": "b"}}', "a.json:2: 'a' has no segments; found te"),
        ("a.csv", "id,label,start,stop\na,,0,1\n", "a.csv:2: .*without a label"),
        ("a.csv", "id,label,start,stop\n,b,0,1\n", "a.csv:2: .*without a recording"),
        ("a.json", '{"a": [["", 0, 1]]}', "a.json:1: .*without a label"),
        ("a.json", '{"a": {"segments": null}}', "a.json:1: .*other segments"),
        ("a.json", '{"a": 5}', "a.json:1: .*other segments"),
        ("a.json", '{"a": [["b", 0, 1]],\n"a": [["c", 0, 1]]}', "a.json:2: 'a' again"),
        ("a.json", '{"a": [["b", 1]]}', r"a.json:1: .*other segments .*\['b', 1\]"),
        ("a.xyz", "1 2 3\n", "a.xyz: what kind of labels"),
        ("a.TextGrid", "hello\n", "a.TextGrid:1: the file ends in the place"),
        ("a.TextGrid", SHORT.replace('"ɛ"', "7"), "a.TextGrid:15: 7 in the place of"),
        ("a.TextGrid", SHORT[:-5], "a.TextGrid:17: the file ends"),
        ("a.TextGrid", SHORT.replace("TextGrid", "Pitch"), "no .*TextGrid"),
        ("a.TextGrid", "", "a.TextGrid:1: the file ends in the place of the type"),
        ("a.TextGrid", SHORT.replace("0.5\n", "0,5\n"), "a.TextGrid:13: 0,5 in the"),
        ("a.TextGrid", SHORT.replace("1.5\n2\n", "1.5\n1\n"), ":16: 1.25 .* intervals"),
        ("a.TextGrid", SHORT.replace("1.5\n2\n", "1.5\n-2\n"), ":12: -2 in the place"),
        ("a.TextGrid", SHORT.replace("1.5\n2\n", "1.5\n1.5\n"), ":12: 1.5 in the"),
        ("a.TextGrid", SHORT.split("<exists>")[0] + "<absent>", "no tier of intervals"),
        ("a.TextGrid", SHORT.replace("IntervalT", "TextT"), "a.TextGrid"),
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
    spaces = {"my talk": [("two words", 0, 1)]}
    write_ctm(spaces, tmp_path / "b.ctm")
    assert label_files.read(tmp_path / "b.ctm") == spaces


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize(
    "name, text",
    [
        ("a.json", '{{"a": [["b", 0, {}]]}}'),
        ("a.json", '{{"a": {{"wav": "a", "label": "b", "start": 0, "stop": {}}}}}'),
        ("a.csv", "id,label,start,stop\na,b,0,{}\n"),
        ("a.phn", "0 {} b\n"),
        ("a.ctm", "a 1 0 {} b\n"),
        ("a.txt", "0\t{}\tb\n"),
    ],
)
def test_times_that_no_float_holds_are_named(tmp_path, name, text, digits):
    (tmp_path / name).write_text(text.format("9" * digits))
    with pytest.raises(ManifestError, match=name):
        label_files.read(tmp_path / name)


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.ctm", "{} 1 0\n"),
        ("a.ctm", "u 1 {} 1 a\n"),
        ("a.ctm", "u 1 0 1 a {}\n"),
        ("a.rttm", "{} 1 0\n"),
        ("a.rttm", "SPEAKER a 1 0 1 <NA> <NA> s {} <NA>\n"),
        ("a.phn", "0 {} a\n"),
        ("a.phn", "9 0 {}\n"),
        ("a.txt", "{}\n"),
        ("a.json", '{{"a": {{"segments": [["x", 0, "{}"]]}}}}'),
        ("a.csv", "wav,label,start,stop\na,x,{},1\n"),
        ("a.TextGrid", '"ooTextFile" "TextGrid" "{}"'),
        ("a.TextGrid", '"ooTextFile" "TextGrid" 0 1x{}'),
    ],
)
def test_messages_quote_the_beginning_of_a_long_line(tmp_path, name, text):
    (tmp_path / name).write_text(text.format("x" * 100_000))
    with pytest.raises(ManifestError, match=name) as caught:
        label_files.read(tmp_path / name)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
