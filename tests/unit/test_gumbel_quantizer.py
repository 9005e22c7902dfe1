import numpy
import pytest
import torch

from s3prl_sb.lobes.pretext.gumbel import gumbel_noise
from s3prl_sb.lobes.pretext.gumbel_quantizer import GumbelQuantizer, perplexity

FRAMES = 4000


def quantizer(**options):
    torch.manual_seed(0)
    return GumbelQuantizer(4, **{"groups": 2, "entries": 5, "code_size": 6, **options})


def noise(frames, seed=0):
    random = numpy.random.default_rng(seed)
    return gumbel_noise([random], [frames], 10).view(frames, 2, 5)


def test_evaluation_chooses_the_most_probable_codewords():
    module, x = quantizer().eval(), torch.randn(30, 4)
    result = module(x)
    chosen = module.logits(x).view(30, 2, 5).argmax(-1)
    words = [module.codewords[group][chosen[:, group]] for group in (0, 1)]
    torch.testing.assert_close(result.vectors, torch.cat(words, 1))
    assert torch.equal(result.codes, chosen[:, 0] + 5 * chosen[:, 1])
    assert torch.equal(result.probabilities.argmax(-1), chosen)
    assert set(result.probabilities.unique().tolist()) == {0, 1}


def test_training_chooses_as_often_as_probable():
    module = quantizer(entries=5).train()
    x = torch.randn(1, 4).mul(0.3).expand(FRAMES, 4)
    result = module(x, noise(FRAMES))
    expected = module.logits(x[0]).view(2, 5).softmax(-1)
    often = torch.bincount(result.codes % 5, minlength=5) / FRAMES
    torch.testing.assert_close(often, expected[0], atol=0.03, rtol=0)
    torch.testing.assert_close(result.probabilities[0], expected)


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_gradient_is_that_of_the_soft_choice(temperature):
    module, x = quantizer().train(), torch.randn(20, 4)
    module.temperature = temperature
    weights = torch.randn(20, 6)
    (module(x, noise(20)).vectors * weights).sum().backward()
    logits = module.logits(x).view(20, 2, 5)
    soft = ((logits + noise(20)) / temperature).softmax(-1)
    vectors = torch.einsum("fge,ged->fgd", soft, module.codewords).flatten(1)
    (expected,) = torch.autograd.grad((vectors * weights).sum(), module.logits.weight)
    torch.testing.assert_close(module.logits.weight.grad, expected)


def test_codewords_have_a_gradient_where_they_are_chosen():
    module = quantizer().train()
    result = module(torch.randn(2, 4), noise(2))
    result.vectors.sum().backward()
    assert module.codewords.grad.any(-1).sum(1).tolist() == [
        len(set((result.codes % 5).tolist())),
        len(set((result.codes // 5).tolist())),
    ]


def test_perplexity_of_equal_and_of_single_codewords():
    single = torch.eye(5)[:1].repeat(2, 1).requires_grad_()
    assert perplexity(torch.full((2, 5), 0.2)).item() == pytest.approx(10)
    assert perplexity(single).item() == pytest.approx(2)
    perplexity(single).backward()
    assert single.grad.isfinite().all()


def test_result_is_fp32_under_autocast():
    module = quantizer().eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert module(torch.randn(3, 4)).vectors.dtype == torch.float32


def test_size_is_a_multiple_of_the_groups():
    with pytest.raises(ValueError, match="multiple of 2 groups"):
        quantizer(code_size=5)
