"""Recognition of many languages: error rates of each, and identification.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping

from s3prl_sb.metrics.transcription import Edits, cer, paired


def cer_of_languages(
    predicted: Mapping[str, str], true: Mapping[str, str], languages: Mapping[str, str]
) -> dict[str, Edits]:
    """Counts character errors by language.

    Arguments
    ---------
    predicted, true : dict
        Ids of utterances to texts.
    languages : dict
        Ids of utterances to languages.

    Returns
    -------
    dict
        Languages, sorted, to edits; the ``rate`` is the character error rate.

    Example
    -------
    >>> true = {"a": "YES", "b": "JA"}
    >>> found = cer_of_languages({"a": "YS", "b": "JA"}, true, {"a": "eng", "b": "deu"})
    >>> {language: edits.total for language, edits in found.items()}
    {'deu': 0, 'eng': 1}
    """
    groups: dict[str, list[str]] = {}
    for name in true:
        groups.setdefault(languages[name], []).append(name)
    return {
        language: cer(
            {name: predicted[name] for name in names}, {n: true[n] for n in names}
        )
        for language, names in sorted(groups.items())
    }


def identification_accuracy(
    predicted: Mapping[str, str], true: Mapping[str, str]
) -> float:
    """Returns the share of texts that begin with the true word.

    Arguments
    ---------
    predicted : dict
        Ids of utterances to texts. The first word is the predicted language; an empty
        text has none.
    true : dict
        Ids of utterances to texts that begin with the true language.

    Returns
    -------
    float

    Example
    -------
    >>> identification_accuracy({"a": "eng deu", "b": ""}, {"a": "eng", "b": "deu"})
    0.5
    """
    pairs = [
        (text.split()[:1], label.split()[:1])
        for _, text, label in paired(predicted, true)
    ]
    if not pairs:
        raise ValueError("the accuracy of no utterances is not defined")
    return sum(text == label for text, label in pairs) / len(pairs)
