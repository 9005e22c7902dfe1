"""``s3prl-sb heads``: the downstream networks that have a name.

Authors
 * The s3prl_sb developers, 2026
"""

import sys


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "--upstream",
        metavar="CARD",
        default="hubert_base",
        help="upstream that the features come from (default: hubert_base)",
    )
    parser.add_argument(
        "--task", metavar="RECIPE", help="only those that fit a recipe, such as KS"
    )
    parser.add_argument(
        "--num_classes",
        metavar="N",
        type=int,
        help="size of the output (default: the recipe's, or 10)",
    )


def main(arguments):
    """Prints the heads that fit, their numbers of parameters, and their parts."""
    from s3prl_sb.lobes.heads.listing import input_size_of, parameters
    from s3prl_sb.schema.named_heads import KINDS, encoders, named_heads, poolings
    from s3prl_sb.terminal import columns, quantities

    labels, outputs = _task(arguments.task) if arguments.task else (None, None)
    outputs = arguments.num_classes or outputs or 10
    input_size = input_size_of(arguments.upstream)
    rows = [["head", "for", "parameters", "about"]]
    for name, head in named_heads(labels).items():
        kinds = head.kinds if labels is None else [KINDS[labels]]
        numbers = {parameters(head, kind, input_size, outputs) for kind in kinds}
        counts = " or ".join(map(quantities.count, sorted(numbers)))
        rows.append([name, ", ".join(kinds), counts, head.about])
    width = columns.terminal_width(sys.stdout)
    print(columns.as_text(rows, width, ["head", "about", "parameters", "for"]))
    print(f"\nParameters are for {input_size} features and {outputs} outputs.\n")
    parts = [["part", "name", "about"]]
    if labels is None or KINDS[labels] == "utterances":
        parts += [["pooling", *item] for item in poolings().items()]
    parts += [["encoder", *item] for item in encoders().items()]
    print(columns.as_text(parts, width, ["part", "name", "about"]))


def _task(name):
    """Returns the labels of a recipe, and the size of its output if its YAML has it."""
    from s3prl_sb import resources
    from s3prl_sb.commands.run import find
    from s3prl_sb.schema.declarations import KeysError
    from s3prl_sb.schema.keys import Schema
    from s3prl_sb.schema.named_heads import KINDS
    from s3prl_sb.startup.named import labels_of

    recipe = find(name, resources.recipes())
    tree = Schema.of_recipe(recipe).tree
    labels = labels_of(tree)
    if labels.get("are") not in KINDS and "head" in tree:
        raise KeysError(
            f"{recipe} has a network of its own, and no others by name. It takes "
            "arguments: --head '{dropout: 0.2}'."
        )
    if labels.get("are") not in KINDS:
        raise KeysError(f"{recipe} has no head: nothing is trained on the features.")
    return labels["are"], tree.get(labels.get("size"))
