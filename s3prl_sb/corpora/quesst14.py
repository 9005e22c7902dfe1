"""QUESST 2014 for query by example (SUPERB QbE): documents that have a spoken query.

The corpus (Anguera et al., ICASSP 2015; MediaEval's query-by-example task) has
documents in ``Audio`` and queries in ``dev_queries`` and ``eval_queries``, in six
languages. ``scoring/language_key_{utterances,dev,eval}.lst`` have a line for each: its
path and language. The ground truth is an RTTM file in
``scoring/groundtruth_quesst14_{dev,eval}``, whose LEXEME lines name a document and a
query in it.

SUPERB searches one language only. The corpus' scorer still counts all queries and
documents, and scores pairs outside the search as -10: ``trials.json`` has all of them.
"""

import difflib
import logging
import os
import re
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import Listed
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import Published, download
from s3prl_sb.dataio import manifest, rows, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.storage.files import read_json, write_json

logger = logging.getLogger(__name__)

VERSION = "quesst14/1"  # a change makes finished preparations stale
URL = "https://speech.fit.vutbr.cz/files/quesst14Database.tgz"
SHA256 = "4f869e06bc066bbe9c5dde31dbd3909a0870d70291110ebbb38878dcbc2fc5e4"
SETS = ("documents", "valid", "test")
LISTS = dict(zip(SETS, ("utterances", "dev", "eval")))
TRIALS = "trials.json"
PART = re.compile(r"_T\d+$")  # ground truth of one type of queries: quesst14_dev_T1
NOBODY = "NO_KEYWORD"  # in RTTM lines without a query


def prepare_quesst14(
    data_folder: str | None,
    save_folder: str,
    language: str = "nnenglish",
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``documents.json``, ``valid.json``, ``test.json`` and ``trials.json``.

    Arguments
    ---------
    data_folder : str
        ``quesst14Database``, with ``Audio``, ``dev_queries``, ``eval_queries`` and
        ``scoring``.
    save_folder : str
        Folder for the manifests. A finished preparation by the same lists is kept.
    language : str
        Language to search, as in the lists, or "all".
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"documents": path, "valid": path, "test": path}``. Records have
        ``language``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Note
    ----
    Without an RTTM file, a ``trials.tsv`` is read: a header with query, doc and match,
    and a line for each pair; match is 1 or 0.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, home in zip(LISTS.values(), ("Audio", "dev_queries", "eval_q")):
    ...         wav = Path(folder, home, name + ".wav")
    ...         wav.parent.mkdir()
    ...         soundfile.write(wav, numpy.zeros(1600), 16000)
    ...         truth = Path(folder, f"scoring/groundtruth_quesst14_{name}/a.rttm")
    ...         truth.parent.mkdir(parents=True)
    ...         _ = truth.write_text(f"LEXEME utterances 1 0 0.1 {name} lex <NA> <NA>")
    ...         listed = truth.parents[1] / f"language_key_{name}.lst"
    ...         _ = listed.write_text(f"quesst14Database/{home}/{name}.wav nnenglish")
    ...     paths = prepare_quesst14(folder, folder + "/save")
    ...     read_trials(folder + "/save")["test"]
    {'eval': ['utterances']}
    """
    if skip_prep:
        return _skipped(save_folder)
    root = Path(check_folder(data_folder, "of QUESST 2014", tables=SETS))
    lists = {n: root / f"scoring/language_key_{key}.lst" for n, key in LISTS.items()}
    for path in lists.values():
        if not path.is_file():
            raise ManifestError(
                f"{path}: the list is missing. data_folder is to be the folder "
                f"quesst14Database of {URL}."
            )
    truths = {split: _find_truth(root, LISTS[split]) for split in SETS[1:]}
    arguments = {
        "version": VERSION,
        "data_folder": str(root),
        "language": language,
        "sha256": {
            str(p): manifest.digest(p) for p in (*lists.values(), *truths.values())
        },
    }
    paths = manifest.finished(save_folder, arguments)
    if paths and Path(save_folder, TRIALS).is_file():
        return paths
    listed, places = {}, {}
    for name, path in lists.items():
        listed[name], places[name] = _read_list(path, root)
    trials = {"documents": sorted(listed["documents"])}
    for split, path in truths.items():
        logger.info("Truth of the %s set: %s", split, path)
        pairs = _read_rttm(path) if path.suffix == ".rttm" else _read_tsv(path)
        trials[split] = _by_query(pairs, listed[split], listed["documents"], path)
    searched, converted = {}, Listed()
    for name, records in listed.items():
        languages = sorted({record["language"] for record in records.values()})
        if language != "all":
            records = {n: r for n, r in records.items() if r["language"] == language}
        if not records:
            raise ManifestError(
                f"{lists[name]}: none in the language '{language}'. There are: "
                f"{', '.join(languages)}, or all."
            )
        searched[name] = records
        for record in records.values():
            record["wav"] = converted.find(record["wav"]) or record["wav"]
        lines = [places[name][utterance] for utterance in records]
        headers.add_durations(records.values(), lines)
    _check_held(searched, trials, truths)
    write_json(Path(save_folder) / TRIALS, trials)
    return manifest.finish(searched, save_folder, arguments, ("language",))


def prepare_query_tables(
    documents_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Prepares user tables of documents and queries.

    Arguments
    ---------
    documents_csv : str
        Documents to search, as CSV, TSV or JSON, see :mod:`s3prl_sb.dataio.tables`.
    valid_csv, test_csv : str
        Queries. The column ``documents`` has the ids of the documents with the query,
        joined by semicolons between spaces, and may be empty. In JSON it is a list.
    save_folder, skip_prep
        See :func:`prepare_quesst14`.

    Returns
    -------
    dict
        ``{"documents": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.
    """
    if skip_prep:
        return _skipped(save_folder)
    files = dict(zip(SETS, (documents_csv, valid_csv, test_csv)))
    for name, path in files.items():
        if not path:
            raise ManifestError(
                f"{name}_csv is not set: the documents, and the queries for "
                "validation and for testing, are three tables."
            )
        tables.check_table(str(path), manifest.paths_in(save_folder, SETS))
    arguments = {"version": [VERSION, tables.VERSION], **tables.identity(files)}
    paths = tables.finished(save_folder, arguments)
    if paths and Path(save_folder, TRIALS).is_file():
        return paths
    searched, trials = load_query_tables(files)
    write_json(Path(save_folder) / TRIALS, trials)
    return manifest.finish(searched, save_folder, arguments, ())


def load_query_tables(files):
    """Reads user tables as records and trials.

    Arguments
    ---------
    files : dict
        "documents" and names of query sets to tables, see
        :func:`prepare_query_tables`.

    Returns
    -------
    records : dict
        Names to ``{id: record}``.
    trials : dict
        See :func:`read_trials`.
    """
    searched = {name: tables.load_table(str(path)) for name, path in files.items()}
    queries = [name for name in files if name != "documents"]
    tables.warn_of_leaks({split: searched[split] for split in queries}, files)
    trials = {"documents": sorted(searched["documents"])}
    for split in queries:
        trials[split] = _take_truth(searched, split, str(files[split]))
    _check_held(searched, trials, files)
    return searched, trials


def read_trials(save_folder):
    """Reads which documents have which query, from a preparation.

    Arguments
    ---------
    save_folder : str
        Folder of the preparation.

    Returns
    -------
    dict
        "documents" to all their ids, "valid" and "test" to ``{query: ids of
        documents}``, also for queries and documents outside the search.
    """
    again = "Delete it, and run the recipe again: it is prepared anew."
    return read_json(Path(save_folder, TRIALS), "the trials", again, kind=dict)


def _skipped(save_folder):
    paths = manifest.paths_in(save_folder, SETS)
    tables.skipped({**paths, "trials": os.path.join(save_folder, TRIALS)})
    return paths


def _find_truth(root, key):
    folder = root / "scoring" / f"groundtruth_quesst14_{key}"
    usual = folder / f"quesst14_{key}.rttm"
    others = sorted(folder.glob("[!.]*.rttm"))
    whole = [path for path in others if not PART.search(path.stem)]
    for path in (usual, *whole[: len(whole) == 1], folder / "trials.tsv"):
        if path.is_file():
            return path
    there = f"; {', '.join(path.name for path in others)} is not all of it"
    raise ManifestError(
        f"{usual}: the truth is missing, and so is trials.tsv{there if others else ''}."
        f" It is part of the corpus: unpack {URL} anew."
    )


def _read_list(path, root):
    """Returns ``{id: record}`` of all languages, and ``{id: "file:line"}``."""
    records, places = {}, {}
    for place, line in manifest.lines(path):
        cells = line.split()
        if len(cells) != 2 or "/" not in cells[0]:
            raise ManifestError(
                f"{place}: malformed line {line.strip()!r}. Expected a path "
                "and a language: 'quesst14Database/Audio/quesst14_00001.wav nnenglish'"
            )
        name = os.path.splitext(os.path.basename(cells[0]))[0]
        if name in places:
            raise ManifestError(f"{place}: {name} again, first {places[name]}")
        places[name] = place
        wav = str(root / cells[0].split("/", 1)[1])  # it begins with the root's name
        records[name] = manifest.whole_file(wav, language=cells[1])
    return records, places


def _read_rttm(path):
    """Yields the ("file:line", query, document) of each query in a document."""
    for place, line in manifest.lines(path):
        cells = line.split()
        if cells[0] != "LEXEME":
            continue  # a comment, or a line about speakers and noises
        if len(cells) < 6:
            raise ManifestError(
                f"{place}: {len(cells)} fields in {line.strip()!r}. Expected "
                "LEXEME, document, channel, start, duration, query, ..."
            )
        if cells[5] != NOBODY:
            yield place, cells[5], cells[1]


def _read_tsv(path):
    names = None
    for place, line in manifest.lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if names is None:
            names = cells
            if not {"query", "doc", "match"} <= set(names):
                raise ManifestError(
                    f"{place}: the columns are {', '.join(names)}. There must "
                    "be query, doc and match, between tabs."
                )
            continue
        row = dict(zip(names, cells))
        if len(cells) != len(names) or row["match"] not in ("0", "1"):
            raise ManifestError(
                f"{place}: malformed line {line.strip()!r}. Expected "
                f"{', '.join(names)}, between tabs, match being 0 or 1."
            )
        if row["match"] == "1":
            yield place, row["query"], row["doc"]


def _by_query(pairs, queries, documents, path):
    """Returns ``{query: documents}`` of listed queries; logs those left out."""
    held, unknown = {query: set() for query in queries}, []
    for place, query, document in pairs:
        if query in held and document in documents:
            held[query].add(document)
        else:
            unknown.append(f"{place}: {query} in {document}")
    if unknown:
        logger.warning(
            "%s: %d lines are about queries or documents that no list has, and are "
            "left out. The first: %s",
            path,
            len(unknown),
            unknown[0],
        )
    return {query: sorted(names) for query, names in held.items()}


def _take_truth(searched, split, path):
    """Moves ``documents`` out of the records, to ``{query: documents}``."""
    places, truth = rows.places(path), {}
    for query, record in searched[split].items():
        place = f"{places.get(query, path)}: '{query}'"
        if "documents" not in record:
            raise ManifestError(
                f"{place}: no column documents; found {', '.join(record)}. Give the "
                "ids of the documents that hold the query, joined by ' ; '."
            )
        held = record.pop("documents")
        if isinstance(held, str):
            held = [name for name in re.split(r"\s*;\s*", held.strip()) if name]
        held = [] if held is None else held
        if not isinstance(held, list) or not all(isinstance(n, str) for n in held):
            raise ManifestError(
                f"{place}: documents {held!r} are no ids. Give a list of texts, or a "
                "text in which they are joined by ' ; '."
            )
        for name in held:
            if name not in searched["documents"]:
                near = difflib.get_close_matches(str(name), searched["documents"])
                hint = f" Did you mean {' or '.join(near)}?" if near else ""
                raise ManifestError(
                    f"{place}: there is no document '{name}' in documents_csv.{hint}"
                )
        truth[query] = sorted(set(held))
    return truth


def _check_held(searched, trials, files):
    """Raises an error if no document has a query: nothing could be measured."""
    documents = set(searched["documents"])
    for split in [name for name in files if name != "documents"]:
        if not any(documents & set(trials[split][query]) for query in searched[split]):
            raise ManifestError(
                f"{files[split]}: none of the {len(searched[split])} queries of the "
                f"{split} set is said in any of the {len(documents)} documents. "
                "Compare their names with those of the documents."
            )


def download_quesst14(destination: str) -> Path:
    """Downloads QUESST 2014 into a folder, which gets ``quesst14Database``."""
    return download([Published(URL, 1.2, SHA256)], destination)
