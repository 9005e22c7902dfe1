"""``s3prl-sb pack``: the audio of manifests in a few tars.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "manifest",
        help="a manifest or table (JSON, CSV, TSV), or a folder of manifests, such as "
        "the save folder of a prepared run",
    )
    parser.add_argument(
        "destination", metavar="DEST", help="folder to make or complete"
    )
    parser.add_argument(
        "--shard_size",
        metavar="SIZE",
        default="1GB",
        help="of a tar, at most (default: 1GB)",
    )
    parser.add_argument(
        "--url",
        metavar="PREFIX",
        help="URL or path under which the manifests name the tars, if DEST will be "
        "copied there: s3://bucket/folder (default: DEST)",
    )


def main(arguments):
    """Makes a pack, and prints its manifests."""
    from s3prl_sb.dataio import packing

    size = packing.size_of(arguments.shard_size)
    source, destination = arguments.manifest, arguments.destination
    for path in packing.pack(source, destination, size, arguments.url).values():
        print(path)
