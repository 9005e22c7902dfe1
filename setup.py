"""Packaging of s3prl_sb."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "s3prl_sb/__init__.py").read_text("utf-8")
)[1]

# What each extra is for. `all` is everything but the clients of clouds.
EXTRAS = {
    "demo": ["espeakng-loader>=0.2"],  # speaks the toy corpora
    # make docs: the site, its pages in Markdown, its theme without foreign files.
    "docs": ["sphinx>=8.1", "myst-parser>=4", "furo>=2025.7.19"],
    "hdf5": ["h5py>=3.8"],  # s3prl-sb extract --format hdf5
    "hf": ["transformers>=4.57,<6"],  # the upstreams hf_*, of any id
    "kaldi": ["kaldiio>=2.17"],  # Kaldi's arks: features in and out
    # Beam search with an n-gram LM; it has no wheel for Python 3.13 yet.
    "lm": ["flashlight-text>=0.0.7; python_version < '3.13'"],
    "remote": ["fsspec>=2023.5"],  # audio by URL; the protocols need one of:
    "http": ["fsspec>=2023.5", "aiohttp>=3.9"],  # https://
    "s3": ["s3fs>=2023.5"],  # s3://
    "gcs": ["gcsfs>=2023.5"],  # gs://
    "ray": ["ray>=2.9"],  # --engine ray: jobs and actors in a Ray cluster
    # The page of s3prl-sb report: Vega, which draws its charts, and templates.
    "report": ["vl-convert-python>=1.7", "jinja2>=3.1"],
    "rooms": ["pyroomacoustics>=0.7"],  # s3prl-sb mix --rooms
    "se": ["pesq>=0.0.4", "pystoi>=0.4"],  # PESQ and STOI of SE and SS
    "slurm": ["submitit>=1.5"],  # --engine slurm: jobs in a Slurm cluster
    "plots": ["matplotlib>=3.7", "tensorboard>=2.14"],  # what a run leaves to look at
    "st": ["sacrebleu>=2.4"],  # BLEU of ST
    "trackio": ["trackio>=0.43"],  # --logger trackio
    "units": ["scikit-learn>=1.3"],  # the first centres of k-means
    # MCD and F0 of VC; pyworld imports pkg_resources.
    "vc": ["pyworld>=0.3.4", "fastdtw>=0.3.4", "setuptools<81"],
    "wandb": ["wandb>=0.31"],  # --logger wandb
    # The suite; independent references.
    "test": [
        "pytest>=8",
        "pytest-xdist>=3.5",  # in two processes
        "dtw-python>=1.5",
        "flashlight-text>=0.0.7; python_version < '3.13'",
        "h5py>=3.8",
        "jiwer>=3",
        "kaldiio>=2.17",
        "pyannote.metrics>=4",
        "playwright>=1.49",  # drives the Chromium of the system
        "scikit-learn>=1.3",
        "torchmetrics>=1.4",
        "transformers>=4.57,<6",
    ],
}
CLOUDS = ("s3", "gcs", "trackio", "wandb")
EXTRAS["all"] = sorted(set(sum((EXTRAS[e] for e in EXTRAS if e not in CLOUDS), [])))
# `make` checks with them; constraints.txt has the versions.
EXTRAS["dev"] = ["mypy", "pre-commit", "ruff", "setuptools>=70.1", "types-PyYAML"]

setup(
    name="s3prl_sb",
    version=VERSION,
    description="Self-supervised speech models and the SUPERB benchmark on SpeechBrain",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # Cards, recipes and templates are at the top level, and are installed too.
    packages=[
        *find_packages(include=["s3prl_sb", "s3prl_sb.*"]),
        "s3prl_sb.hparams",
        "s3prl_sb.recipes",
        "s3prl_sb.templates",
    ],
    package_dir={
        "s3prl_sb.hparams": "hparams",
        "s3prl_sb.recipes": "recipes",
        "s3prl_sb.templates": "templates",
    },
    package_data={
        "s3prl_sb": ["py.typed"],
        "s3prl_sb.report": ["*.css", "*.html", "*.js"],
        "s3prl_sb.hparams": ["**/*.yaml", "**/*.json"],
        "s3prl_sb.recipes": ["**/*.py", "**/*.yaml", "**/*.md"],
        "s3prl_sb.templates": ["**/*.py", "**/*.yaml", "**/*.md"],
    },
    # constraints.txt pins the versions that are tested together.
    install_requires=[
        "speechbrain>=1.1",
        "torch>=2.7",
        "torchaudio>=2.7",
        "hyperpyyaml>=1.2.2",
        "sentencepiece>=0.1.99",
        "numpy>=1.24",
        "scipy>=1.10",
        "tqdm>=4.60",
        "soundfile>=0.12",
        "safetensors>=0.4",
        "huggingface_hub>=0.36",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["s3prl-sb = s3prl_sb.cli:main"]},
)
