"""Measurement of a loaded model with the Brain of its recipe, as in a test.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import runpy

from s3prl_sb import resources
from s3prl_sb.analysis.discrimination import DiscriminationBrain
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.conversion_parts import vocoder_of
from s3prl_sb.brains.events import DECODING
from s3prl_sb.brains.frames import frame_pipes
from s3prl_sb.brains.labels import category_pipe
from s3prl_sb.brains.masking import KEYS, mixture_pipes
from s3prl_sb.brains.multi_label import MultiLabelBrain
from s3prl_sb.brains.recognition import CHOSEN
from s3prl_sb.brains.recognition_data import scene_pipes
from s3prl_sb.brains.regression import value_keys
from s3prl_sb.brains.retrieval import SETTINGS, RetrievalBrain
from s3prl_sb.brains.seq2seq import text_pipes
from s3prl_sb.brains.untrained import UntrainedBrain
from s3prl_sb.dataio import clip_labels, conditions
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.enrolled_speakers import EnrolledSpeaker
from s3prl_sb.dataio.frame_labels import labels_of
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.scene_labels import event_labels_of
from s3prl_sb.dataio.slots import with_slots
from s3prl_sb.dataio.speaker_activity import SpeakerActivity
from s3prl_sb.dataio.target_spectrogram import TargetSpectrogram
from s3prl_sb.dataio.utterance_values import UtteranceValues
from s3prl_sb.inference.converter import Converter
from s3prl_sb.inference.diarizer import Diarizer
from s3prl_sb.inference.event_detector import EventDetector
from s3prl_sb.inference.frame_labeller import FrameLabeller
from s3prl_sb.inference.intents import IntentClassifier
from s3prl_sb.inference.judges import Judges
from s3prl_sb.inference.recognizer import Recognizer
from s3prl_sb.inference.regressor import Regressor
from s3prl_sb.inference.separator import MASKS, Separator
from s3prl_sb.inference.slot_filler import SlotFiller
from s3prl_sb.inference.speaker_embedding import embedded, enrolled
from s3prl_sb.inference.tagger import Tagger
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.inference.translator import Translator
from s3prl_sb.inference.verifier import SpeakerVerifier
from s3prl_sb.metrics.query_trials import Trials
from s3prl_sb.startup.configuration import RecipeError

TEXT = ["id", "sig", "tokens_list", "tokens", "reference"]


def brain_of(task, model=None):
    """Returns the Brain class of a recipe.

    Arguments
    ---------
    task : str
        Name such as "SUPERB/KS", or that of a variant: "TIMIT/phones/concat".
    model : s3prl_sb.inference.pretrained.SpeechModel, optional
        The loaded model, for a recipe with a Brain for each kind of labels. Default:
        the first Brain.

    Returns
    -------
    type

    Raises
    ------
    RecipeError
        For a task that no installed recipe has.
    """
    recipes, name = resources.recipes(), task
    task = resources.task_of(name)
    if task is None:
        raise RecipeError(
            f"'{name}' is no recipe of this program, so nothing is known of how it is "
            f"scored. There are: {', '.join(recipes)}."
        )
    script = runpy.run_path(str(recipes[task] / "train.py"), run_name="a_recipe")
    brains = [
        made
        for made in script.values()
        if isinstance(made, type)
        and issubclass(made, (SSLBrain, UntrainedBrain))
        and getattr(made, "task", None) == task
        and made.__module__ == "a_recipe"
    ]
    tags = [brain for brain in brains if issubclass(brain, MultiLabelBrain)]
    return tags[0] if tags and isinstance(model, Tagger) else brains[0]


class Measured:
    """Mixin for Brains that keep their metrics and write no results of a run."""

    trains = False  #: suppresses messages about training

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Does nothing: the weights are already loaded."""

    def finish_test(self, metrics):
        """Keeps the metrics."""
        self.measured = {name: float(value) for name, value in metrics.items()}


def measure(model, brain_class, hparams, run_opts, records, truth):
    """Scores a model.

    Arguments
    ---------
    model : s3prl_sb.inference.pretrained.SpeechModel
        The loaded model.
    brain_class : type
        Output of :func:`brain_of`.
    hparams : dict
        Keys of the recipe; the predictions are written to its ``output_folder``.
    run_opts : dict
        Run options of SpeechBrain.
    records, truth
        Output of :func:`s3prl_sb.scoring.lists.read`.

    Returns
    -------
    s3prl_sb.brains.base.SSLBrain
        The Brain with ``measured``, ``data`` and ``splits``.
    """
    if issubclass(brain_class, RetrievalBrain):
        return _search(model, brain_class, hparams, run_opts, records, truth)
    if issubclass(brain_class, DiscriminationBrain):
        return _discriminate(model, brain_class, hparams, run_opts, records)
    task = brain_class, model, hparams, records, truth
    pipes, keys, options, best = _of_task(*task)
    heard = [*model.hparams.audio_pipes, *conditions.test_pipes(hparams)]
    dataset = ManifestDataset(records["test"], [*heard, *pipes], keys)
    made = type(brain_class.__name__, (Measured, brain_class), {})
    names = [name for name in ("featurizer", "head") if name in model.mods]
    modules = {name: model.mods[name] for name in names}
    if not model.mods.upstream.freeze:  # it is not among the Brain's modules
        model.mods.upstream.eval()
    brain = made(modules=modules, hparams=hparams, run_opts=run_opts, **options)
    brain.best = best
    brain.use_cache({"test": dataset})
    loader = {"num_workers": 0, **hparams["test_dataloader_opts"]}
    brain.evaluate(dataset, test_loader_kwargs=loader)
    return brain


def _of_task(brain_class, model, hparams, records, truth):
    """Returns the pipes, the output keys, the Brain's arguments, and the values that
    validation chose."""
    learned = model.hparams
    if isinstance(model, SpeakerVerifier):
        options = {"trials": {"test": truth}}
        return [], ["id", "sig"], options, {"threshold": learned.threshold}
    if isinstance(model, Diarizer):
        activity = SpeakerActivity(model.mods.upstream, hparams["num_speakers"])
        best = {"threshold": learned.threshold, "median": learned.median}
        options = {"references": {"test": records["test"]}}
        return [activity], ["id", "sig", "activity"], options, best
    if isinstance(model, Recognizer):
        return _of_scenes(model, hparams, records)
    if isinstance(model, Separator):
        hparams.update({name: getattr(learned, name) for name in MASKS})
        options = {"num_sources": learned.num_sources}
        return mixture_pipes(), KEYS, options, {}
    if isinstance(model, Converter):
        return _of_conversion(model, hparams, records)
    if isinstance(model, FrameLabeller):
        return _of_frames(model, hparams, records)
    if isinstance(model, Tagger):
        labels = list(learned.labels)
        check_known("labels", clip_labels.labels_of(records["test"]), labels)
        pipes = [clip_labels.EncodeLabels(labels)]
        best = {"threshold": learned.threshold}
        return pipes, ["id", "sig", "labels_encoded"], {"labels": labels}, best
    if isinstance(model, Regressor):
        values, keys = list(learned.values), value_keys(records["test"])
        return [UtteranceValues(values)], keys, {"values": values}, {}
    if isinstance(model, IntentClassifier):
        slots = {slot: list(values) for slot, values in learned.slots.items()}
        pipes = [_category(records, slot, values) for slot, values in slots.items()]
        keys = ["id", "sig", *(f"{slot}_encoded" for slot in slots)]
        return pipes, keys, {"slots": slots}, {}
    if isinstance(model, Transcriber):
        options = {"tokenizer": model.tokenizer, "decoder": model.decoder}
        if isinstance(model, SlotFiller):
            records["test"] = _marked(records["test"], model, hparams)
        targets, more = brain_class.targets_of(records, hparams)
        records.update(targets)
        options.update(more)
        key = "phones" if "phones" in next(iter(records["test"].values())) else "text"
        return [EncodeTokens(model.tokenizer, key=key)], TEXT, options, {}
    if isinstance(model, Translator):
        tokenizers = {"tokenizer": model.tokenizer}
        return *text_pipes(tokenizers, hparams), tokenizers, {}
    labels = list(learned.labels)
    pipes = [_category(records, "label", labels)]
    return pipes, ["id", "sig", "label_encoded"], {"labels": labels}, {}


def _of_conversion(model, hparams, records):
    """Returns what :func:`_of_task` does for voice conversion."""
    hparams.update(mel=model.mel, speaker_embedding=model.hparams.speaker_embedding)
    judges = Judges(hparams["asr"], hparams["asv"], hparams["asv_threshold"])
    options = {"records": records["test"], "judges": judges}
    options["vocoder"] = vocoder_of(hparams)
    pipes, keys = [TargetSpectrogram(model.mel)], ["id", "sig"]
    if model.hparams.speaker_embedding:
        table = embedded(model.embedder, enrolled(records["test"].values()))
        pipes.append(EnrolledSpeaker(table))
        keys.append("speaker_embedding")
    return pipes, keys, options, {}


def _of_frames(model, hparams, records):
    """Returns what :func:`_of_task` does for labels of frames."""
    learned = model.hparams
    labels, is_multi_label = list(learned.labels), learned.threshold is not None
    check_known("label", labels_of(records["test"]), labels)
    pipes, keys = frame_pipes(hparams, records, labels, is_multi_label)
    best = {"threshold": learned.threshold} if is_multi_label else {}
    options = {"labels": labels}
    if isinstance(model, EventDetector):
        best = {name: getattr(learned, name) for name in DECODING}
        options["references"] = records
    return pipes, keys, options, best


def _of_scenes(model, hparams, records):
    """Returns what :func:`_of_task` does for scenes."""
    decisions = model.decisions
    labels, tokenizer = list(decisions.event_labels), decisions.tokenizer
    check_known("event", set(event_labels_of(records["test"])), labels)
    options = {"references": records, "event_labels": labels, "tokenizer": tokenizer}
    best = {name: getattr(decisions, name) for name in CHOSEN}
    return *scene_pipes(hparams, labels, tokenizer), options, best


def _category(records, key, values):
    """Returns a pipe that encodes the labels of the model."""
    check_known(key, {record[key] for record in records["test"].values()}, values)
    return category_pipe(values, key)


def check_known(key, labels, values):
    """Checks that the model knows the labels.

    Arguments
    ---------
    key : str
        Key of the labels, for the error.
    labels : set of str
        Labels of the test set.
    values : list of str
        Labels that the model knows.

    Raises
    ------
    ManifestError
        If it does not know one; names it.
    """
    unknown = sorted(labels - set(values))
    if unknown:
        raise ManifestError(
            f"{key}: the model knows no {', '.join(map(repr, unknown[:10]))}. Drop "
            f"these utterances; it knows {', '.join(map(str, values[:20]))}."
        )


def _marked(records, model, hparams):
    """Adds the marks of slots to texts, for the slots of the model."""
    marked, slots = with_slots({"train": records}, hparams["characters"])
    unknown = sorted(set(slots) - set(model.tokenizer.arguments["slots"]))
    if unknown:
        raise ManifestError(
            f"iob: the model knows no slot {', '.join(unknown[:10])}. Give these words "
            "the tag O, or drop the utterances."
        )
    return marked["train"]


class _OneLayer(Measured):
    """Mixin for query by example, with the chosen hidden state only."""

    threshold = math.inf

    def _choose(self, scores, sets, trials):
        (layer,) = self.layers
        ids = {name: list(dataset.data_ids) for name, dataset in sets.items()}
        table = Trials(
            ids["test"], ids["documents"], trials["test"], trials["documents"]
        )
        test_scores = scores[layer]["test"]
        self.searched = table, test_scores, self.threshold
        self._write_predictions(ids, table, test_scores)
        self.finish_test(table.measure(test_scores, self.threshold))
        return self.measured


def _search(model, brain_class, hparams, run_opts, records, truth):
    learned = model.hparams
    for name in SETTINGS:
        hparams[name] = getattr(learned, name)
    hparams.update(layers=learned.layer, cache="off")
    made = type(brain_class.__name__, (_OneLayer, brain_class), {})
    brain = made(hparams, run_opts)
    brain.threshold = hparams["valid"].get("threshold", math.inf)
    brain.search(records, truth)
    return brain


class _OneState(Measured):
    """Mixin for ABX, with the chosen hidden state only."""

    def finish(self, states, items):
        (self.layer,) = self.layers
        self.write_predictions(states["test"], items["test"])
        self.finish_test(self.errors(states["test"], items["test"])[0])
        return self.measured


def _discriminate(model, brain_class, hparams, run_opts, records):
    learned = model.hparams
    hparams.update(layers=learned.layer, distance=learned.distance, cache="off")
    made = type(brain_class.__name__, (_OneState, brain_class), {})
    brain = made(hparams, run_opts)
    brain.measure(records)
    return brain
