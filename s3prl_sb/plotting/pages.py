"""A long recording as one HTML file: pictures one below the other, and a player.

The file needs nothing else: sound and pictures are in it, and a few lines of script
move a cursor over them. It is written page by page.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import html
import tempfile
from pathlib import Path
from typing import IO, Any

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.errors import printable
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal import progress

PAGE = 20.0  # seconds of a picture
SHORTEST = 2.0  # seconds; a shorter rest belongs to the page before
SOUND_RATE = 16000  # Hz, of the player
BLOCK = 60.0  # seconds of sound that are read at a time
CODED = 3 << 18  # bytes that are encoded at a time, a multiple of 3

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ margin: 0 auto; max-width: 1400px; font: 15px sans-serif; background: #fff }}
header {{ position: sticky; top: 0; z-index: 1; background: #fff; padding: 8px;
  border-bottom: 1px solid #ccc }}
audio {{ width: 100% }}
.page {{ position: relative; margin: 12px 0; cursor: pointer;
  scroll-margin-top: 110px }}
.page img {{ width: 100%; display: block }}
.cursor {{ position: absolute; top: 0; bottom: 0; width: 2px; background: #b04a3a;
  display: none; pointer-events: none }}
</style></head><body><header><b>{title}</b>
<span>Click into a picture to listen from there.</span>
"""
PICTURE = (
    '<div class="page" data-start="{start}" data-stop="{stop}" data-end="{end}" '
    'data-left="{left}" data-width="{width}"><div class="cursor"></div>'
    '<img alt="{start} to {stop} s" src="data:image/png;base64,'
)
SCRIPT = """<script>
const audio = document.querySelector("audio"), first = {first};
const pages = [...document.querySelectorAll(".page")].map(div => ({{div,
  cursor: div.firstElementChild, start: +div.dataset.start, stop: +div.dataset.stop,
  end: +div.dataset.end, left: +div.dataset.left, width: +div.dataset.width}}));
let current = null;
function move() {{
  const now = first + audio.currentTime;
  for (const page of pages) {{
    const here = now >= page.start && now < page.stop;
    page.cursor.style.display = here ? "block" : "none";
    const share = (now - page.start) / (page.end - page.start);
    page.cursor.style.left = 100 * (page.left + share * page.width) + "%";
    if (here && page !== current && !audio.paused) {{
      current = page;
      page.div.scrollIntoView({{block: "nearest", behavior: "smooth"}});
    }}
  }}
  if (!audio.paused) requestAnimationFrame(move);
}}
for (const event of ["play", "seeked", "pause"]) audio.addEventListener(event, move);
for (const page of pages) page.div.addEventListener("click", click => {{
  const box = page.div.getBoundingClientRect();
  const share = ((click.clientX - box.left) / box.width - page.left) / page.width;
  const time = page.start + share * (page.end - page.start);
  audio.currentTime = Math.min(Math.max(time, page.start), page.stop) - first;
  current = page;
  audio.play();
}});
</script></body></html>
"""


def write_pages(
    output: Any, picture: Any, start: float, stop: float, title: str
) -> None:
    """Writes an excerpt of any length as HTML, atomically.

    Arguments
    ---------
    output : str
        File to write.
    picture : s3prl_sb.plotting.picture.Picture
        Picture whose ``sheet(start, stop, axis)`` is asked for each page of 20 s.
    start, stop : float
        Seconds.
    title : str
        Title of the page.
    """
    name = html.escape(printable(title))
    with tempfile.TemporaryDirectory() as folder, Part(output) as part:
        with open(part.path, "w", encoding="utf-8") as file:
            file.write(HEAD.format(title=name))
            sound = Path(folder, "sound.flac")
            write_sound(sound, picture.path, start, stop)
            file.write('<audio controls src="data:audio/flac;base64,')
            encode(sound, file)
            file.write('"></audio></header>\n')
            sound.unlink()
            for first, last in progress.bar(limits(start, stop), desc="pages"):
                end = max(last, min(first + PAGE, first + stop - start))
                png = Path(folder, "page.png")
                sheet = picture.sheet(first, last, end)
                left, width = sheet.save(png, f"{title} · {first:g} to {last:g} s")
                place = {"left": f"{left:.5f}", "width": f"{width:.5f}"}
                times = {"start": f"{first:g}", "stop": f"{last:g}", "end": f"{end:g}"}
                file.write(PICTURE.format(**times, **place))
                encode(png, file)
                file.write('"></div>\n')
            file.write(SCRIPT.format(first=start))
        part.publish()


def limits(start: float, stop: float) -> list[tuple[float, float]]:
    """Returns the limits of the pages.

    Arguments
    ---------
    start, stop : float
        Seconds.

    Returns
    -------
    list of (float, float)

    Example
    -------
    >>> limits(0.0, 41.5)
    [(0.0, 20.0), (20.0, 41.5)]
    """
    count = max(1, int((stop - start - SHORTEST) // PAGE) + 1)
    bounds = [start + PAGE * number for number in range(count)]
    return list(zip(bounds, [*bounds[1:], stop]))


def write_sound(path: Path, wav: Path, start: float, stop: float) -> None:
    """Writes the sound of an excerpt as FLAC, a block at a time.

    Arguments
    ---------
    path : pathlib.Path
        File to write.
    wav : pathlib.Path
        Audio file.
    start, stop : float
        Seconds.
    """
    import soundfile

    with soundfile.SoundFile(path, "w", SOUND_RATE, 1, "PCM_16", format="FLAC") as file:
        first = start
        while first < stop:
            last = min(first + BLOCK, stop)
            sound = load_waveform(wav.stem, str(wav), first, last, SOUND_RATE)
            file.write(sound.clamp(-1, 1).numpy())
            first = last


def encode(path: Path, file: IO[str]) -> None:
    """Writes the content of a file in base64 to an open text file."""
    with open(path, "rb") as content:
        while piece := content.read(CODED):
            file.write(base64.b64encode(piece).decode())
