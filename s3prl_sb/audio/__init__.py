"""Audio files and waveforms: names, headers, samples, rates."""
