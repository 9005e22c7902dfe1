"""VCC2020, VCC2016, VCTK and own tables of voice conversion."""

import logging

import numpy
import pytest
import soundfile

from s3prl_sb.corpora import vcc2016, vcc2020, vctk
from s3prl_sb.corpora.conversion_tables import prepare_conversion_tables
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError


def wav(path, seconds=0.1, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, numpy.zeros(int(seconds * rate)), rate)


def read(paths):
    return {split: manifest.read(path) for split, path in paths.items()}


@pytest.fixture
def archives(tmp_path):
    """Two source and two target speakers, in the folders of the archives."""
    root = tmp_path / "VCC2020-database"
    for name in ("E10001", "E10060", "E10061", "E20050", "E20051"):
        wav(root / f"target_task1/TEF1/{name}.wav")
    for name in ("G10001", "G10070"):
        wav(root / f"target_task2/TGM1/{name}.wav")
    for name in ("E30001", "E30025"):
        wav(root / f"vcc2020_database_evaluation/SEF2/{name}.wav", seconds=0.2)
        wav(root / f"source/SEM1/{name.replace('E3', 'E1')}.wav")
    wav(root / "vcc2020_database_groundtruth/TEF1/E30001.wav")
    texts = root / "vcc2020_database_transcriptions"
    for place, line in (
        ("transcriptions_training/vcc2020_database_training_Eng", "10001 Yes."),
        ("transcriptions_training/vcc2020_database_training_Ger", "10001 Ja."),
        ("transcriptions_evaluation/vcc2020_database_evaluation", "30001 In reality."),
    ):
        path = texts / f"{place}_transcriptions.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line + "\n")
    return root


def test_vcc2020_in_the_folders_of_its_archives(archives, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        paths = vcc2020.prepare_vcc2020(str(tmp_path), tmp_path / "save")
    splits = read(paths)
    names = {split: sorted(records) for split, records in splits.items()}
    assert names == {
        "train": ["TEF1_E10001", "TEF1_E10060", "TEF1_E20050"],
        "valid": ["TEF1_E10061"],
        "test": ["SEF2_E30001", "SEF2_E30025"],
    }
    own = splits["train"]["TEF1_E10001"]
    assert own["target"] == own["wav"] and own["text"] == "Yes."
    first, last = (splits["test"][name] for name in names["test"])
    assert first["target"].endswith("groundtruth/TEF1/E30001.wav")
    assert (first["text"], first["speaker"]) == ("In reality.", "TEF1")
    assert first["duration"] == 0.2 and first["enroll"] == []
    assert last["target"] is None and last["text"] == ""
    assert "3 utterances to train on, and 60 are published" in caplog.text


def test_vcc2020_as_s3prl_arranges_it(archives, tmp_path):
    """A folder for each speaker, ``prompts``, and a target of another language."""
    for folder in ("target_task2", "vcc2020_database_evaluation"):
        for speaker in (archives / folder).iterdir():
            speaker.rename(archives / speaker.name)
    (archives / "prompts").mkdir()
    place = "vcc2020_database_transcriptions/transcriptions_training"
    for path in (archives / place).iterdir():
        path.rename(archives / "prompts" / path.name.split("_", 3)[3])
    splits = read(vcc2020.prepare_vcc2020(archives, tmp_path / "save", "TGM1"))
    assert splits["train"]["TGM1_G10001"]["text"] == "Ja."
    assert list(splits["valid"]) == ["TGM1_G10070"]
    assert len(splits["test"]) == 2


@pytest.mark.parametrize(
    ("speaker", "words"),
    [
        ("TEM2", "'TEM2'; there are speakers SEF2, SEM1, TEF1, TGM1. Choose"),
        ("SEM1", "nothing to validate on, such as SEM1/E10061.wav"),
    ],
)
def test_a_speaker_without_recordings(archives, tmp_path, speaker, words):
    with pytest.raises(ManifestError, match=words):
        vcc2020.prepare_vcc2020(archives, tmp_path / "save", speaker)


@pytest.fixture
def vcc2016_folder(tmp_path):
    root = tmp_path / "VCC2016"
    for speaker in ("SF1", "SM1", "TM1"):
        for number in range(1, 21):
            wav(root / f"vcc2016_training/{speaker}/{100000 + number}.wav")
        wav(root / f"evaluation_all/{speaker}/200001.wav")
    return root


def test_vcc2016(vcc2016_folder, tmp_path):
    save = tmp_path / "save"
    splits = read(vcc2016.prepare_vcc2016(vcc2016_folder, save, "TM1"))
    assert len(splits["train"]) == 18
    assert list(splits["valid"]) == ["TM1_100019", "TM1_100020"]
    assert list(splits["test"]) == ["SF1_200001", "SM1_200001"]
    assert splits["test"]["SM1_200001"]["target"].endswith("TM1/200001.wav")
    one = vcc2016.prepare_vcc2016(vcc2016_folder, save, "TM1", ["SM1"])
    assert list(manifest.read(one["test"])) == ["SM1_200001"]
    with pytest.raises(ManifestError, match="'SF9'; there are SF1, SM1, TM1. Correct"):
        vcc2016.prepare_vcc2016(vcc2016_folder, save, "TM1", ["SF9"])


@pytest.mark.parametrize("version", ["0.80", "0.92"])
def test_vctk(archives, tmp_path, version):
    """The last five validate, the five before them are left out; p315 too."""
    root = tmp_path / "VCTK"
    for speaker in ("p225", "p226", "p315"):
        for number in range(1, 13):
            name = f"{speaker}/{speaker}_{number:03d}"
            if version == "0.80":
                wav(root / f"VCTK-Corpus/wav48/{name}.wav")
            else:
                for mic in (1, 2):
                    wav(root / f"wav48_silence_trimmed/{name}_mic{mic}.flac")
    with pytest.raises(ManifestError, match="test_folder is not set"):
        vctk.prepare_vctk(root, tmp_path / "save")
    paths = vctk.prepare_vctk(root, tmp_path / "save", archives, references=2)
    splits = read(paths)
    assert sorted(splits["train"]) == [
        f"{s}_00{n}" for s in ("p225", "p226") for n in "12"
    ]
    assert [n[-3:] for n in list(splits["valid"])[:5]] == "008 009 010 011 012".split()
    own = splits["train"]["p225_001"]
    assert own["enroll"] == [own["wav"]] == [own["target"]]
    assert sorted(splits["test"]) == ["TEF1_SEF2_E30001", "TEF1_SEF2_E30025"]
    drawn = [record["enroll"] for record in splits["test"].values()]
    assert all(len(set(paths)) == 2 for paths in drawn)
    assert all("TEF1/E10" in p or "TEF1/E20050" in p for paths in drawn for p in paths)
    again = vctk.prepare_vctk(root, tmp_path / "other", archives, references=2)
    assert read(again) == splits
    with pytest.raises(ManifestError, match="TEF1 has 3 training utterances"):
        vctk.prepare_vctk(root, tmp_path / "save", archives, references=4)


def tables(folder, rows, header="id,wav,target,speaker,enroll,text"):
    paths = []
    for split in manifest.SPLITS:
        wav(folder / f"{split}.wav")
        lines = [header, *(f"{split}{row}" for row in rows)]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
        paths.append(str(folder / f"{split}.csv"))
    return paths


def test_own_tables(tmp_path):
    wav(tmp_path / "b.wav")
    files = tables(tmp_path, ["1,b.wav,,ann,,", "2,b.wav,b.wav,ann,b.wav b.wav,hi"])
    path = str(tmp_path / "b.wav")
    splits = read(prepare_conversion_tables(*files, tmp_path / "save", enrolled=False))
    assert splits["train"]["train1"]["target"] == path
    assert splits["test"]["test1"]["target"] is None
    assert splits["test"]["test2"]["enroll"] == [path, path]
    assert splits["test"]["test2"]["text"] == "hi"
    with pytest.raises(ManifestError, match=r"test.csv:\d+: 'test1': no enroll"):
        prepare_conversion_tables(*files, tmp_path / "save", enrolled=True)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,a.wav,0.01,0.05", "'train1': a segment, of which target is the whole"),
        ("1,b.wav,,", "'train1': missing audio file .*b.wav"),
    ],
)
def test_faults_of_own_tables(tmp_path, row, words):
    wav(tmp_path / "a.wav")
    header = "id,wav,start,stop"
    if "b.wav" in row:
        row, header = "1,a.wav,b.wav", "id,wav,target"
    files = tables(tmp_path, [row], header)
    with pytest.raises(ManifestError, match=words):
        prepare_conversion_tables(*files, tmp_path / "save")


def test_toys_are_read(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys import make

    small = make("vcc2020", tmp_path / "a", train=2, valid=1, test=1, words=2)
    splits = read(vcc2020.prepare_vcc2020(small, tmp_path / "one", "TEM1"))
    assert [len(records) for records in splits.values()] == [2, 1, 2]
    record = splits["test"]["SEF1_E30001"]
    assert record["target"].endswith("TEM1/E30001.wav") and record["text"]
    assert soundfile.info(record["wav"]).samplerate == 24000
    large = make("vctk", tmp_path / "b", speakers=2, utterances=11, words=1)
    paths = vctk.prepare_vctk(large, tmp_path / "two", small, references=2)
    counts = [len(records) for records in read(paths).values()]
    assert counts == [2, 10, 4]
