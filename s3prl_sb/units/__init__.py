"""Units: k-means over features, codes of a corpus, their quality."""
