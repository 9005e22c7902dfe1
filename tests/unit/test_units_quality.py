"""Quality of units: against naive loops and scikit-learn; alignments."""

import json
import math
from collections import Counter

import numpy
import pytest

from s3prl_sb.dataio.phones import FOLDED
from s3prl_sb.errors import UserError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.units import alignments, quality
from s3prl_sb.units.alignments import Alignments, alignment_of
from s3prl_sb.units.applying import apply
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.fitting import fit
from s3prl_sb.units.speech import from_paths


def random_corpus(seed, utterances=5, seconds_per_unit=0.02):
    """Codes and segments that agree in part."""
    random = numpy.random.default_rng(seed)
    codes, segments = {}, {}
    for number in range(utterances):
        time, rows = 0.0, []
        while time < 2.0:
            stop = time + random.integers(2, 20) / 100
            phone = int(random.integers(7))
            rows.append((round(time, 2), round(stop, 2), f"p{phone}"))
            time = stop
        units = []
        for place in numpy.arange(0, 2.0, seconds_per_unit) + 0.005:
            phone = next(int(p[1:]) for a, b, p in rows if a <= place < b)
            units.append(phone if random.random() < 0.7 else int(random.integers(11)))
        codes[f"u{number}"], segments[f"u{number}"] = numpy.array(units), rows
    return codes, segments


def naive_pairs(codes, segments, seconds_per_unit):
    """(phone, unit) of each frame of 10 ms, one at a time."""
    pairs = []
    for name, units in codes.items():
        for frame in range(round(len(units) * seconds_per_unit * 100)):
            unit = units[math.floor(frame / (100 * seconds_per_unit) + 1e-9)]
            for start, stop, phone in segments[name]:
                if start <= frame / 100 + 0.005 < stop:
                    pairs.append((phone, int(unit)))
    return pairs


@pytest.mark.parametrize("seed, seconds_per_unit", [(0, 0.02), (1, 0.01), (2, 0.04)])
def test_equals_naive_loops_and_scikit_learn(seed, seconds_per_unit):
    metrics = pytest.importorskip("sklearn.metrics")
    codes, segments = random_corpus(seed, seconds_per_unit=seconds_per_unit)
    phones = Alignments({n: alignment_of(rows) for n, rows in segments.items()})
    result = quality.measure(codes.items(), seconds_per_unit, phones)
    pairs = naive_pairs(codes, segments, seconds_per_unit)
    joint, total = Counter(pairs), len(pairs)
    by_phone, by_unit = (Counter(pair[i] for pair in pairs) for i in (0, 1))
    assert result.frames == total and result.active == len(by_unit)
    phone_purity = sum(max(joint[p, u] for p in by_phone) for u in by_unit) / total
    cluster_purity = sum(max(joint[p, u] for u in by_unit) for p in by_phone) / total
    assert result.phone_purity == pytest.approx(phone_purity)
    assert result.cluster_purity == pytest.approx(cluster_purity)
    information = metrics.mutual_info_score(*zip(*pairs))
    entropy = -sum(n / total * math.log(n / total) for n in by_phone.values())
    assert result.pnmi == pytest.approx(information / entropy)
    entropy = -sum(n / total * math.log(n / total) for n in by_unit.values())
    assert result.perplexity == pytest.approx(math.exp(entropy))
    runs = sum(
        1 + sum(a != b for a, b in zip(units, units[1:])) for units in codes.values()
    )
    count = sum(map(len, codes.values()))
    assert result.segment_ms == pytest.approx(1000 * count * seconds_per_unit / runs)


def test_perfect_and_useless_units():
    assert quality.purities(numpy.eye(4, dtype=int)) == pytest.approx((1, 1, 1))
    phone, cluster, pnmi = quality.purities(numpy.ones((4, 5), dtype=int))
    assert (phone, cluster, pnmi) == pytest.approx((0.25, 0.2, 0))
    assert quality.purities(numpy.array([[3, 4]]))[2] == 0  # one phone


def test_frames_beyond_the_units_or_the_phones_do_not_count():
    alignment = alignment_of([[0.01, 0.03, "a"], [0.05, 9, "b"]])
    phones, units = quality.frames_of(numpy.array([0, 1, 2]), 0.02, alignment)
    assert phones == ["a", "a", "b"] and units.tolist() == [0, 1, 2]


def test_other_names_are_an_error():
    phones = Alignments({"x": alignment_of([[0, 1, "a"]])})
    with pytest.raises(UnitsError, match="None of 1 utterances, such as 'y', .* 'x'"):
        quality.measure([("y", numpy.array([1]))], 0.02, phones)


# ------------------------------------------------------------------- alignments
def test_timit(tmp_path):
    folder = tmp_path / "TRAIN" / "DR1" / "FAB0"
    folder.mkdir(parents=True)
    (folder / "SA1.PHN").write_text(
        "0 1600 h#\n1600 3200 ix\n3200 3360 q\n3360 4800 dcl\n"
    )
    phones = alignments.read(tmp_path)
    for name in ("TRAIN/DR1/FAB0/SA1.WAV", "fab0-sa1", "timit_FAB0_SA1", "SA1.flac"):
        assert phones.of(name).phones == ["sil", "ih", "", "sil"], name
    assert phones.of("SA2") is None
    assert phones.of("SA1").stops.tolist() == [0.1, 0.2, 0.21, 0.3]
    other = tmp_path / "TEST" / "DR1" / "MCD0"
    other.mkdir(parents=True)
    (other / "SA1.PHN").write_text("0 100 h#\n")
    phones = alignments.read(tmp_path)
    assert phones.of("SA1") is None and len(phones.of("MCD0/SA1.wav").phones) == 1
    (other / "SA1.PHN").write_text("0 100 h#\n100 one t\n")
    with pytest.raises(UserError, match="SA1.PHN:2: '100 one t' in the place of"):
        alignments.read(tmp_path)


def test_folding_gives_39_phones():
    timit = """iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h b d g p
    t k dx q jh ch s sh z zh f th v dh m n ng em en eng nx l r w y hh hv el bcl dcl gcl
    pcl tcl kcl epi pau h#"""
    folded = {FOLDED.get(phone, phone) for phone in timit.split()}
    assert len(timit.split()) == 61 and len(folded - {""}) == 39


@pytest.mark.parametrize(
    "record, message",
    [
        ({"words": []}, "'a' has no phones"),
        ({"phones": [[0, 1]]}, "'a' has other segments than"),
        ({"phones": [[0, 1, "x"], [0.5, 2, "y"]]}, "overlap"),
        ({"phones": [[1, 0, "x"]]}, "'x' from 1.0 to 0.0 s"),
        ({"phones": []}, "empty"),
        ({"phones": [["now", 1, "x"]]}, "now"),
    ],
)
def test_broken_manifests(record, message, tmp_path):
    path = tmp_path / "phones.json"
    path.write_text(json.dumps({"a": record}))
    with pytest.raises(UserError, match=message):
        alignments.read(path)


def test_no_alignments(tmp_path):
    with pytest.raises(UnitsError, match=r"no alignments\. Give a folder with \.PHN"):
        alignments.read(tmp_path)


def test_on_real_speech(data_folder, tmp_path):
    """MFCC units know more of phones than chance, and 100 know more than 10."""
    timit = data_folder / "TIMIT"
    if not timit.is_dir():
        pytest.skip("no TIMIT")
    mfcc, speech = load("mfcc_hubert"), from_paths([str(timit / "TEST")])
    results = []
    for clusters in (10, 100):
        options = {"passes": 10, "progressbar": False, "name": "mfcc_hubert"}
        model = fit(mfcc, speech, tmp_path / f"m{clusters}", clusters, **options)
        made = apply(model, mfcc, speech, tmp_path / f"u{clusters}", progressbar=False)
        results.append(quality.measure_index(made, alignments.read(timit)))
    few, many = results
    assert few.utterances == 30 and 36 < many.phones <= 39
    assert 0.15 < few.pnmi < many.pnmi < 0.6 and few.phone_purity < many.phone_purity
    assert few.cluster_purity > many.cluster_purity
