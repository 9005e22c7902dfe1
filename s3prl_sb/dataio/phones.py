"""English phones: ARPAbet with stress.

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
