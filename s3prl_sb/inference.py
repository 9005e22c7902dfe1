"""Use a trained experiment: export it, load it, predict.

An export is a folder that SpeechBrain's ``from_hparams`` loads::

    from s3prl_sb.inference import Classifier
    label, score = Classifier.from_hparams("exported").classify_file("a.wav")

As everywhere in SpeechBrain, its ``hyperparams.yaml`` is code: load only
exports that you trust.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import LocalStrategy

from s3prl_sb.brains.checkpointer import AtomicCheckpointer

UPSTREAM = "upstream_source"  # a local checkpoint's name in an export


class ExportError(ValueError):
    """A folder that is no finished run, or no place for an export."""


class Classifier(Pretrained):
    """A trained utterance classifier: KS, SID, or your own.

    Example
    -------
    >>> # label, score = Classifier.from_hparams("exported").classify_file("a.wav")
    """

    MODULES_NEEDED = ["upstream", "featurizer", "head"]
    HPARAMS_NEEDED = ["labels", "load_audio"]

    @classmethod
    def from_hparams(cls, source, savedir=None, overrides=None, **kwargs):
        """Loads an export.

        Arguments
        ---------
        source : str
            The folder that :func:`export` has made.
        savedir : str, optional
            Where SpeechBrain puts links to its files; default: nowhere.
        overrides : dict, optional
            Of its ``hyperparams.yaml``.
        **kwargs
            As for SpeechBrain's ``from_hparams``, e.g.
            ``run_opts={"device": "cuda"}``.

        Returns
        -------
        Classifier
        """
        overrides = dict(overrides or {})
        if Path(source).is_dir():  # it may have been moved since
            folder = str(Path(source).resolve())
            overrides.setdefault("export_folder", folder)
            if folder not in sys.path:  # modules that came along, see export()
                sys.path.append(folder)
        if savedir is None:
            kwargs.setdefault("local_strategy", LocalStrategy.NO_LINK)
        return super().from_hparams(
            source, savedir=savedir, overrides=overrides, **kwargs
        )

    def classify_file(self, path, start=None, stop=None):
        """The label of an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        label : str
            The most probable.
        score : float
            Its probability.
        """
        wav = self.hparams.load_audio.load(Path(path).name, str(path), start, stop)
        probabilities = self.classify_batch(wav[None])[0]
        score, index = probabilities.max(-1)
        return self.hparams.labels[int(index)], float(score)

    def classify_batch(self, wavs, wav_lens=None):
        """Probabilities of all labels.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, labels].
        """
        with torch.no_grad(), self.inference_ctx:
            states, lens = self.mods.upstream(wavs.to(self.device), wav_lens)
            logits = self.mods.head(self.mods.featurizer(states), lens)
        return torch.softmax(logits.float(), dim=-1)

    def forward(self, wavs, wav_lens=None):
        """As :meth:`classify_batch`."""
        return self.classify_batch(wavs, wav_lens)


def load(folder, **kwargs):
    """A classifier from an export or directly from a run.

    Arguments
    ---------
    folder : str
        Either.
    **kwargs
        As for :meth:`Classifier.from_hparams`.

    Returns
    -------
    Classifier
    """
    if (Path(folder) / "save").is_dir():
        with tempfile.TemporaryDirectory() as exported:
            export(folder, exported, copy_upstream=False)
            return Classifier.from_hparams(exported, **kwargs)
    if not (Path(folder) / "hyperparams.yaml").is_file():
        raise ExportError(
            f"'{folder}' is neither a run of a recipe nor an export: it has no "
            "hyperparams.yaml."
        )
    return Classifier.from_hparams(folder, **kwargs)


def export(run_folder, destination, copy_upstream=True):
    """Makes a folder that ``from_hparams`` loads, of a run's best checkpoint.

    Arguments
    ---------
    run_folder : str
        ``output_folder`` of a finished recipe.
    destination : str
        Folder to make; it may exist, if it is empty or an earlier export.
    copy_upstream : bool
        Whether a checkpoint that the upstream was loaded from is copied too. A
        published address stays an address.

    Returns
    -------
    pathlib.Path
        The destination.

    Raises
    ------
    ExportError
        If the run is not finished, or the destination holds something else.
    """
    import ruamel.yaml

    run, destination = Path(run_folder), Path(destination)
    results, checkpoint = _finished(run)
    _check_destination(destination)
    yaml = ruamel.yaml.YAML()
    saved = yaml.load((run / "hyperparams.yaml").read_text(encoding="utf-8"))
    labels = (run / "save" / "labels.txt").read_text(encoding="utf-8").splitlines()

    destination.mkdir(parents=True, exist_ok=True)
    loadables = []
    for name in ("featurizer", "head", "upstream"):
        if name in checkpoint.paramfiles:
            shutil.copyfile(checkpoint.paramfiles[name], destination / f"{name}.ckpt")
            loadables.append(name)
    upstream = saved["upstream_model"]
    local = _local(upstream.get("source"))
    if local is not None:
        if copy_upstream:
            _copy(local, destination / (UPSTREAM + local.suffix))
            reference = ruamel.yaml.comments.TaggedScalar(
                f"<export_folder>/{UPSTREAM}{local.suffix}", tag="!ref"
            )
            upstream["source"] = reference
        else:
            upstream["source"] = str(local.resolve())
    _copy_modules(saved, destination)
    head = saved["head"]
    head.yaml_set_ctag(
        ruamel.yaml.tag.Tag(suffix=head.tag.value.replace("!name:", "!new:"))
    )
    head["num_classes"] = len(labels)
    nodes = {
        "export_folder": str(destination.resolve()),
        "task": results["task"],
        "labels": labels,
        "upstream": upstream,
        "featurizer": saved["featurizer"],
        "head": head,
        "load_audio": saved["eval_pipes"][0],
    }
    text = io.StringIO()
    yaml.dump(nodes, text)
    # The recipe's headings have come along with its entries.
    lines = (line for line in text.getvalue().splitlines() if line.strip())
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    (destination / "results.json").write_text(
        json.dumps(results, indent=2) + "\n", encoding="utf-8"
    )
    # Last, so that a folder with it is a whole export.
    (destination / "hyperparams.yaml").write_text(
        f"# {results['task']} with {results['upstream']}, exported by s3prl_sb.\n"
        "# Load it with s3prl_sb.inference.Classifier.from_hparams.\n"
        f"{text}\n"
        "modules:\n"
        "    upstream: !ref <upstream>\n"
        "    featurizer: !ref <featurizer>\n"
        "    head: !ref <head>\n"
        "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
        "    loadables:\n"
        + "".join(f"        {name}: !ref <{name}>\n" for name in loadables)
        + "    custom_hooks:\n"
        + "".join(
            f"        {name}: !name:s3prl_sb.brains.checkpointer.load_trained\n"
            for name in loadables
        ),
        encoding="utf-8",
    )
    return destination


def _finished(run):
    """The results and the best checkpoint of a run."""
    for name in ("hyperparams.yaml", "results.json", "save/labels.txt"):
        if not (run / name).is_file():
            raise ExportError(
                f"'{run}' is no finished run of a recipe: it has no {name}. Run "
                "the recipe again with the same command: it goes on where it was."
            )
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    chosen = results["chosen_by"]
    checkpoint = AtomicCheckpointer(run / "save").find_best(
        chosen["metric"], chosen["highest"]
    )
    if checkpoint is None:
        raise ExportError(
            f"'{run}/save' has no checkpoint with the metric '{chosen['metric']}'."
        )
    return results, checkpoint


def _check_destination(destination):
    if destination.exists() and not destination.is_dir():
        raise ExportError(f"'{destination}' is a file.")
    if destination.is_dir() and any(destination.iterdir()):
        yaml = destination / "hyperparams.yaml"
        if not yaml.is_file() or "exported by s3prl_sb" not in yaml.read_text("utf-8"):
            raise ExportError(
                f"'{destination}' holds something else: choose an empty folder."
            )


def _copy_modules(saved, destination):
    """Takes along modules that lie beside the upstream's card or in the current
    folder: nobody else could import them."""
    beside = Path(str(saved["upstream"]).partition(".yaml:")[0]).resolve().parent
    for folder in {beside, Path.cwd()}:
        for node in (saved["upstream_model"], saved["head"], saved["featurizer"]):
            module = node.tag.value.partition(":")[2].rpartition(".")[0]
            path = folder / (module.replace(".", "/") + ".py")
            if module and "." not in module and path.is_file():
                shutil.copyfile(path, destination / path.name)


def _local(source):
    """The file or folder among the places of a checkpoint; None: there is none."""
    places = source if isinstance(source, list) else [source]
    for place in places:
        path = Path(str(place or "").partition("#sha256=")[0]).expanduser()
        if place and path.exists():
            return path
    return None


def _copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
