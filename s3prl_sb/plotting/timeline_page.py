"""A timeline as one HTML file: a spectrogram, a row per speaker and event, a player.

The page scrolls and zooms over recordings of any length. It loads nothing from
elsewhere; labels get into it as data, never as markup.

Authors
 * The s3prl_sb developers, 2026
"""

import html
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.brains.timeline_plot import COLORS, HEADINGS, in_lane, lanes
from s3prl_sb.dataio.timeline import Item, as_json
from s3prl_sb.errors import MissingExtra, printable
from s3prl_sb.plotting import panels
from s3prl_sb.plotting.pages import SOUND_RATE, encode, limits, write_sound
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal import progress

EMBEDDED = 600.0  # seconds of sound that are inside the page; longer ones lie beside it
BESIDE = ".timeline.flac"
COARSE = 4  # frames of 10 ms in a column of the spectrogram of longer ones

STYLE = """
:root { color-scheme: light; --back: #fff; --text: #1b1b1b; --soft: #667;
  --line: #d8dbe0; --row: #f5f6f8; --cursor: #c0392b }
:root[data-theme="dark"] { color-scheme: dark; --back: #15171a; --text: #e6e6e6;
  --soft: #9aa3ad; --line: #33383f; --row: #1d2024; --cursor: #ff7a66 }
* { box-sizing: border-box }
body { margin: 0; font: 14px/1.4 sans-serif; background: var(--back);
  color: var(--text) }
header { position: sticky; top: 0; z-index: 3; background: var(--back);
  border-bottom: 1px solid var(--line); padding: 8px 12px }
header div { display: flex; gap: 8px; align-items: center; flex-wrap: wrap }
h1 { font-size: 16px; margin: 0 auto 0 0; overflow-wrap: anywhere }
audio { width: 100%; height: 36px; margin-top: 6px }
button { font: inherit; min-width: 32px; padding: 2px 8px; cursor: pointer;
  color: inherit; background: var(--row); border: 1px solid var(--line);
  border-radius: 4px }
kbd { border: 1px solid var(--line); border-radius: 3px; padding: 0 4px }
small { color: var(--soft) }
main { display: grid; grid-template-columns: minmax(0, max-content) minmax(0, 1fr) }
#names { padding-top: 130px; max-width: 30vw; border-right: 1px solid var(--line) }
#names div { height: 26px; padding: 0 8px; line-height: 25px; font-size: 12px;
  color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
#view { overflow: auto hidden; outline-offset: -2px }
#track { position: relative; min-width: 100%; cursor: pointer }
#ruler { position: relative; height: 20px; border-bottom: 1px solid var(--line) }
#ruler span { position: absolute; font-size: 11px; color: var(--soft);
  padding-left: 3px; border-left: 1px solid var(--line); height: 100% }
#sound { position: relative; height: 110px; background: #000 }
#sound img { position: absolute; height: 100%; image-rendering: auto }
.row { position: relative; height: 26px; border-bottom: 1px solid var(--line) }
.row:nth-child(odd), #names div:nth-child(odd) { background: var(--row) }
.item { position: absolute; top: 3px; bottom: 3px; min-width: 2px; padding: 0 2px;
  overflow: hidden; white-space: nowrap; font-size: 12px; line-height: 20px;
  border-radius: 3px; color: #fff }
.item.word { color: inherit; background: none; border: 1px solid }
.now { outline: 2px solid var(--cursor) }
#cursor { position: absolute; top: 0; bottom: 0; width: 2px; z-index: 1;
  background: var(--cursor); pointer-events: none }
#lines { padding: 8px 12px; max-width: 75em; margin: 0; list-style: none }
#lines li { padding: 1px 4px; cursor: pointer; overflow-wrap: anywhere }
#lines li:hover { background: var(--row) }
#lines .event { font-style: italic; color: var(--soft) }
time { font-variant-numeric: tabular-nums; color: var(--soft); margin-right: 8px }
"""

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body>
<header><div><h1>{title}</h1><output id="clock">0:00.0</output>
<button id="out" aria-label="zoom out">−</button>
<button id="in" aria-label="zoom in">+</button>
<button id="theme" aria-label="dark or light">◐</button></div>
<audio id="audio" controls preload="metadata" src="{start}"""

BODY = """"></audio>
<small><kbd>space</kbd> play · <kbd>←</kbd> <kbd>→</kbd> 1 s, with <kbd>shift</kbd> 10 s
· <kbd>p</kbd> <kbd>n</kbd> previous, next · <kbd>+</kbd> <kbd>−</kbd> zoom ·
<kbd>d</kbd> dark · click to listen</small></header>
<main><div id="names"></div><div id="view" tabindex="0" aria-label="timeline">
<div id="track"><div id="ruler"></div><div id="sound">"""

SCRIPT = """
const data = JSON.parse(document.getElementById("data").textContent);
const [audio, names, view, track, ruler, clock, list] =
  ["audio", "names", "view", "track", "ruler", "clock", "lines"].map(id =>
    document.getElementById(id));
const shown = [], percent = seconds => 100 * seconds / data.duration + "%";
let scale = Math.max(100, view.clientWidth / data.duration);

function make(parent, tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}
function stamp(seconds) {
  const tenths = Math.round(10 * seconds), whole = Math.floor(tenths / 10);
  const [hour, minute] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const second = String(whole % 60).padStart(2, "0") + "." + tenths % 10;
  return hour ? hour + ":" + String(minute).padStart(2, "0") + ":" + second
    : minute + ":" + second;
}
for (const row of data.rows) {
  const line = make(track, "div", "row");
  make(names, "div", "", row.name).title = row.name;
  for (const item of row.items) {
    const box = make(line, "div", "item " + item.type,
      item.type === "speaker" ? "" : item.label);
    box.style.left = percent(item.start);
    box.style.width = percent(item.stop - item.start);
    box.style[item.type === "word" ? "borderColor" : "background"] = row.color;
    box.title = [item.speaker, item.label].filter(Boolean).join(": ") + "\\n" +
      stamp(item.start) + " to " + stamp(item.stop) +
      (item.score === undefined ? "" : "\\nscore " + item.score);
    shown.push({...item, box});
  }
}
shown.sort((a, b) => a.start - b.start);
const cursor = make(track, "div");
cursor.id = "cursor";

function zoom(factor) {
  const middle = view.scrollLeft + view.clientWidth / 2, before = scale;
  const least = view.clientWidth / data.duration;
  scale = Math.min(Math.max(scale * factor, least), 2000);
  track.style.width = scale * data.duration + "px";
  view.scrollLeft = middle * scale / before - view.clientWidth / 2;
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600];
  const step = steps.find(each => each * scale >= 70) || 1800;
  ruler.replaceChildren();
  for (let n = 0; n * step < data.duration; n++)
    make(ruler, "span", "", stamp(n * step)).style.left = percent(n * step);
}
function move(follow) {
  const now = audio.currentTime, place = now * scale;
  clock.textContent = stamp(now) + " / " + stamp(data.duration);
  cursor.style.left = percent(now);
  for (const item of shown) {
    const here = now >= item.start && now < item.stop;
    if (here !== item.here) item.box.classList.toggle("now", item.here = here);
  }
  if (follow && (place < view.scrollLeft ||
      place > view.scrollLeft + 0.9 * view.clientWidth))
    view.scrollLeft = place - 0.1 * view.clientWidth;
}
function seek(seconds, play) {
  audio.currentTime = Math.min(Math.max(seconds, 0), data.duration);
  if (play) audio.play();
  move(true);
}
function step() {
  move(true);
  if (!audio.paused) requestAnimationFrame(step);
}
audio.addEventListener("play", step);
for (const event of ["seeked", "pause"])
  audio.addEventListener(event, () => move(true));
track.addEventListener("click", click => {
  const box = track.getBoundingClientRect();
  seek((click.clientX - box.left) / box.width * data.duration, true);
});

const turns = [], latest = new Map();
for (const item of shown) {
  if (item.type === "speaker") continue;
  const last = item.type === "word" ? latest.get(item.speaker) : undefined;
  if (last && item.start - last.stop < 0.5) {
    last.text += " " + item.label;
    last.stop = item.stop;
    continue;
  }
  turns.push({...item, text: item.label});
  if (item.type === "word") latest.set(item.speaker, turns[turns.length - 1]);
}
for (const turn of turns) {
  const line = make(list, "li", turn.type);
  make(line, "time", "", stamp(turn.start));
  make(line, "span", "", (turn.speaker ? turn.speaker + ": " : "") + turn.text);
  line.addEventListener("click", () => seek(turn.start, true));
}

function dark(is) { document.documentElement.dataset.theme = is ? "dark" : "light"; }
const isDark = () => document.documentElement.dataset.theme === "dark";
dark(matchMedia("(prefers-color-scheme: dark)").matches);
function next(direction) {
  const now = audio.currentTime, starts = shown.map(item => item.start);
  const found = direction > 0 ? starts.find(start => start > now + 0.01)
    : starts.reverse().find(start => start < now - 0.3);
  seek(found === undefined ? (direction > 0 ? data.duration : 0) : found);
}
const keys = {
  " ": () => audio.paused ? audio.play() : audio.pause(),
  ArrowLeft: shift => seek(audio.currentTime - (shift ? 10 : 1)),
  ArrowRight: shift => seek(audio.currentTime + (shift ? 10 : 1)),
  Home: () => seek(0), End: () => seek(data.duration),
  n: () => next(1), p: () => next(-1), d: () => dark(!isDark()),
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
};
addEventListener("keydown", event => {
  const act = keys[event.key];
  const inside = event.target.closest?.("button, audio");
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  if (inside && [" ", "ArrowLeft", "ArrowRight"].includes(event.key)) return;
  event.preventDefault();
  act(event.shiftKey);
});
document.getElementById("in").addEventListener("click", () => zoom(1.5));
document.getElementById("out").addEventListener("click", () => zoom(1 / 1.5));
document.getElementById("theme").addEventListener("click", keys.d);
addEventListener("resize", () => zoom(1));
zoom(1);
move();
"""


def write_timeline_page(
    output: str | Path, wav: str | Path, items: Sequence[Item], title: str = ""
) -> None:
    """Writes the timeline of an audio file as a page, atomically.

    Arguments
    ---------
    output : str
        HTML file to write. The sound of a file of more than 10 minutes is written
        beside it, with the ending ``.timeline.flac``; a shorter one is inside.
    wav : str
        wav, flac, ogg or mp3.
    items : list of Item
        Its timeline.
    title : str
        Title of the page. Default: the name of the file.

    Raises
    ------
    MissingExtra
        Without matplotlib, which colors the spectrogram.
    """
    output, wav = Path(output), Path(wav)
    rate, samples, _ = audio_info(str(wav))
    duration = samples / rate
    name = html.escape(printable(title or wav.name))
    with tempfile.TemporaryDirectory() as folder, Part(output) as part:
        with open(part.path, "w", encoding="utf-8") as file:
            is_inside = duration <= EMBEDDED
            start = "data:audio/flac;base64," if is_inside else ""
            file.write(HEAD.format(title=name, style=STYLE, start=start))
            sound = Path(folder, "sound.flac")
            if is_inside:
                write_sound(sound, wav, 0.0, duration)
                encode(sound, file)
                sound.unlink()
            else:
                # Not .flac alone, which may be the audio file itself
                beside = output.with_suffix(BESIDE)
                with Part(beside) as other:
                    write_sound(other.path, wav, 0.0, duration)
                    other.publish()
                file.write(quote(beside.name))
            file.write(BODY)
            _write_spectrogram(file, wav, duration, Path(folder, "strip.png"))
            file.write('</div></div></div></main><ul id="lines"></ul>')
            file.write('<script type="application/json" id="data">')
            file.write(as_data({"duration": duration, "rows": rows_of(items)}))
            file.write(f"</script><script>{SCRIPT}</script></body></html>\n")
        part.publish()


def rows_of(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Returns the rows of the page.

    Arguments
    ---------
    items : list of Item
        A timeline.

    Returns
    -------
    list of dict
        ``name``, ``color`` and ``items`` (JSON values) of each row. A speaker and its
        words have the same color.

    Example
    -------
    >>> rows = rows_of([Item("word", "hi", 0.0, 1.0, "ann")])
    >>> [(row["name"], len(row["items"])) for row in rows]
    [('words of ann', 1)]
    """
    found = lanes(items)
    people = list(dict.fromkeys(name for kind, name in found if kind != "event"))
    colors = dict(zip(people, COLORS * len(people)))
    return [
        {
            "name": HEADINGS[kind] + (name or "unknown"),
            "color": "#5b6b7b" if kind == "event" else colors[name],
            "items": [as_json(item) for item in in_lane(items, (kind, name))],
        }
        for kind, name in found
    ]


def as_data(values: Any) -> str:
    """Returns JSON that cannot end the script element that it is in.

    Example
    -------
    >>> as_data("</script>")
    '"\\\\u003c/script>"'
    """
    return json.dumps(values).replace("<", "\\u003c")


def _write_spectrogram(file, wav, duration, path):
    """Writes log-mel spectrograms side by side, all with the same colors."""
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise MissingExtra(
            "Pictures need matplotlib: pip install 's3prl_sb[plots]'"
        ) from error

    pooled = torch.nn.MaxPool1d(1 if duration <= EMBEDDED else COARSE, ceil_mode=True)
    spans = limits(0.0, duration)
    strips = []
    for first, last in progress.bar(spans, desc="spectrogram"):
        sound = load_waveform(wav.stem, str(wav), first, last, SOUND_RATE)
        strips.append(pooled(panels.log_mel(sound, SOUND_RATE)).half())
    top = max(float(strip.max()) for strip in strips)
    scale = {"cmap": "magma", "origin": "lower", "format": "png"}
    scale |= {"vmin": top - panels.RANGE, "vmax": top}
    for (first, last), strip in zip(spans, strips):
        imsave(path, strip.float().numpy(), **scale)
        left, width = 100 * first / duration, 100 * (last - first) / duration
        place = f"left:{left:.5f}%;width:{width:.5f}%"
        file.write(f'<img alt="" style="{place}" src="data:image/png;base64,')
        encode(path, file)
        file.write('">')
