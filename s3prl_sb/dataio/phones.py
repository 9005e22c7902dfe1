"""English phones: ARPAbet with stress, and TIMIT's.

Authors
 * The s3prl_sb developers, 2026
"""

ARPABET = """AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R
S SH T TH UH UW V W Y Z ZH"""
#: All phones, in the order of S3PRL's vocabulary.
PHONES = ("SIL", "SPN") + tuple(
    phone + stress
    for phone in ARPABET.split()
    for stress in ("012" if phone[0] in "AEIOU" else [""])  # of vowels
)
#: TIMIT's 61 phones as the usual 39 classes: Lee & Hon, "Speaker-independent phone
#: recognition using hidden Markov models" (1989). The glottal stop is no phone.
FOLDED = {
    "ao": "aa",
    "ax": "ah",
    "ax-h": "ah",
    "axr": "er",
    "hv": "hh",
    "ix": "ih",
    "el": "l",
    "em": "m",
    "en": "n",
    "nx": "n",
    "eng": "ng",
    "zh": "sh",
    "ux": "uw",
    **dict.fromkeys("pcl tcl kcl bcl dcl gcl h# pau epi".split(), "sil"),
    "q": "",
}
#: The 39 classes.
CLASSES = frozenset(
    """aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh
    sil t th uh uw v w y z""".split()
)
