"""Batches of unlabelled audio: crops, order, processes, workers, resuming, failures."""

import io
import tarfile

import numpy
import pytest
import soundfile
import torch
from odd_audio import FILES

from s3prl_sb.audio.audio_names import as_id, is_audio
from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.dataio.sampler import SamplerError
from s3prl_sb.lobes.pretext.draws import generator
from s3prl_sb.unlabelled.dataset import NothingReadable, UnlabelledDataset
from s3prl_sb.unlabelled.index import AudioIndex, Share
from s3prl_sb.unlabelled.sampler import HeldOutSampler, PoolSampler
from s3prl_sb.unlabelled.scanning import scan
from s3prl_sb.unlabelled.sources import sources


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keeps scans out of the user's cache; one process."""
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def lengths(rows=3000, longest=250_000, seed=0):
    """Returns lengths like those of LibriSpeech, clipped to 15.6 s."""
    random = numpy.random.default_rng(seed)
    seconds = random.gamma(6, 2, rows) + 1.5
    return numpy.minimum(seconds * 16000, longest).astype(numpy.int32)


def passes(sampler, count):
    """Returns the batches of the first passes of a sampler's only source."""
    size = sampler.sources[0].count
    return [[sampler.batch(p * size + b) for b in range(size)] for p in range(count)]


@pytest.mark.parametrize(
    "rows, seconds, pool",
    [
        (3000, 87.5, 4096),
        (3000, 30, 64),
        (7, 20, 2),
        (1, 50, 8),
        (50, 1, 16),
        (9, 1e4, 2),
    ],
)
def test_each_row_once_a_pass(rows, seconds, pool):
    """Also where a batch is one row, and where it is the whole list."""
    samples = lengths(rows)
    sampler = PoolSampler(samples, seconds * 16000, 10, pool=pool)
    orders = []
    for number, batches in enumerate(passes(sampler, 3), 1):
        pairs = [pair for batch in batches for pair in batch]
        assert all(batches) and {turn for _, turn in pairs} == {number}
        assert sorted(row for row, _ in pairs) == list(range(rows))
        audio = [sum(samples[row] for row, _ in batch) for batch in batches]
        assert max(audio) <= max(seconds * 16000, samples.max()) + samples.max()
        orders.append([row for row, _ in pairs])
    assert rows < 10 or (orders[0] != orders[1] and orders[1] != orders[2])


def test_little_padding_and_equal_batches():
    """Padding would waste less than 2 %; batches hold about what is asked for."""
    samples = lengths(20_000)
    sampler = PoolSampler(samples, 200 * 16000, 10)
    (batches,) = passes(sampler, 1)
    rows = [samples[[row for row, _ in batch]].astype(int) for batch in batches]
    padded = sum(len(batch) * batch.max() for batch in rows)
    assert 1 - samples.sum(dtype=int) / padded < 0.02
    audio = numpy.array([batch.sum() for batch in rows]) / 16000
    assert audio.mean() <= 200 and audio.max() < 216 and audio.min() > 184
    longest = max(sum(samples[row] for row, _ in batch) for batch in batches)
    assert samples[sampler.longest()].sum() == longest


def test_pools_mix_lengths():
    """A row meets other rows in the next pass, and batches are not sorted by length."""
    samples = lengths(8000)
    first, second = passes(PoolSampler(samples, 87.5 * 16000, 10, pool=1000), 2)
    together = {frozenset(row for row, _ in batch) for batch in first}
    assert not together & {frozenset(row for row, _ in batch) for batch in second}
    means = [samples[[row for row, _ in batch]].mean() for batch in first]
    half = len(means) // 2
    assert abs(numpy.mean(means[:half]) - numpy.mean(means[half:])) < 16000


SHARES = [Share("a", 3.0, 0, 100), Share("b", 1.0, 100, 1000)]


@pytest.mark.parametrize("shares", [None, SHARES])
def test_processes_share_one_list(monkeypatch, shares):
    """1, 2 and 4 processes take the same global batches, in turns."""

    def run(processes, epochs=3):
        ranks = []
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        for rank in range(processes):
            monkeypatch.setenv("RANK", str(rank))
            sampler = PoolSampler(lengths(1000), 50 * 16000, 8, 3, shares)
            ranks.append([])
            for epoch in range(1, epochs + 1):
                sampler.set_epoch(epoch)
                taken = list(sampler)
                assert len(taken) == len(sampler) == 8 // processes
                ranks[-1] += taken
        return [batch for batches in zip(*ranks) for batch in batches]

    assert run(1) == run(2) == run(4)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(SamplerError, match="grad_accumulation_factor"):
        PoolSampler(lengths(10), 16000, 8)


@pytest.mark.parametrize("shares", [None, SHARES])
def test_resuming_anywhere(shares):
    """A new sampler at a later position yields what an uninterrupted one does."""
    whole = PoolSampler(lengths(1000), 50 * 16000, 1, 5, shares)
    batches = [whole.batch(position) for position in range(700)]
    for position in (699, 3, 250, 0):
        fresh = PoolSampler(lengths(1000), 50 * 16000, 1, 5, shares)
        assert fresh.batch(position) == batches[position]
    other = PoolSampler(lengths(1000), 50 * 16000, 1, 6, shares)
    assert [other.batch(position) for position in range(20)] != batches[:20]


def test_mixture_shares(monkeypatch):
    """Sources appear by their weights, and each goes through its rows in turn."""
    monkeypatch.setattr("s3prl_sb.unlabelled.sampler.BLOCK", 64)
    sampler = PoolSampler(lengths(1000), 50 * 16000, 1, 0, SHARES)
    batches = [sampler.batch(position) for position in range(2000)]
    small = [batch for batch in batches if batch[0][0] < 100]
    assert all(row < 100 for batch in small for row, _ in batch)
    assert abs(len(small) / 2000 - 0.75) < 0.03
    count = sampler.sources[0].count
    rows = sorted(row for batch in small[count : 2 * count] for row, _ in batch)
    assert rows == list(range(100))


def test_validation_is_shared(monkeypatch):
    """Each row once over all processes, the same batches in any number of them."""
    samples = lengths(100)
    alone = list(HeldOutSampler(samples, 60 * 16000))
    assert sorted(row for batch in alone for row, _ in batch) == list(range(100))
    assert {epoch for batch in alone for _, epoch in batch} == {0}
    monkeypatch.setenv("WORLD_SIZE", "2")
    shared = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        shared.append(list(HeldOutSampler(samples, 60 * 16000)))
    assert shared == [alone[0::2], alone[1::2]]


# ------------------------------------------------------------------------- examples
def noise(path, seconds, rate=16000, channels=1, seed=0, **options):
    random = numpy.random.default_rng(seed)
    samples = random.uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, samples, rate, **options)
    return str(path)


def dataset(data, seconds=0.5, **options):
    audio = scan(sources(str(data))).audio
    return UnlabelledDataset(audio, 16000, seconds, 0, **options)


@pytest.mark.parametrize("rate", [16000, 8000, 44100, 22050, 48000, 16001])
@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_a_crop_is_a_piece_of_the_file(tmp_path, rate, kind):
    """Reading a part equals reading and resampling the whole file."""
    if kind == "ogg" and rate == 16001:
        pytest.skip("no such rate in Ogg")
    path = noise(tmp_path / f"a.{kind}", 2.3, rate, channels=2)
    whole = load_waveform("a", path)
    data = dataset(path)
    assert data.index.lengths(16000).tolist() == [len(whole)]
    starts = set()
    for epoch in range(1, 7):
        wav = data[0, epoch].wav
        assert len(wav) == 8000 and torch.equal(wav, data[0, epoch].wav)
        places = len(whole) - 8000 + 1
        start = int(generator(0, epoch, 0, "crop").integers(places))
        starts.add(start)
        torch.testing.assert_close(wav, whole[start:][:8000], atol=2e-6, rtol=0)
    assert len(starts) == 6
    assert len(dataset(path, None)[0, 1].wav) == len(whole)


def test_segments_and_members(tmp_path):
    """A segment of a file and a member of a shard are read from their place."""
    path = noise(tmp_path / "a.flac", 3)
    whole = load_waveform("a", path)
    (tmp_path / "t.csv").write_text("id,wav,start,stop\none,a.flac,1,2\n")
    wav = dataset(tmp_path / "t.csv", None)[0, 0].wav
    assert torch.equal(wav, whole[16000:32000])
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(path, "x/other.flac")
        tar.add(path, "x/a.flac")
    data = dataset(tmp_path / "s.tar", 1.0)
    example = data[1, 1]
    start = int(generator(0, 1, 1, "crop").integers(32001))
    assert example.name == "s/x/a.flac"
    assert torch.equal(example.wav, whole[start:][:16000])


def test_urls(tmp_path):
    """A crop behind a URL is that of the local file."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    path = noise(tmp_path / "a.flac", 2)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(path, "a.flac")
    try:
        for name in ("a.flac", "s.tar"):
            memory.pipe_file(f"/crop/{name}", (tmp_path / name).read_bytes())
            here = dataset(tmp_path / name)[0, 1].wav
            assert torch.equal(dataset(f"memory://crop/{name}")[0, 1].wav, here)
    finally:
        memory.rm("/crop", recursive=True)


def test_streamed_header(tmp_path):
    """A wav whose header has no length is read to its end, in a shard too."""
    content = io.BytesIO()
    soundfile.write(content, numpy.full(16000, 0.25), 16000, format="WAV")
    data = bytearray(content.getvalue())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(tmp_path / "a.wav", "a.wav")
    for path in ("a.wav", "s.tar"):
        wav = dataset(tmp_path / path, None)[0, 0].wav
        assert len(wav) == 16000 and wav.min() == wav.max() == 0.25


def test_level(tmp_path):
    """Loudness is that of TERA's paper; silence is left alone."""
    noise(tmp_path / "a.wav", 1)
    soundfile.write(tmp_path / "b.wav", numpy.zeros(16000), 16000)
    data = dataset(tmp_path / "*.wav", level=-25)
    power = data[0, 1].wav.double().square().mean()
    assert abs(10 * torch.log10(power) + 25) < 1e-4
    assert not data[1, 1].wav.any()


class Counting:
    """Units whose numbers are their positions."""

    stride = 320

    def __contains__(self, name):
        return True

    def of(self, name):
        return numpy.arange(500, dtype=numpy.uint16)


def test_codes_of_a_crop(tmp_path):
    """The units of a crop begin where it begins, at a multiple of the stride."""
    path = noise(tmp_path / "a.wav", 10)
    whole = load_waveform("a", path)
    data = dataset(path, 1.01, codes=Counting())
    for epoch in range(1, 5):
        example = data[0, epoch]
        first = int(example.codes[0])
        assert example.codes.tolist() == list(range(first, first + 51))
        assert torch.equal(example.wav, whole[first * 320 :][:16160])
    batch = data.collate([data[0, 1], data[0, 2]])
    assert [len(codes) for codes in batch.codes] == [51, 51]


@pytest.mark.parametrize("workers", [0, 2])
def test_failures_are_replaced_and_reported(tmp_path, workers):
    """The next row of the source takes the place, with workers or without."""
    for number in range(6):
        noise(tmp_path / f"{number}.wav", 1, seed=number)
    data = dataset(tmp_path / "*.wav")
    (tmp_path / "2.wav").write_bytes(b"")
    (tmp_path / "3.wav").unlink()
    loader = torch.utils.data.DataLoader(
        data,
        batch_sampler=[[(1, 1), (2, 1)], [(5, 1), (3, 2)]],
        num_workers=workers,
        collate_fn=data.collate,
    )
    one, two = loader
    assert one.rows == [1, 4] and two.rows == [5, 4] and two.epochs == [1, 2]
    assert [name[-5:] for name, _ in one.failed] == ["2.wav", "3.wav"]
    assert len(two.failed) == 1 and one.seconds == 1.0
    assert torch.equal(one.wavs[1], data[4, 1].wav)
    for number in range(6):
        (tmp_path / f"{number}.wav").unlink(missing_ok=True)
    with pytest.raises(NothingReadable, match="6 files one after another"):
        data[0, 1]


def test_workers_see_the_same(tmp_path):
    """Batches do not depend on the number of workers, which open the list again."""
    for number in range(8):
        noise(tmp_path / f"{number}.flac", 0.5 + 0.2 * number, seed=number)
    data = dataset(tmp_path / "*.flac", 0.6)
    data.index = AudioIndex.open(data.index.write(tmp_path / "list"))
    sampler = PoolSampler(data.lengths, 1.5 * 16000, 6)

    def load(**options):
        sampler.set_epoch(2)
        loader = torch.utils.data.DataLoader(
            data, batch_sampler=sampler, collate_fn=data.collate, **options
        )
        return [(batch.rows, batch.epochs, batch.wavs) for batch in loader]

    alone = load()
    for one, other in zip(alone, load(num_workers=2), strict=True):
        assert one[:2] == other[:2]
        assert all(map(torch.equal, one[2], other[2]))


def test_odd_audio(tmp_path, monkeypatch):
    """Any odd file is read as elsewhere, or is a fault; in a shard it is the same."""
    for kind in ("loading._loud", "loading._opposite", "sound_files._doubtful"):
        monkeypatch.setattr(f"s3prl_sb.audio.{kind}.seen", set())  # warned of once
    (tmp_path / "odd").mkdir()
    for name, odd in FILES.items():
        if is_audio(name):
            odd.write(tmp_path / "odd" / name)
    with tarfile.open(tmp_path / "odd.tar", "w", dereference=True) as tar:
        for path in sorted((tmp_path / "odd").iterdir()):
            if path.is_file():  # no broken link
                tar.add(path, path.name)
    outcomes = {}
    for source in ("odd", "odd.tar"):
        audio, faults = scan(sources(str(tmp_path / source)))
        outcome = {name.split("/")[-1]: None for name, *_ in faults}
        data = UnlabelledDataset(audio, 16000, None, 0)
        for row in range(len(data)):
            example = data[row, 0]
            name = audio.name(row).split("/")[-1]
            outcome[name] = None if example.failed else example.wav
        outcomes[source] = outcome
    assert len(outcomes["odd"]) > 60
    for file, odd in FILES.items():
        name = as_id(file)
        if name not in outcomes["odd"]:
            assert not is_audio(file) or (tmp_path / "odd" / file).is_dir()
            continue
        wav, other = outcomes["odd"][name], outcomes["odd.tar"].get(name)
        # A second FLAC in a file is only found when the file is read as a whole.
        is_fault = bool(odd.error) and name != "two.flac"
        assert (wav is None) == (other is None) == is_fault, name
        if wav is not None and not odd.error:
            torch.testing.assert_close(wav, other)
            expected = load_waveform(name, str(tmp_path / "odd" / file))
            assert abs(len(wav) - len(expected)) <= 2304, name
