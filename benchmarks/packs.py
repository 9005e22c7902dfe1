"""Cost of audio in a pack, on disk and behind HTTP, beside files.

> python benchmarks/packs.py FOLDER

The audio of a folder is packed. A table then shows, for files, for the tars, and for
the tars on an HTTP server of this machine: CPU time to know all audio by its content
(of the tars on the server by the index), and to load each utterance once in random
order, in one process. CPU time of the server, which is Python, counts in its row.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "unit"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="folder of audio, searched at any depth")
    parser.add_argument("--shard_size", type=float, default=1e8, help="bytes (1e8)")
    arguments = parser.parse_args()
    from audio_server import AudioServer

    from s3prl_sb.dataio import manifest, packing
    from s3prl_sb.feature_files.sources import records_of

    records = records_of(arguments.folder)
    hours = sum(record["duration"] for record in records.values()) / 3600
    size = sum(Path(record["wav"]).stat().st_size for record in records.values())
    print(f"{len(records)} files, {size / 1e9:.2f} GB, {hours:.2f} h")
    with tempfile.TemporaryDirectory() as folder:
        place, source = Path(folder, "pack"), Path(folder, "all.json")
        manifest.write(records, source)
        os.environ["S3PRL_SB_CACHE"] = os.path.join(folder, "cache")
        table = [
            "| audio | known by content, s | loaded, ms an utterance | requests |",
            "| --- | --- | --- | --- |",
            row("files", records, None),
        ]
        seconds, _ = timed(packing.pack, str(source), str(place), arguments.shard_size)
        print(f"packed in {seconds:.2f} CPU s, {size / 1e6 / seconds:.0f} MB/s\n")
        server = AudioServer()
        try:
            for path in place.iterdir():
                server.files[f"/{path.name}"] = path.read_bytes()
            packed = manifest.read(place / "all.json")
            far = {
                name: {**r, "wav": r["wav"].replace(str(place), server.url)}
                for name, r in packed.items()
            }
            table += [row("tars", packed, None), row("HTTP", far, server)]
            print("\n".join(table))
        finally:
            server.close()


def row(kind, records, server):
    """Returns a line of the table."""
    from s3prl_sb.audio.loading import load_waveform
    from s3prl_sb.identity.content import hash_files

    names = [record["wav"] for record in records.values()]
    known, _ = timed(hash_files, names)
    before = len(server.requests) if server else 0
    random.Random(0).shuffle(names)
    loaded, _ = timed(lambda: [len(load_waveform(name, name)) for name in names])
    loads = len(server.requests) - before if server else 0
    each = 1000 * loaded / len(names)
    return f"| {kind} | {known:.2f} | {each:.2f} | {before} + {loads} |"


def timed(function, *arguments):
    """Returns the CPU seconds of a call, and its result."""
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
