"""Query by example without training; the dev queries choose the hidden state.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import logging
import math
import os
import shutil
from pathlib import Path

from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.brains import layer_scores, opening, plots, results, settings
from s3prl_sb.brains.cache_budget import Disk, budget
from s3prl_sb.brains.debugging import few_queries
from s3prl_sb.brains.layer_scores import OneLayer
from s3prl_sb.brains.retrieval_sets import (
    conditioned,
    make_sets,
    searches,
)
from s3prl_sb.brains.untrained import UntrainedBrain
from s3prl_sb.dataio import conditions, extraction, manifest
from s3prl_sb.identity import digest
from s3prl_sb.identity.data import digests, seconds_of
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.lobes import dtw
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.query_trials import DETECTED, Trials, standardize, stdlist
from s3prl_sb.startup import acceptance
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.files import write_text
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

SPLITS = ("valid", "test")
SETTINGS = ("distance", "normalize", "minmax")
VERSION = 1  # increase it if the scores of the same features change


class RetrievalBrain(UntrainedBrain):
    """Searches queries in documents by dynamic time warping, layer by layer.

    The upstream runs once for all layers. The scores of each finished layer are stored,
    so a run that was killed resumes with the next layer.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe. Needs ``upstream_model``, ``upstream_name``, ``layers``,
        ``distance``, ``normalize``, ``minmax``, the keys of the cache,
        ``output_folder``, ``save_folder``, ``seed``.
    run_opts : dict
        Options of SpeechBrain.

    Note
    ----
    S3PRL runs the upstream again for each layer, and for dev and test. The numbers of a
    layer are the same, except for the rounding of ``cache_dtype``.
    """

    task = "SUPERB/QbE"
    metric = "mtwv"
    higher_is_better = True
    unit = "query"

    def __init__(self, hparams, run_opts=None):
        super().__init__(hparams, run_opts)
        self.layers = searched_layers(hparams)

    def search(self, records, trials):
        """Scores all queries, chooses the layer, and writes the results.

        Arguments
        ---------
        records : dict
            "documents", "valid" and "test" to ``{id: record}``.
        trials : dict
            Documents that contain each query, see
            :func:`s3prl_sb.corpora.quesst14.read_trials`.

        Returns
        -------
        dict
            Metrics of the chosen layer on the test set.
        """
        if self.debug:
            records = few_queries(records, trials, self.debug_batches)
            self.layers = self.layers[: self.debug_batches]
        self.splits = {name: len(utterances) for name, utterances in records.items()}
        sets = make_sets(vars(self.hparams), records)
        originals = {name: sets[name] for name in records}
        opening.say(self, originals)
        self.data, self.trials = digests(originals, if_main_process()), trials
        self.tested_seconds = seconds_of(sets["test"])
        if not self.debug:
            settings.check_test(self)
            acceptance.accept()
        scores = self._score(sets)
        metrics = {}
        if if_main_process():
            metrics = self._choose(scores, sets, trials)
        ddp_barrier()  # torchrun ends all processes when the first one leaves
        return metrics

    def tested_on(self):
        """Returns digests of queries and documents, and the true occurrences."""
        sets = [self.data["documents"], self.data["test"]]
        trials = [self.trials["documents"], self.trials["test"]]
        return [*sets, *trials, *conditioned(vars(self.hparams))]

    # --------------------------------------------------------------- scoring
    def _score(self, sets):
        """Returns the scores of each layer, stored or computed."""
        folder = Path(self.hparams.save_folder) / "scores"
        groups = self._groups(sets)
        description = self._describe(sets)
        name = hashlib.sha256(description.encode()).hexdigest()[:12]
        files = {n: folder / f"layer-{n}-{name}.safetensors" for n in self.layers}
        rank, processes = getattr(self, "rank", 0), int(os.environ.get("WORLD_SIZE", 1))
        done = {n for n, file in files.items() if layer_scores.read(file) is not None}
        ddp_barrier()  # all processes read before the first one writes
        if done:
            logger.info("Scores of %d layers are there already", len(done))
        for layers, home, kept in groups:
            missing = [layer for layer in layers if layer not in done]
            if not missing:
                continue
            features = self._extract(sets, layers, home, (rank, processes))
            for layer in missing[rank::processes]:
                states = {
                    name: OneLayer(cache, keys, layers.index(layer))
                    for name, (cache, keys) in features.items()
                }
                layer_scores.write(files[layer], self._search_layer(layer, states))
            del features
            ddp_barrier()
            if not kept and if_main_process():
                shutil.rmtree(home)
            ddp_barrier()
        if if_main_process():  # leftovers of a kill
            shutil.rmtree(self._temporary(), ignore_errors=True)
        return {layer: layer_scores.read(file) for layer, file in files.items()}

    def _describe(self, sets):
        """Returns a text with everything that the scores depend on."""
        self.identity = digest(first_identity(self.upstream))
        one = extraction.describe(
            self.upstream,
            sets["documents"],
            "frames",
            self.layers[:1],
            self.hparams.cache_dtype,
            self.identity,
        )
        keys = {name: _keys(dataset) for name, dataset in sets.items()}
        settings = [getattr(self.hparams, name) for name in SETTINGS]
        parts = ("format", "fingerprint", "dtype", "audio", "audio_code")
        features = [one[name] for name in parts]
        under = conditioned(vars(self.hparams))
        under += conditions.test_identity(vars(self.hparams))
        description = [VERSION, settings, features, keys, *under]
        return json.dumps(description, sort_keys=True)

    def _groups(self, sets):
        """Groups layers whose features are on the disk at the same time: (layers,
        folder, whether the features are kept for other runs)."""
        wanted = str(self.hparams.cache)
        wanted = "off" if wanted == "False" else wanted  # YAML 1.1 reads off so
        if wanted not in ("auto", "off", "frames"):
            raise RecipeError(f"cache is auto, off or frames, not {wanted}")
        for name, dataset in sets.items():
            if any(dataset.variants(i) is None for i in range(len(dataset))):
                raise RecipeError(
                    f"eval_pipes change the audio of the {name} each time: there is "
                    "no one score of it. Take the random ones out."
                )
        sizes = {layer: self._bytes(sets, [layer]) for layer in self.layers}
        if wanted == "auto":
            room = self._room(sets, self.hparams.cache_folder)
            wanted = "frames" if sum(sizes.values()) <= room else "off"
        kept = wanted == "frames"
        home = self.hparams.cache_folder if kept else self._temporary()
        room = math.inf if kept else self._room(sets, home)
        groups = []
        for layer in self.layers:
            size = self.upstream.output_sizes[layer]
            last = groups[-1] if groups else None
            fits = last and sum(map(sizes.get, last)) + sizes[layer] <= room
            if fits and self.upstream.output_sizes[last[-1]] == size:
                last.append(layer)
            else:
                groups.append([layer])
        return [(group, home, kept) for group in groups]

    def _room(self, sets, folder):
        what = (self.upstream, sets.values(), self.layers, self.hparams.cache_dtype)
        return budget(self.hparams, *what, Disk(folder)).bytes

    def _temporary(self):
        return Path(self.hparams.save_folder) / "features"

    def _bytes(self, sets, layers):
        return sum(
            extraction.estimate(
                self.upstream, dataset, "frames", layers, self.hparams.cache_dtype
            )
            for dataset in sets.values()
        )

    def _extract(self, sets, layers, home, part):
        """Extracts features; ``{set: (cache of [frames, layers, size], keys)}``."""
        caches, opened = {}, {}
        for name, dataset in sets.items():
            caches[name] = extraction.extract(
                self.upstream,
                dataset,
                home,
                kind="frames",
                layers=layers,
                dtype=self.hparams.cache_dtype,
                device=self.device,
                num_processes=self.hparams.cache_processes,
                part=part,
                progressbar=if_main_process(),
                identity=self.identity,
                opened=opened,
            )
        ddp_barrier()
        for cache in caches.values():
            cache.refresh()  # adds what the other processes have extracted
        return {name: (caches[name], _keys(dataset)) for name, dataset in sets.items()}

    def _search_layer(self, layer, states):
        parts = searches(states)
        bar = progress.bar(
            desc=f"Searching in layer {layer}",
            total=sum((len(part) - 1) * len(part["documents"]) for part in parts),
            unit="document",
            disable=not if_main_process(),
        )
        options = [getattr(self.hparams, name) for name in SETTINGS]
        with bar:
            results = {}
            for part in parts:
                found = layer_scores.search(part, *options, self.device, bar.update)
                results.update(found)
            return results

    # ------------------------------------------------------------- measuring
    def _choose(self, scores, sets, trials):
        """Measures all layers; writes results and predictions of the best one."""
        ids = {name: list(dataset.data_ids) for name, dataset in sets.items()}
        tables = {
            split: Trials(
                ids[split], ids["documents"], trials[split], trials["documents"]
            )
            for split in SPLITS
        }
        table = []
        for layer in self.layers:
            valid = tables["valid"].measure(scores[layer]["valid"])
            chosen = valid.get("threshold", math.inf)
            test = tables["test"].measure(scores[layer]["test"], chosen)
            table.append((layer, valid, test))
            logger.info("Layer %d: dev MTWV %.4f", layer, valid["mtwv"])
        layer, self.best, metrics = max(table, key=lambda row: row[1][self.metric])
        logger.info("Layer %d is the best one of %d on dev", layer, len(table))
        self.layer, best = layer, scores[layer]
        self.moments = {k: v.tolist() for k, v in best.items() if k not in SPLITS}
        self.modules["featurizer"] = Featurizer(self.upstream.num_layers, layer)
        folder = Path(self.hparams.output_folder)
        self.tested = metrics
        _write_layers(folder, table, layer, plots.heading(self))
        for split in SPLITS:
            normed = standardize(best[split])
            path = folder / "stdlist" / split / "benchmark.stdlist.xml"
            write_text(path, stdlist(ids[split], ids["documents"], normed))
        self._write_predictions(ids, tables["test"], best["test"])
        chosen = self.best.get("threshold", math.inf)
        self.searched = tables["test"], best["test"], chosen
        results.write_interface(self)
        results.write(self, metrics)
        return metrics

    def _write_predictions(self, ids, table, scores):
        """Writes ``predictions.csv`` with all pairs of the test set."""
        rows, normed = [], standardize(scores)
        for i, query in enumerate(ids["test"]):
            pairs = zip(ids["documents"], scores[i].tolist(), normed[i].tolist())
            for (document, cost, score), true in zip(pairs, table.searched[i].tolist()):
                detected = int(score > DETECTED)
                cost, score = f"{-cost:.6f}", f"{score:.6f}"
                rows.append([query, document, cost, score, detected, int(true)])
        columns = ["query", "document", "cost", "score", "detected", "true"]
        write_csv(Path(self.hparams.output_folder) / "predictions.csv", columns, rows)

    def measures(self):
        """Returns the term-weighted values of each query."""
        table, scores, threshold = self.searched
        entries = table.contributions(scores, threshold)
        return Measures.build(self.unit, table.queries, entries)

    def interface(self):
        """Returns a searcher with the chosen layer and the moments of the features,
        which are those of clean audio."""
        clean = "valid" if conditioned(vars(self.hparams)) else "test"
        return {
            "class": "s3prl_sb.inference.searcher.Searcher",
            "head": {},
            "hparams": {
                "layer": self.layer,
                **{name: getattr(self.hparams, name) for name in SETTINGS},
                "mean": self.moments[f"{clean}_mean"],
                "deviation": self.moments[f"{clean}_deviation"],
            },
        }


def searched_layers(hparams):
    """Returns the hidden states to search, after checking the settings.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe; see :class:`RetrievalBrain`.

    Returns
    -------
    list of int

    Raises
    ------
    RecipeError
        If the distance or a layer does not exist.
    """
    try:  # its message names the layers
        chosen = Featurizer(hparams["upstream_model"].num_layers, hparams["layers"])
    except ValueError as error:
        raise RecipeError(str(error)) from error
    if hparams["distance"] not in dtw.DISTANCES:
        raise RecipeError(
            f"distance: '{hparams['distance']}', there are {', '.join(dtw.DISTANCES)}"
        )
    if hparams["distance"] == "cosine_neg_log" and hparams["normalize"]:
        raise RecipeError(
            "distance: cosine_neg_log is for features that are never negative, "
            "and normalized ones are: set normalize: False."
        )
    return chosen.layers


def read_sets(save_folder):
    """Reads the manifests of a preparation.

    Arguments
    ---------
    save_folder : str
        Folder with ``documents.json``, ``valid.json`` and ``test.json``.

    Returns
    -------
    dict
        Names to ``{id: record}``.
    """
    names = ("documents", *SPLITS)
    return {name: manifest.read(Path(save_folder) / f"{name}.json") for name in names}


def _keys(dataset):
    """Returns the cache keys of a set's utterances."""
    return [keys[0] for keys in extraction.audio_keys(dataset, again=False).values()]


def _write_layers(folder, table, chosen, title):
    """Writes the measures of each layer to ``layers.csv`` and ``layers.png``."""
    names = ["mtwv", "mtwv_searched", "atwv"]
    columns = ["layer", *(f"{split}_{n}" for split in SPLITS for n in names)]
    rows = (
        [n, *(f"{s[name]:.6f}" for s in stats for name in names)] for n, *stats in table
    )
    write_csv(folder / "layers.csv", columns, rows)
    if len(table) == 1:
        return
    layers = [layer for layer, _, _ in table]
    lines = {"dev": [v["mtwv"] for _, v, _ in table]}
    lines["eval"] = [t["mtwv"] for _, _, t in table]
    plots.layer_scores(folder / "layers.png", layers, lines, chosen, title)
