"""Reading of the list to score: a user's table, or the test set of a corpus.

Authors
 * The s3prl_sb developers, 2026
"""

import runpy
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.analysis.item_tables import load_item_table
from s3prl_sb.corpora.conversion_tables import load_conversion_table
from s3prl_sb.corpora.fluent_speech_commands import load_intent_table
from s3prl_sb.corpora.lexicon import load_phone_tables
from s3prl_sb.corpora.quesst14 import load_query_tables, read_trials
from s3prl_sb.corpora.recordings import check_speech
from s3prl_sb.corpora.scenes import load_scene_table
from s3prl_sb.corpora.segment_tables import load_segment_table
from s3prl_sb.corpora.voxceleb1_asv import trial_lists
from s3prl_sb.dataio import manifest, trials
from s3prl_sb.dataio.clip_labels import load_clip_table
from s3prl_sb.dataio.slots import check_tagged
from s3prl_sb.dataio.source_tables import load_source_table
from s3prl_sb.dataio.tables import load_table
from s3prl_sb.dataio.translations import load_translation_table
from s3prl_sb.dataio.utterance_values import load_value_table
from s3prl_sb.inference.classifier import Classifier
from s3prl_sb.inference.comparer import Comparer
from s3prl_sb.inference.converter import Converter
from s3prl_sb.inference.diarizer import Diarizer
from s3prl_sb.inference.frame_labeller import FrameLabeller
from s3prl_sb.inference.intents import IntentClassifier
from s3prl_sb.inference.recognizer import Recognizer
from s3prl_sb.inference.regressor import Regressor
from s3prl_sb.inference.searcher import Searcher
from s3prl_sb.inference.separator import Separator
from s3prl_sb.inference.slot_filler import SlotFiller
from s3prl_sb.inference.tagger import Tagger
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.inference.translator import Translator
from s3prl_sb.inference.verifier import SpeakerVerifier
from s3prl_sb.startup.configuration import RecipeError

TEST = "test"


def read(model, brain_class, hparams):
    """Reads the list that the keys name.

    Arguments
    ---------
    model : s3prl_sb.inference.pretrained.SpeechModel
        The model, whose class determines the kind of list.
    brain_class : type
        Class of the task's Brain.
    hparams : dict
        Keys of the recipe: ``test_csv``, or ``data_folder`` and similar ones;
        ``save_folder``, the folder for manifests.

    Returns
    -------
    records : dict
        "test", and for query by example "documents", to ``{id: record}``.
    truth : object
        Additional truth of a task: the list of Trial for verification; for query by
        example the documents that contain each query.

    Raises
    ------
    s3prl_sb.dataio.manifest.ManifestError
        If the list is invalid; names the file, the line and the fix.
    """
    if not hparams.get("test_csv"):
        return _of_corpus(model, brain_class, hparams)
    table = str(hparams["test_csv"])
    if isinstance(model, Searcher):
        documents = hparams.get("documents_csv")
        if not documents:
            raise RecipeError(
                "documents_csv is not set: give --documents_csv FILE, what the "
                "queries of --test_csv are searched in."
            )
        records, truth = load_query_tables({"documents": documents, TEST: table})
        return {n: _written(r, n, hparams) for n, r in records.items()}, truth
    truth = None
    if isinstance(model, SpeakerVerifier):
        records, truth = trials.load_table(table)
    elif isinstance(model, Diarizer):
        records = load_segment_table(table)
        check_speech({TEST: records}, {TEST: table})
    elif isinstance(model, FrameLabeller) and not model.hparams.utterance_labels:
        is_multi_label = model.hparams.threshold is not None
        records = load_segment_table(table, "label", overlaps=is_multi_label)
        check_speech({TEST: records}, {TEST: table})
    elif isinstance(model, Recognizer):
        records = load_scene_table(table)
    elif isinstance(model, Comparer):
        records = load_item_table(table, hparams.get("test_items"))
    elif isinstance(model, Separator):
        records = load_source_table(table, model.hparams.num_sources)
    elif isinstance(model, Converter):
        records = load_conversion_table(table)
    elif isinstance(model, Regressor):
        records = load_value_table(table, list(model.hparams.values))
    elif isinstance(model, Tagger):
        records = load_clip_table(table)
    elif isinstance(model, IntentClassifier):
        records = load_intent_table(table, list(model.hparams.slots))
    elif isinstance(model, SlotFiller):
        records = load_table(table, ("text", "iob"))
        check_tagged(records, table, hparams["characters"])
    elif isinstance(model, Transcriber) and brain_class.metric == "per":
        lexicon = hparams["lexicon"] or []
        records = load_phone_tables(
            {TEST: table},
            [lexicon] if isinstance(lexicon, str) else lexicon,
            hparams["unknown_words"],
            model.tokenizer.arguments["symbols"],
        )[TEST]
    elif isinstance(model, Transcriber):
        records = load_table(table, brain_class.columns)
    elif isinstance(model, Translator):
        records = load_translation_table(table, (hparams["target"],))
    elif isinstance(model, (Classifier, FrameLabeller)):
        records = load_table(table, ("label",))
    else:
        raise RecipeError(f"nothing is known of how to score a {type(model).__name__}.")
    return {TEST: _written(records, TEST, hparams)}, truth


def _written(records, name, hparams):
    """Writes records to a manifest, and reads them from there, like a recipe."""
    path = Path(hparams["save_folder"]) / f"{name}.json"
    manifest.write(records, path)
    return manifest.read(path)


def _of_corpus(model, brain_class, hparams):
    """Prepares a corpus like the recipe, and returns its test set."""
    folder = hparams["save_folder"]
    script = resources.recipes()[brain_class.task] / "train.py"
    runpy.run_path(str(script), run_name="a_recipe")["prepare"](hparams)
    names, truth = [TEST], None
    if isinstance(model, Searcher):
        names, truth = ["documents", TEST], read_trials(folder)
    elif isinstance(model, SpeakerVerifier):
        truth = trial_lists(folder)[TEST]
    records = {name: manifest.read(Path(folder) / f"{name}.json") for name in names}
    return records, truth
