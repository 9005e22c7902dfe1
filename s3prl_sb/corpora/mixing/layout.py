"""The layout of a scene: who says what when, and which sounds happen when.

Every draw is a function of (seed, split, index) and of a name: the turns do not depend
on the settings of the sounds, nor the sounds on those of the turns.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import numpy as np

from s3prl_sb.corpora.mixing.settings import Settings
from s3prl_sb.corpora.mixing.sounds import SoundSource
from s3prl_sb.corpora.mixing.speech import Speech, SpeechSource
from s3prl_sb.corpora.toys.making import random_generator

FIRST = 1.0  # seconds before which the first turn begins
OVERLAPPING = 0.7  # probability that a turn overlaps, while the share is too small
WITHIN = 0.8  # of a turn that may overlap with the one before
SHORTEST = 0.3  # seconds that must be left for another turn
BREATH = 0.1  # seconds between two turns of one speaker
TRIES = 20  # onsets of a sound that overlaps with another of its label


class Turn(NamedTuple):
    """An utterance in a scene; ``start`` is its first sample there, and ``level`` its
    active level, dB relative to full scale."""

    speaker: str
    start: int
    speech: Speech
    level: float


class Event(NamedTuple):
    """A sound in a scene; ``start`` is its first sample there, and ``snr`` the level of
    active speech above its own, dB."""

    label: str
    start: int
    samples: np.ndarray
    snr: float


class Layout(NamedTuple):
    """The content of a scene of ``samples`` samples; ``level`` is that of active speech
    (dB relative to full scale), ``background`` dB below it."""

    samples: int
    level: float
    background: float
    turns: list[Turn]
    events: list[Event]


def lay_out(
    settings: Settings,
    speech: SpeechSource | None,
    sounds: SoundSource | None,
    split: str,
    index: int,
) -> Layout:
    """Draws the layout of a scene.

    Arguments
    ---------
    settings : Settings
        Numbers of the mix.
    speech, sounds : SpeechSource, SoundSource
        Sources; None: the scene has none.
    split : str
        "train", "valid" or "test".
    index : int
        Number of the scene in the split.

    Returns
    -------
    Layout
    """
    rng = random_generator(settings.seed, split, index, "scene")
    samples = round(rng.uniform(*settings.seconds) * settings.rate)
    level = rng.uniform(*settings.level)
    background = rng.uniform(*settings.background)
    turns, events = [], []
    if speech is not None:
        rng = random_generator(settings.seed, split, index, "speech")
        turns = _turns(settings, speech, split, rng, samples / settings.rate, level)
    if sounds is not None:
        rng = random_generator(settings.seed, split, index, "sounds")
        events = _events(settings, sounds, split, rng, samples)
    return Layout(samples, level, background, turns, events)


class _Conversation:
    """Turns in time, of which at most two overlap."""

    def __init__(self, settings, begin):
        self.settings, self.turns = settings, []
        self.tail, self.before = begin, 0.0  # the latest end, and the one before it
        self.ends, self.spoken, self.shared = {}, 0.0, 0.0

    def add(self, speaker, speech, pause, rng):
        """Adds a turn after a pause, or before the end of the turn before it."""
        length = len(speech.samples) / self.settings.rate
        start = self.tail + pause if self.turns else self.tail
        overlap = self._overlap(speaker, length, rng)
        if overlap > 0:
            start = max(
                self.tail - overlap, self.before, self.ends.get(speaker, 0) + BREATH
            )
            self.shared += max(0, min(self.tail, start + length) - start)
        first = round(start * self.settings.rate)
        self.turns.append(Turn(speaker, first, speech, 0.0))
        self.spoken += length
        end = self.ends[speaker] = start + length
        self.before = max(self.before, min(self.tail, end))
        self.tail = max(self.tail, end)

    def _overlap(self, speaker, length, rng):
        """Returns the seconds by which a turn should begin before the end."""
        coin, part = rng.random(), rng.uniform(0.5, 1.5)
        if not self.turns or self.turns[-1].speaker == speaker or coin >= OVERLAPPING:
            return 0.0
        share = self.settings.overlap / (1 + self.settings.overlap)
        wanted = max(0.0, share * (self.spoken + length) - self.shared)
        return min(
            wanted * part / OVERLAPPING, WITHIN * min(length, self.tail - self.before)
        )

    def speaker(self, present, rng):
        """Returns who is next: first those who have not spoken."""
        last = self.turns[-1].speaker if self.turns else None
        silent = [person for person in present if person not in self.ends]
        others = [person for person in present if person != last]
        drawn = rng.random()
        choices = silent[:1] or others or present
        return choices[int(drawn * len(choices))]


def _turns(settings, source, split, rng, seconds, level):
    """Returns the turns of a scene in their order."""
    people = source.speakers(split)
    count = int(rng.integers(settings.speakers[0], settings.speakers[1] + 1))
    order = [people[i] for i in rng.permutation(len(people))]
    levels = {p: level + rng.uniform(-1, 1) * settings.spread for p in people}
    turns: list[Turn] = []
    for wanted in range(count, 0, -1):  # fewer, if their utterances are too long
        talk = _converse(settings, source, split, rng, seconds, order, wanted)
        turns = [turn._replace(level=levels[turn.speaker]) for turn in talk.turns]
        if len(talk.ends) == wanted:
            break
    return turns


def _converse(settings, source, split, rng, seconds, people, count):
    """Returns the conversation of the first people who have short enough utterances."""
    present, spare = people[:count], people[count:]
    conversation = _Conversation(settings, rng.uniform(0, FIRST))
    while present:
        speaker = conversation.speaker(present, rng)
        pause = rng.uniform(*settings.pause) if conversation.turns else 0.0
        longest = seconds - conversation.tail - pause
        if longest < SHORTEST:
            break
        # Those who have not spoken yet share the time that is left
        silent = len(set(present) - conversation.ends.keys()) or 1
        speech = source.draw(split, speaker, rng, longest / silent)
        if speech is not None:
            conversation.add(speaker, speech, pause, rng)
            continue
        present.remove(speaker)  # nothing is short enough
        if spare and len(conversation.ends.keys() | present) < count:
            present.append(spare.pop())
    return conversation


def _events(settings, source, split, rng, samples):
    """Returns the sounds of a scene, sorted by start."""
    labels, events = source.labels(split), []
    count = int(rng.integers(settings.events[0], settings.events[1] + 1))
    longest = min(settings.longest_sound, samples / settings.rate)
    for _ in range(count):
        label = labels[int(rng.integers(len(labels)))]
        snr = rng.uniform(*settings.snr)
        sound = source.draw(split, label, rng, longest)[:samples]
        onsets = rng.integers(samples - len(sound) + 1, size=TRIES).tolist()
        gap = round(BREATH * settings.rate)
        for start in onsets:
            if not any(
                other.label == label
                and start < other.start + len(other.samples) + gap
                and other.start < start + len(sound) + gap
                for other in events
            ):
                events.append(Event(label, start, sound, snr))
                break
    return sorted(events, key=lambda event: event.start)
