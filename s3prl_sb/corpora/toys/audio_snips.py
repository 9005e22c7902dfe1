"""Toy Audio SNIPS: requests of its seven intents with 34 of its 39 slots.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import re
from collections import Counter

from s3prl_sb.corpora.audio_snips import SLOTS_FILE, SPEAKERS, TEXT_FILE
from s3prl_sb.corpora.toys import making

WOMEN = "Aditi Amy Emma Ivy Joanna Kendra Kimberly Nicole Raveena Salli".split()

REQUESTS = {
    "AddToPlaylist": "add {artist} to {owner} {playlist} playlist|put this {item} on "
    "my {playlist} list|add the {item} {entity} to {playlist}",
    "BookRestaurant": "book a {kind} in {city} for {number}|find a {cuisine} {kind} "
    "{near} {poi}|reserve a table for {number} at {restaurant} , {when}|book a {sort} "
    "{kind} with {facility} in {country}",
    "GetWeather": "will it be {weather} in {city} {when}|what is the weather {near} "
    "{park}|is it {temperature} {here}",
    "PlayMusic": "play {artist} on {service}|play the {item} {track}|play {genre} from "
    "{year} on {service}|play the {sort} album of {artist}",
    "RateBook": "give {title} {rating} {unit}|rate {select} {book} {rating} out of "
    "{best}|rate {title} {rating} {unit} of {best}",
    "SearchCreativeWork": "find the {work} {title}|show me the {work} called {title}|"
    "where can i get {title}",
    "SearchScreeningEvent": "when is {movie} playing|find {kind_of_movie} at "
    "{cinema} {when}|is {movie} showing at the {cinema_kind} {near}",
}
SLOTS = {  # names in the requests to the slot and its values
    "artist": ("artist", "the who|madonna|bob marley|nina simone|oasis"),
    "owner": ("playlist_owner", "my|emma's"),
    "playlist": ("playlist", "summer hits|road trip|jazz classics|morning coffee"),
    "item": ("music_item", "song|album|track"),
    "entity": ("entity_name", "silver moon|the long way home|strangers"),
    "kind": ("restaurant_type", "restaurant|bakery|pub"),
    "city": ("city", "london|new york|paris|chicago"),
    "number": ("party_size_number", "two|four|seven"),
    "cuisine": ("cuisine", "french|thai|mexican"),
    "near": ("spatial_relation", "near|close to|far from"),
    "poi": ("poi", "the station|my office|brooklyn bridge"),
    "restaurant": ("restaurant_name", "little italy|the blue door"),
    "when": ("timeRange", "tomorrow|on monday|next week|at noon"),
    "sort": ("sort", "popular|top rated|newest"),
    "facility": ("facility", "parking|a smoking room"),
    "country": ("country", "spain|japan|canada"),
    "weather": ("condition_description", "sunny|raining|foggy"),
    "park": ("geographic_poi", "yosemite park|hudson valley"),
    "temperature": ("condition_temperature", "cold|hot|freezing"),
    "here": ("current_location", "here|in my area"),
    "service": ("service", "spotify|youtube|deezer"),
    "track": ("track", "yesterday|blue train|rain song"),
    "genre": ("genre", "rock|folk|techno"),
    "year": ("year", "nineteen seventy|two thousand nine"),
    "title": ("object_name", "the old house|winter garden|a simple life"),
    "rating": ("rating_value", "one|three|five"),
    "unit": ("rating_unit", "stars|points"),
    "select": ("object_select", "this|the current"),
    "book": ("object_type", "book|novel"),
    "best": ("best_rating", "six|ten"),
    "work": ("object_type", "book|movie|painting"),
    "movie": ("movie_name", "the last train|night flight|island of dogs"),
    "kind_of_movie": ("movie_type", "animated movies|films"),
    "cinema": ("location_name", "city cinemas|the grand theatre"),
    "cinema_kind": ("object_location_type", "cinema|movie house"),
}


@making.toy
def audio_snips(destination, train=160, valid=20, test=20, speakers=8, seed=0):
    """Speaks every request of a split with all voices of the split.

    Arguments
    ---------
    destination : str
        Folder to make, with ``train``, ``valid``, ``test`` and the texts.
    train, valid, test : int
        Number of requests of each split; no request is in two splits.
    speakers : int
        Number of SUPERB's 8 training voices; validation and test have half as many.
        All are American, as there are too few requests to learn accents.

    Returns
    -------
    pathlib.Path
    """
    counts = dict(zip(SPEAKERS, (train, valid, test)))
    if min(counts.values()) < 1 or sum(counts.values()) > 400:
        raise ValueError("at least 1 request in each split, and at most 400 in all")
    if not 1 <= speakers <= 8:
        raise ValueError(f"there are 1 to 8 voices to train on, not {speakers}")
    made = requests(sum(counts.values()), seed)
    voices, jobs, lines, slots = voices_by_name(seed), [], [], Counter()
    for split, count in counts.items():
        for number in range(count):
            intent, words, tags = next(made)
            slots.update(tag for tag in tags if tag != "O")
            spoken_by = speakers if split == "train" else (speakers + 1) // 2
            for speaker in SPEAKERS[split][:spoken_by]:
                name = f"{speaker}-snips-{split}-{number}"
                jobs.append((split, name, voices[speaker], " ".join(words)))
                text = " ".join(["BOS", *words, "EOS"]).upper()
                lines.append(f"{name} {text}\t{' '.join(['O', *tags, intent])}")

    def clips():
        for split, name, voice, text in jobs:
            rng = making.random_generator(seed, name)
            samples = voice.speak(text).trimmed(margin=0.1)
            samples = making.recorded(samples, rng, (25, 45), (-12, -3), "pink_noise")
            yield f"{split}/{name}.wav", samples

    making.write_clips(destination, clips(), len(jobs))
    making.write_lines(destination / TEXT_FILE, lines)
    names = [slot for slot, _ in slots.most_common()]
    making.write_lines(destination / SLOTS_FILE, ["O", *names])


def requests(count, seed):
    """Yields different requests: intent, words, and a tag for each word."""
    rng, seen = making.random_generator(seed, "requests"), set()
    # Cycle through the requests, so that every split has as many slots as possible
    templates = [(i, t) for i, ts in REQUESTS.items() for t in ts.split("|")]
    order = rng.permutation(len(templates))
    turns = itertools.cycle(order)
    while len(seen) < count:
        intent, template = templates[next(turns)]
        words, tags = [], []
        for piece in re.findall(r"\{\w+\}|[^ ]+", template):
            slot, values = SLOTS[piece.strip("{}")] if "{" in piece else ("O", piece)
            value = str(rng.choice(values.split("|"))).split()
            words += value
            tags += [slot] * len(value)
        if tuple(words) not in seen:
            seen.add(tuple(words))
            yield intent, words, tags


def voices_by_name(seed):
    """Returns a voice of the right gender for each name."""
    voices, chosen = list(making.plain_voices(60, seed)), {}
    for names in SPEAKERS.values():
        for name in names:
            gender = "f" if name in WOMEN else "m"
            chosen[name] = next(voice for voice in voices if voice.gender == gender)
            voices.remove(chosen[name])
    return chosen
