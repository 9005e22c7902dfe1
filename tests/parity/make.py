"""Makes the fixtures of this folder with S3PRL 0.4.18, and compares our features.

    python tests/parity/make.py [NAME …]            # `make parity`
    python tests/parity/make.py --write [NAME …]    # replaces the committed fixtures

S3PRL runs in an environment of its own, ``.venv-s3prl``, which the first call makes
(python 3.11 is what S3PRL was tried with). A fixture is a small random checkpoint in
S3PRL's format with S3PRL's hidden states of each utterance alone. ``s3prl_models.py``
builds it, ``oracle.py`` says how we load it. Fixtures of full size are made and
compared, but not committed.

Two things are held to the limit of ``oracle.py``: our features of every remade fixture,
and the hidden states of every committed one against those that S3PRL computes again.

PASE+ is missing: S3PRL reads it with a package that is in no registry.
``test_pase.py`` compares it with its formulas.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIXTURES = HERE / "fixtures"
ENVIRONMENT = ROOT / ".venv-s3prl"
REQUIREMENTS = """torch==2.11.0 torchaudio==2.11.0 torchvision==0.26.0 s3prl==0.4.18
timm==0.4.5 einops easydict resampy transformers safetensors soundfile pandas
tensorboardX""".split()
LENGTHS = (16000, 9999)  # samples of the utterances


def utterances():
    """Tones that rise and beat, in noise: no speech, whose licence would matter."""
    random = np.random.RandomState(2026)
    signals = {}
    for i, samples in enumerate(LENGTHS):
        time = np.arange(samples) / 16000
        signal = 0.02 * random.randn(samples)
        for _ in range(6):
            pitch, beat, phase = random.uniform((90, 1, 0), (3500, 6, 6.28))
            envelope = 0.06 * (1 + np.sin(2 * np.pi * beat * time + phase)) / 2
            signal += envelope * np.sin(2 * np.pi * (pitch + 150 * time) * time)
        signals[f"utt{i}"] = signal.astype(np.float32)
    return signals


# ------------------------------------------------------- in S3PRL's environment
def make(out, names, seed):
    """Writes fixtures; returns the names of those that failed."""
    import s3prl_models
    import s3prl_waveform_models  # noqa: F401
    import torch

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0))))
    failed, wavs = [], utterances()
    np.savez_compressed(out / "wavs.npz", **wavs)
    for name in names or s3prl_models.MODELS:
        folder = out / name
        folder.mkdir()
        try:
            torch.manual_seed(zlib.crc32(name.encode()) + seed)
            expert = s3prl_models.MODELS[name](folder).eval()
            _write(folder, expert, wavs, name in s3prl_models.FULL_SIZE)
            print(f"made {name}", flush=True)
        except Exception:  # the other fixtures are made all the same
            traceback.print_exc()
            shutil.rmtree(folder)
            failed.append(name)
    return failed


def _write(folder, expert, wavs, full_size):
    """S3PRL's hidden states of each utterance alone."""
    import torch

    reference = {}
    for utterance, wav in wavs.items():
        # VGGish has no frames for less than a second.
        wav = np.tile(wav, 2) if folder.name == "vggish" else wav
        with torch.no_grad():
            states = expert([torch.from_numpy(wav)])["hidden_states"]
        for layer, state in enumerate(states):
            assert state.shape[0] == 1 and torch.isfinite(state).all(), layer
            reference[f"{utterance}/h{layer}"] = state[0].float().numpy()
    np.savez_compressed(folder / "ref.npz", **reference)
    about = {"num_layers": len(states), "utterances": list(wavs)}
    about["full_size"] = full_size
    (folder / "meta.json").write_text(json.dumps(about) + "\n")


# ------------------------------------------------------------ in our environment
def environment():
    """The Python of S3PRL's environment, which is made where there is none."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "ready"
    if not ready.is_file():
        base = shutil.which("python3.11") or sys.executable
        print(f"--- Installing S3PRL into {ENVIRONMENT.name}, which takes some minutes")
        subprocess.run([base, "-m", "venv", str(ENVIRONMENT)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS]
        subprocess.run(install, check=True)
        ready.touch()
    return str(python)


def differences(out, name, entry):
    """Our error against a remade fixture, and that of the committed reference."""
    import oracle

    _, error = oracle.compare(out, name, entry)
    committed = FIXTURES / name / "ref.npz"
    if not committed.is_file():
        return error, None
    old, new = np.load(committed), np.load(out / name / "ref.npz")
    assert old.files == new.files, f"{name}: other hidden states than committed"
    return error, max(np.abs(old[k] - new[k]).max() / np.abs(new[k]).max() for k in new)


def compare(out, names, write):
    """Prints a table; returns the fixtures that are not within the limit."""
    import oracle

    wrong = []
    for name, entry in oracle.fixtures().items():
        if (names and name not in names) or not (out / name / "ref.npz").is_file():
            continue
        full_size = json.loads((out / name / "meta.json").read_text())["full_size"]
        error, drift = differences(out, name, entry)
        told = "" if drift is None else f", committed {drift:.1e}"
        print(f"{name}: error {error:.1e}{told}")
        limit = entry.get("absolute", oracle.LIMIT)
        if write and not full_size:
            shutil.rmtree(FIXTURES / name, ignore_errors=True)
            shutil.copytree(out / name, FIXTURES / name)
            shutil.copy(out / "wavs.npz", FIXTURES)
        elif error > limit or (drift or 0) > oracle.LIMIT:
            wrong.append(name)
        elif drift is None and not full_size:
            wrong.append(f"{name} (not committed: --write)")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="some fixtures; default: all")
    parser.add_argument("--write", action="store_true", help="replace the committed")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--out", type=Path, help="folder to keep them in")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        failed = make(arguments.out, arguments.names, arguments.seed)
        return "S3PRL failed at " + ", ".join(failed) if failed else None
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        command = [environment(), str(HERE / "make.py"), *arguments.names, "--inside"]
        command += ["--seed", str(arguments.seed), "--out", str(out)]
        places = {"PYTHONPATH": f"{ROOT / 'benchmarks'}{os.pathsep}{HERE}"}
        made = subprocess.run(command, env={**os.environ, **places})
        wrong = compare(out, arguments.names, arguments.write)
    if made.returncode or wrong:
        return f"not made by S3PRL or not equal: {', '.join(wrong) or 'see above'}"


if __name__ == "__main__":
    sys.exit(main())
