"""``s3prl-sb check-head``: whether a downstream network keeps the contract.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "head", help="a name, module.Class, or a class in your file: my_heads.py:MyHead"
    )
    parser.add_argument(
        "--input_size",
        metavar="N",
        type=int,
        default=24,
        help="size of the features (default: 24)",
    )
    parser.add_argument(
        "--outputs",
        metavar="ARGUMENT",
        default="num_classes",
        help="argument for the size of the output (default: num_classes)",
    )


def main(arguments):
    """Prints the findings of check_head, for each kind of output of a named head."""
    from s3prl_sb.lobes.heads.check import check_head

    candidates = _candidates(arguments.head)
    for kind, cls, fixed in candidates:
        if len(candidates) > 1:
            print(f"{arguments.head} for {kind}")

        def make(input_size, outputs, cls=cls, fixed=fixed):
            sizes = {"input_size": input_size, arguments.outputs: outputs}
            return cls(**sizes, **fixed)

        for line in check_head(make, kind, arguments.input_size):
            print(f"ok  {line}")


def _candidates(text):
    """Returns the kinds of output, the classes and their arguments."""
    from pkgutil import resolve_name

    from s3prl_sb.schema.named_heads import named_heads, node

    heads = named_heads()
    if text in heads:
        head = heads[text]
        return [
            (kind, resolve_name(getattr(head, kind)), head.arguments)
            for kind in head.kinds
        ]
    if "." not in text:
        node(text)  # raises, with similar names
    return [(None, _class(text), {})]


def _class(text):
    """Returns a class by its file or its module, which may be in this folder."""
    from pathlib import Path
    from pkgutil import resolve_name

    from s3prl_sb import own
    from s3prl_sb.errors import UserError
    from s3prl_sb.schema.declarations import KeysError

    try:
        return resolve_name(own.class_name(text, Path.cwd()))
    except (ImportError, AttributeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise KeysError(
            f"'{text}' is no class: {error}. Give module.Class or FILE.py:Class."
        ) from error
