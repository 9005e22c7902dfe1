"""One file per corpus: original folder layout in, manifests out."""
