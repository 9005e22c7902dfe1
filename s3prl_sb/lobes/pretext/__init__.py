"""Parts of pre-training objectives: alterations, quantizers, prediction heads."""
