"""Pictures of audio: its spectrogram, hidden states, attention, predictions."""
