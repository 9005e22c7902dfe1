"""The worst examples of runs of every kind, from files as runs leave them."""

import csv
import io
import json
import sys
import tarfile

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.cli import main
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.ctm import write_ctm
from s3prl_sb.dataio.rttm import write_rttm
from s3prl_sb.errors import UserError
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.report import (
    audio_roots,
    before_after,
    confusions,
    gathered,
    reconstructions,
    waveforms,
    worst,
)
from s3prl_sb.report.blocks import Options
from s3prl_sb.report.example_kinds import KINDS, kind_of
from s3prl_sb.report.gathered import Run

BAD = "</script><img src=x onerror=alert(1)>"
TABLES = {
    "texts": ("id,reference,prediction", ["a,x y,x y", f"{BAD},x,y", "c,x y z,x"]),
    "labels": (
        "id,label,prediction,score",
        ["a,yes,yes,0.9", "b,yes,no,0.6", f"{BAD},no,{BAD},0.8"],
    ),
    "tags": (
        "id,labels,prediction,scores",
        ["a,dog;cat,cat,dog 0.1", "b,dog,dog,dog 0.9", "c,dog,cat;cow,cat 0.8"],
    ),
    "trials": (
        "id1,id2,label,prediction,score",
        ["a,b,0,1,0.7", "a,c,0,1,0.9", "b,c,1,0,0.2", "c,c,1,1,1.0", "a,d,1,0,-0.4"],
    ),
    "queries": (
        "query,document,cost,score,detected,true",
        ["q,d,0.1,3.0,1,0", "q,e,0.1,1.0,0,1", "q,f,0.1,5.0,1,1"],
    ),
    "speakers": (
        "id,duration,speakers,der,missed,false_alarm,confusion,speech",
        ["a,4.000,2,0.500000,1,0,0,2", "b,4.000,1,0.000000,0,0,0,2", "c,1,0,,0,0,0,0"],
    ),
    "events": (
        "id,duration,segment_f1,onset_f1,event_f1",
        ["a,4.000,0.5,0.25,0.1", "b,4.000,1.0,1.0,1.0", "c,4.000,,,"],
    ),
    "frames": ("id,frames,frame_accuracy", ["a,200,0.5", "b,200,1.0", "c,0,"]),
    "scenes": (
        "id,duration,speakers,twin,der,cpwer,tcpwer,segment_f1,onset_f1,event_f1",
        ["a,4.000,2,,0.5,1,1,0.1,0.1,0.1", "b,4.000,2,,0,0,0,1,1,1"],
    ),
    "sources": ("id,seconds,pesq,si_sdr", ["a,4.000,1.5,-3.0", "b,4.000,2.5,10.0"]),
    "converted": (
        "id,speaker,wav,mel_l1,mcd",
        ["a,ann,converted/a.wav,0.4,7.5", "b,ann,converted/b.wav,0.3,9.5"],
    ),
    "phones": (
        "id,speakers,phone,other,error",
        ["w a b,within,a,b,0.4", "w c d,w,c,d,0"],
    ),
    "intents": (
        "id,action_label,action_prediction,object_label,object_prediction,score",
        ["a,on,on,lamp,lamp,0.9", "b,on,off,lamp,heat,0.5", "c,on,on,lamp,heat,0.9"],
    ),
    "values": ("id,value,prediction,system", ["a,3.0,2.0,s", "b,4.0,4.1,s"]),
}
#: Ids in the order in which they are shown; what has no fault is not.
ORDERS = {
    "texts": [BAD, "c"],
    "labels": [BAD, "b"],
    "tags": ["c", "a"],
    "trials": ["a c", "a b", "a d", "b c"],
    "queries": ["q d", "q e"],
    "speakers": ["a"],
    "events": ["a"],
    "frames": ["a"],
    "scenes": ["a"],
    "sources": ["a", "b"],
    "converted": ["b", "a"],
    "phones": ["w a b"],
    "intents": ["b", "c"],
    "values": ["a", "b"],
}
METRICS = {"texts": "wer", "labels": "accuracy", "speakers": "der"}


@pytest.fixture
def run_of(tmp_path):
    """A function that makes the folder of a run of a kind."""

    def run_of(kind, **results):
        header, rows = TABLES[kind]
        place = tmp_path / kind
        place.mkdir(exist_ok=True)
        (place / "predictions.csv").write_text("\n".join([header, *rows, ""]))
        metric = METRICS.get(kind, "loss")
        return Run(
            {
                "folder": str(place),
                "task": f"toy/{kind}",
                "metrics": {metric: 0.5},
                "chosen_by": {"metric": metric, "highest": metric == "accuracy"},
                **results,
            }
        )

    return run_of


def tone(path, seconds=2.0, rate=16000, hertz=440.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * times), rate)
    return str(path)


def record(wav, duration=2.0, **more):
    return {"wav": wav, "duration": duration, "start": None, "stop": None, **more}


def html_of(run, **options):
    section = worst.section(run, Options(**options))
    return "\n".join(block.html() for block in section.blocks)


@pytest.mark.parametrize("kind", TABLES)
def test_the_worst_are_first_and_the_right_ones_are_left_out(kind, run_of):
    run = run_of(kind)
    assert {each.name for each in KINDS} == set(TABLES)
    assert kind_of(run.table("predictions.csv")).name == kind
    found = worst.worst(run, 10)
    columns = run.table("predictions.csv")[0]
    pair = [c for c in ("id1", "id2", "query", "document") if c in columns] or ["id"]
    ids = [" ".join(each.row[c] for c in pair) for each in found.examples]
    assert ids == ORDERS[kind]
    assert len(worst.worst(run, 1).examples) == (2 if len(pair) == 2 else 1)
    html = html_of(run)
    assert "<img" not in html and "</script" not in html
    assert BAD not in html
    assert not run.notes


def test_measures_decide_where_there_are_some(run_of):
    run = run_of("texts", task="SUPERB/ASR")
    items = ["a", BAD, "c"]
    entry = {"kind": "ratio", "numerators": [1, 1, 0], "denominators": [1, 4, 2]}
    Measures.build("utterance", items, {"wer": entry}).write(run.folder)
    found = worst.worst(run, 10)
    assert [each.row["id"] for each in found.examples] == ["a", BAD]
    assert [each.words for each in found.examples] == ["100.00 %", "25.00 %"]
    assert found.by == "worst WER" and found.faulty == 2 and found.total == 3
    assert "WER 25.00 %" in html_of(run)


def test_the_surest_errors_are_first_among_equal_measures(run_of):
    run = run_of("labels")
    entry = {"kind": "mean", "values": [1, 0, 0]}
    Measures.build("utterance", ["a", "b", BAD], {"accuracy": entry}).write(run.folder)
    assert [each.row["id"] for each in worst.worst(run, 10).examples] == [BAD, "b"]


def test_folds_are_searched_together(run_of, tmp_path):
    for number, kind in enumerate(("labels", "labels"), 1):
        folder = run_of(kind).folder
        folder.rename(tmp_path / f"fold{number}")
    table = tmp_path / "fold2/predictions.csv"
    table.write_text(table.read_text().replace("b,yes,no,0.6", "z,yes,no,0.99"))
    folds = [{"fold": n, "folder": f"fold{n}"} for n in (1, 2)]
    run = Run({"folder": str(tmp_path), "task": "toy", "folds": folds})
    ids = [each.row["id"] for each in worst.worst(run, 10).examples]
    assert ids == ["z", BAD, BAD, "b"]
    table.write_text('id\n"a')
    again = Run(run.results)
    worst.section(again, Options())
    assert "fold2/predictions.csv" in again.notes[0]  # on the page, too


@pytest.mark.parametrize("text", ["", "id\n", "id,label\na\n", '"', "id,\x00\na,b\n"])
def test_broken_tables_are_no_crash(text, run_of):
    run = run_of("labels")
    (run.folder / "predictions.csv").write_text(text)
    section = worst.section(run, Options(audio=1))
    assert section is None or section.blocks


def test_too_many_predictions_are_left_out(run_of, monkeypatch):
    run = run_of("labels")
    monkeypatch.setattr(gathered, "LARGEST", 20)
    monkeypatch.setattr(gathered, "read_text", None)
    assert worst.section(run, Options()) is confusions.section(run, Options()) is None
    assert len(run.notes) == 1 and "predictions.csv" in run.notes[0]


def test_nothing_wrong_is_said(run_of):
    run = run_of("labels")
    (run.folder / "predictions.csv").write_text(TABLES["labels"][0] + "\na,b,b,1\n")
    assert "Nothing is wrong in 1 utterance." in html_of(run)


def test_sounds_and_what_keeps_them_away(run_of, tmp_path):
    """One is there, one is missing, one has changed, one is in no manifest."""
    run = run_of("intents")
    rows = ["b,on,off,lamp,heat,0.9", *(f"{i},on,off,lamp,heat,0.5" for i in "cde")]
    table = "\n".join([TABLES["intents"][0], *rows, ""])
    (run.folder / "predictions.csv").write_text(table)
    records = {
        "b": record(tone(tmp_path / "b.wav")),
        "c": record(str(tmp_path / "c.wav")),
        "d": record(tone(tmp_path / "d.wav"), 3.0),
    }
    (run.folder / "save").mkdir()
    manifest.write(records, run.folder / "save/test.json")
    html = html_of(run, audio=4)
    assert html.count("<audio") == 1 and html.count("data:image/webp") == 1
    assert f"No sound: utterance &#39;c&#39; ({tmp_path}/c.wav): no such file" in html
    assert "2.00 s, where its manifest has 3.00 s" in html
    assert "has no &#39;e&#39;" in html
    assert html_of(run).count("<audio") == 0


def test_audio_that_has_moved(run_of, tmp_path):
    """Its folder is named once; with its new place, the sounds are there."""
    run = run_of("intents", settings={"data_folder": "/gone/corpus"})
    table = [TABLES["intents"][0], "b,on,off,lamp,heat,0.9", "c,on,off,lamp,heat,0.8"]
    (run.folder / "predictions.csv").write_text("\n".join([*table, ""]))
    tone(tmp_path / "new/test/b.wav")
    tone(tmp_path / "new/test/c.wav")
    records = {name: record(f"/gone/corpus/test/{name}.wav") for name in "bc"}
    (run.folder / "save").mkdir()
    manifest.write(records, run.folder / "save/test.json")
    assert html_of(run, audio=2).count("No sound: utterance") == 2
    (note,) = run.notes
    assert "'/gone/corpus', which is not there" in note
    assert note.endswith("--audio_root /gone/corpus=NEW")
    roots = audio_roots.parsed(["/gone=/", f"/gone/corpus/={tmp_path}/new"])
    found = run_of("intents")
    (found.folder / "predictions.csv").write_text("\n".join([*table, ""]))
    html = html_of(found, audio=2, audio_roots=roots)
    assert html.count("<audio") == 2 and not found.notes
    assert audio_roots.moved({"wav": "/gone/corpus2/a.wav"}, roots[:1]) == {
        "wav": "/gone/corpus2/a.wav"
    }
    (tmp_path / "other").mkdir()
    roots = audio_roots.parsed([f"/gone/corpus={tmp_path}/other"])
    assert html_of(found, audio=1, audio_roots=roots).count("No sound: utterance") == 1
    (note,) = found.notes  # the folder is named, and is another one
    assert note == (
        f"'{tmp_path}/other/test', where --audio_root /gone/corpus={tmp_path}/other "
        "leads, is not there."
    )


@pytest.mark.parametrize("text", ["/old", "=/new", "/old=", "/old=/no/such/folder"])
def test_roots_that_are_none(text, tmp_path, capsys):
    with pytest.raises(audio_roots.RootError, match="--audio_root"):
        audio_roots.parsed([text])
    words = ["report", str(tmp_path), "--audio_root", text]
    assert main(words) == 1 and text in capsys.readouterr().err


def test_long_sounds_are_cut(tmp_path):
    long = record(tone(tmp_path / "a.wav", 40.0), 40.0)
    part = waveforms.excerpt("a", long)
    assert (part.start, part.stop, len(part.samples)) == (0.0, 30.0, 480_000)
    assert part.remark == "Seconds 0 to 30 of 40.0."
    segment = {**record(long["wav"], 4.0), "start": 10.0, "stop": 14.0}
    whole = waveforms.excerpt("a", segment)
    assert len(whole.samples) == 64_000 and not whole.remark
    again = waveforms.excerpt("a", segment, start=1.0, longest=2.0)
    assert again.samples.equal(whole.samples[16_000:48_000])


def test_a_sound_is_what_it_was(tmp_path):
    samples = waveforms.of_file("a", tone(tmp_path / "a.wav", 3.0)).samples
    sound = waveforms.sound(samples, "a")
    decoded, rate = soundfile.read(io.BytesIO(sound.data))
    assert rate == 16000 and abs(len(decoded) / rate - 3.0) < 0.1
    spectrum = np.abs(np.fft.rfft(decoded[8000:40000]))
    assert abs(np.argmax(spectrum) / 2.0 - 440) <= 1  # bins of half a Hz
    assert len(sound.data) < 30_000


def test_packed_sounds_are_read_where_they_are(tmp_path):
    path = tone(tmp_path / "a.wav")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(path, "a.wav")
    with tarfile.open(tmp_path / "a.tar") as tar:
        member = tar.getmember("a.wav")
    name = f"{tmp_path}/a.tar:{member.offset_data}:{member.size}"
    packed = waveforms.excerpt("a", record(name)).samples
    assert packed.equal(waveforms.of_file("a", path).samples)
    with pytest.raises(UserError, match="features, not audio"):
        waveforms.excerpt("a", record("feats.ark:12"))


def test_without_mp3_it_is_flac(monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "WAV"})
    samples = torch.linspace(-1.5, 1.5, 16000)
    sound = waveforms.sound(samples, "a")
    decoded, rate = soundfile.read(io.BytesIO(sound.data), dtype="float32")
    assert sound.kind == "flac" and rate == 16000
    assert np.abs(decoded - samples.clamp(-1, 1).numpy()).max() < 1e-4


def test_of_long_recordings_the_worst_minute_is_shown(run_of, tmp_path):
    """Both the rows and the sound are those of the minute."""
    run = run_of("speakers")
    row = "a,300.000,1,0.5,10,0,0,20"
    (run.folder / "predictions.csv").write_text(f"{TABLES['speakers'][0]}\n{row}\n")
    turns = [("ann", 5.0, 15.0), ("ann", 210.0, 220.0)]
    write_rttm({"a": turns}, run.folder / "ref.rttm")
    write_rttm({"a": turns[:1]}, run.folder / "hyp.rttm")
    (run.folder / "save").mkdir()
    records = {"a": record(tone(tmp_path / "a.wav", 300.0, 8000), 300.0)}
    manifest.write(records, run.folder / "save/test.json")
    html = html_of(run, audio=1)
    assert 'data-start="180.000" data-stop="240.000"' in html
    assert "Seconds 180 to 240 of 300.0, where the two differ longest." in html
    assert "left:50.00%;width:16.67%" in html and "240 s</span>" not in html
    assert "60.0 s, 0 to 8 kHz" in html and html.count('class="true"') == 1


def test_timelines(run_of):
    run = run_of("speakers")
    write_rttm({"a": [(BAD.replace(" ", "_"), 0.5, 2.5)]}, run.folder / "ref.rttm")
    write_rttm({"a": [("1", 1.0, 2.5)]}, run.folder / "hyp.rttm")
    html = html_of(run)
    assert html.count('class="track"') == 1
    assert "left:12.50%;width:50.00%" in html  # of 4 s
    assert 'title="missed, 0.50 to 1.00 s"' in html
    assert "DER 50.00 %. 1.00 s missed" in html
    run = run_of("frames")
    write_ctm({"a": [("ah", 0.0, 1.0), ("b", 1.0, 2.0)]}, run.folder / "ref.ctm")
    (run.folder / "hyp.ctm").write_text("no ctm\n")
    html = html_of(run)
    assert ">ah</i>" in html
    assert len(run.notes) == 1 and "hyp.ctm" in run.notes[0]


@pytest.mark.parametrize("line", ['{"recording": "a"}', "3", '{"recording": "a", '
    '"type": "event", "label": "x", "start": 0, "stop": Infinity}'])  # fmt: skip
def test_broken_timelines_are_notes(line, run_of):
    run = run_of("scenes")
    (run.folder / "ref.jsonl").write_text(f"{line}\n")
    assert "Worst scenes" in html_of(run)
    assert len(run.notes) == 1 and "ref.jsonl" in run.notes[0]


def test_crowded_timelines_are_cut_and_say_so(run_of):
    run = run_of("events")
    lines = ["filename\tonset\toffset\tevent_label"]
    lines += [f"a.wav\t{n / 1000}\t{n / 1000 + 0.5}\tbird" for n in range(2000)]
    lines += [f"a.wav\t1\t2\tlabel {n:02}" for n in range(50)]
    (run.folder / "ref.tsv").write_text("\n".join([*lines, ""]))
    html = html_of(run)
    assert "bird (the first 300 of 2000)" in html
    assert "21 more rows are left out" in html and len(html) < 100_000


@pytest.mark.parametrize("bad", [3, [], {"a": 3}, {"a": {"wav": 3, "duration": 1}},
    {"a": {"wav": "a.wav"}}, {"a": record("a.wav", "1")}])  # fmt: skip
def test_broken_manifests_are_sentences(bad, run_of):
    run = run_of("values")
    (run.folder / "save").mkdir()
    (run.folder / "save/test.json").write_text(json.dumps(bad))
    assert "the manifest of the test set, is missing" in html_of(run, audio=1)


def test_before_and_after(run_of, tmp_path):
    run = run_of("sources")
    kinds = ("mixture", "estimate", "clean")
    files = {kind: f"a_{kind}.wav" for kind in kinds}
    for kind in kinds:
        tone(run.folder / f"examples/{files[kind]}")
    (run.folder / "examples/a_clean.wav").unlink()
    secret = tone(tmp_path / "secret.wav")
    files["outside"] = f"../../{secret.rpartition('/')[2]}"
    entries = [{"name": "a", "files": files}, {"name": "b", "files": files}, 3, {}]
    (run.folder / "examples/index.json").write_text(json.dumps({"examples": entries}))
    section = before_after.section(run, Options(audio=1))
    html = "\n".join(block.html() for block in section.blocks)
    assert html.count("<audio") == 2 and html.count("No sound:") == 2
    assert "SI SDR -3" in html
    silent = before_after.section(run, Options())
    html = "\n".join(block.html() for block in silent.blocks)
    assert html.count("<audio") == 0 and html.count("data:image/webp") == 2
    assert len(html) < 60_000


def test_without_pictures_there_are_sounds(run_of, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    run = run_of("sources")
    tone(run.folder / "examples/a.wav")
    entries = [{"name": "a", "files": {"mixture": "a.wav"}}]
    (run.folder / "examples/index.json").write_text(json.dumps({"examples": entries}))
    (run.folder / "save").mkdir()
    records = {"a": record(tone(tmp_path / "a.wav"))}
    manifest.write(records, run.folder / "save/test.json")
    section = before_after.section(run, Options(audio=1))
    html = "\n".join(block.html() for block in section.blocks) + html_of(run, audio=1)
    assert html.count("<audio") == 2 and "<img" not in html
    assert len(run.notes) == 1 and "pip install" in run.notes[0]


def test_conversions_have_source_and_target(run_of, tmp_path):
    run = run_of("converted")
    tone(run.folder / "converted/b.wav")
    files = {name: tone(tmp_path / f"{name}.wav") for name in ("source", "target")}
    (run.folder / "save").mkdir()
    records = {"b": record(files["source"], target=files["target"])}
    manifest.write(records, run.folder / "save/test.json")
    section = before_after.section(run, Options(audio=1))
    html = "\n".join(block.html() for block in section.blocks)
    assert [html.count(f"<figcaption>{kind}</figcaption>") for kind in
            ("source", "converted", "target")] == [2, 2, 2]  # fmt: skip


def test_reconstructions(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    run = Run({"folder": str(tmp_path)})
    assert reconstructions.section(run, Options()) is None
    plt.imsave(tmp_path / "reconstruction.png", np.random.rand(30, 50))
    run = Run({"folder": str(tmp_path)})
    picture = reconstructions.section(run, Options()).blocks[1]
    assert (picture.kind, picture.width, picture.height) == ("webp", 50, 30)
    (tmp_path / "reconstruction.png").write_bytes(b"<svg onload=alert(1)>")
    assert reconstructions.section(Run({"folder": str(tmp_path)}), Options()) is None


def test_columns_of_other_programs(run_of):
    """A row of another length is left out; csv writes what it must quote."""
    run = run_of("labels")
    file = io.StringIO()
    rows = [["a\n<b>", "x,y", 'z"', "0.5"], ["b", "x"], ["c", "x", "y", "0.1", "more"]]
    csv.writer(file).writerows([TABLES["labels"][0].split(","), *rows])
    (run.folder / "predictions.csv").write_text(file.getvalue())
    assert [each.row["id"] for each in worst.worst(run, 9).examples] == ["a\n<b>"]
    assert "a\n&lt;b&gt;" in html_of(run)
