"""A small wav2vec or vq-wav2vec in fairseq's layout, and the formulas."""

import torch
import torch.nn.functional as F
from tensors import noise

FRONT_END = "[(12, 10, 5)] + [(12, 8, 4)] + [(16, 4, 8)]"
AGGREGATOR = "[(16, 2, 1), (20, 3, 1), (20, 4, 1)]"
FRONT_LAYERS = [(12, 10, 5), (12, 8, 4), (16, 4, 8)]
LAYERS = [(16, 2), (20, 3), (20, 4)]
#: Of the quantizer: channels, codes, groups.
SIZE, COUNT, GROUPS = 16, 9, 2
PART = SIZE // GROUPS


def fairseq_model(**options):
    """Options and random weights of a small wav2vec, in fairseq's layout."""
    model = {
        "_name": "wav2vec",
        "conv_feature_layers": FRONT_END,
        "conv_aggregator_layers": AGGREGATOR,
        "activation": "relu",
        "infonce": True,
        **options,
    }
    weights, channels = {}, 1
    affine = not model.get("non_affine_group_norm")
    for i, (size, kernel, _) in enumerate(FRONT_LAYERS):
        name = f"feature_extractor.conv_layers.{i}."
        weights[name + "0.weight"] = 3 * noise(size, channels, kernel, seed=i)
        if affine:
            weights[name + "2.weight"] = 1 + noise(size, seed=10 + i)
            weights[name + "2.bias"] = noise(size, seed=20 + i)
        channels = size
    for i, (size, kernel) in enumerate(LAYERS):
        name = f"feature_aggregator.conv_layers.{i}."
        weights[name + "1.weight"] = 3 * noise(size, channels, kernel, seed=30 + i)
        if not model.get("no_conv_bias"):
            weights[name + "1.bias"] = noise(size, seed=40 + i)
        if affine:
            weights[name + "3.weight"] = 1 + noise(size, seed=50 + i)
            weights[name + "3.bias"] = noise(size, seed=60 + i)
        if size != channels and model.get("skip_connections_agg", True):
            shortcut = f"feature_aggregator.residual_proj.{i}.weight"
            weights[shortcut] = 3 * noise(size, channels, 1, seed=70 + i)
        channels = size
    weights["wav2vec_predictions.project_to_steps.weight"] = noise(20, 16, 1, 12)
    weights["wav2vec_predictions.project_to_steps.bias"] = noise(16)
    return model, weights


def normed(x, weights, name):
    """Over all channels and frames, in double precision."""
    y = x.double()
    y = (y - y.mean()) / (y.var(correction=0) + 1e-5).sqrt()
    if name + "weight" in weights:
        y = y * weights[name + "weight"][:, None] + weights[name + "bias"][:, None]
    return y.float()


def aggregated(x, model, weights):
    """Outputs of the aggregator's layers [frames, size], of [channels, frames]."""
    activation = {"relu": F.relu, "gelu": F.gelu}[model["activation"]]
    states = []
    for i, (size, kernel) in enumerate(LAYERS):
        name = f"feature_aggregator.conv_layers.{i}."
        first = torch.zeros_like if model.get("agg_zero_pad") else torch.clone
        past = first(x[:, :1]).expand(-1, kernel - 1)
        y = F.conv1d(
            torch.cat([past, x], 1)[None],
            weights[name + "1.weight"],
            weights.get(name + "1.bias"),
        )[0]
        y = activation(normed(y, weights, name + "3."))
        if model.get("skip_connections_agg", True):
            shortcut = weights.get(f"feature_aggregator.residual_proj.{i}.weight")
            x = x if shortcut is None else shortcut[:, :, 0] @ x
            y = (y + x) * model.get("residual_scale", 0.5) ** 0.5
        x = y
        states.append(x.T)
    return states


def extracted(wav, model, weights):
    """[samples] -> [channels, frames]."""
    activation = {"relu": F.relu, "gelu": F.gelu}[model["activation"]]
    x = wav[None]
    for i, (size, _, stride) in enumerate(FRONT_LAYERS):
        name = f"feature_extractor.conv_layers.{i}."
        y = F.conv1d(x[None], weights[name + "0.weight"], stride=stride)[0]
        y = activation(normed(y, weights, name + "2."))
        if model.get("skip_connections_feat") and len(x) == size:
            step = x.shape[1] // y.shape[1]
            kept = [step * frame for frame in range(y.shape[1])]
            y = (y + x[:, kept]) * model.get("residual_scale", 0.5) ** 0.5
        x = y
    return (x.abs() + 1).log() if model.get("log_compression", True) else x


def vq_model(kind, combined=True, depth=2):
    """The same as fairseq_model, with a quantizer."""
    model, weights = fairseq_model(
        activation="gelu",
        log_compression=False,
        vq_type=kind,
        vq_vars=COUNT,
        vq_groups=GROUPS,
        vq_depth=depth,
        vq_temp="(2.0, 0.5, 0.999995)",
        combine_groups=combined,
    )
    books, prefix = (1 if combined else GROUPS), "vector_quantizer."
    if kind == "kmeans":
        weights[prefix + "embedding"] = 10 * noise(COUNT, books, PART, seed=1)
        weights[prefix + "projection.0.weight"] = 10 * noise(SIZE, PART, 1, seed=2)
        weights[prefix + "projection.1.weight"] = 1 + noise(SIZE, seed=3)
        weights[prefix + "projection.1.bias"] = noise(SIZE, seed=4)
        return model, weights
    weights[prefix + "vars"] = 10 * noise(1, books * COUNT, PART, seed=1)
    sizes = [SIZE, *[2 * SIZE] * (depth - 1), GROUPS * COUNT]
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        name = "weight_proj." + f"{i}." * (depth > 1) + "0." * (i < depth - 1)
        weights[prefix + name + "weight"] = 10 * noise(b, a, seed=5 + i)
        weights[prefix + name + "bias"] = noise(b, seed=8 + i)
    return model, weights


def searched(x, model, weights):
    """Codes [frames, groups] and vectors [channels, frames], one by one, of
    [channels, frames]."""
    prefix, parts = "vector_quantizer.", []
    if model["vq_type"] == "kmeans":
        for part, rows in zip(
            x.split(PART), weights[prefix + "projection.0.weight"].split(PART)
        ):
            parts.append(normed(rows[:, :, 0] @ part, {}, ""))  # each by itself
        x = torch.cat(parts) * weights[prefix + "projection.1.weight"][:, None]
        x = x + weights[prefix + "projection.1.bias"][:, None]
    else:
        x = x.T
        names = sorted(name for name in weights if prefix + "weight_proj" in name)
        names = [name for name in names if name.endswith("weight")]
        for i, name in enumerate(names):
            bias = weights[name.removesuffix("weight") + "bias"]
            x = x @ weights[name].T + bias
            x = x if i == len(names) - 1 else F.gelu(x)
        x = x.T
    codes, vectors = [], []
    for frame in x.T:
        codes.append([])
        for group, part in enumerate(frame.split(len(x) // GROUPS)):
            book = 0 if model["combine_groups"] else group
            if model["vq_type"] == "kmeans":
                table = weights[prefix + "embedding"][:, book]
                scores = [-(part - row).square().sum().item() for row in table]
            else:
                table = weights[prefix + "vars"][0].split(COUNT)[book]
                scores = part.tolist()
            codes[-1].append(scores.index(max(scores)))
            vectors.append(table[codes[-1][-1]])
    return torch.tensor(codes), torch.stack(vectors).view(len(codes), -1).T
