"""Counter-based dropout: the same masks alone, packed and resumed, and masks as dropout's should be."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from workers.dropout import KINDS, CountedDropout, counted, drawing

ROWS = [(1, 7), (1, 8), (2, 7), (1, 7)]
"""(seed, step) of a pack's trials; the last shares the first's."""


def masks(layer: nn.Module, *, seed: int = 1, step: int = 0, shape: tuple[int, ...] = (1000, 64)) -> Tensor:
    """What is kept, as booleans."""
    with drawing([seed], [step]):
        kept: Tensor = layer(torch.ones(shape)) != 0
    return kept


def network(seed: int = 0) -> nn.Module:
    """Dropout on the input, on channels and inside."""
    torch.manual_seed(seed)
    return counted(
        nn.Sequential(
            nn.Dropout(0.2), nn.Unflatten(1, (4, 4)), nn.Dropout1d(0.3), nn.Flatten(), nn.Linear(16, 32), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(32, 1),
        )
    )  # fmt: skip


@pytest.mark.parametrize("p", [0.0625, 0.1, 0.5, 0.9])
def test_the_keep_rate(p: float) -> None:
    """Of 640,000 elements as many are kept as the binomial distribution allows (p above 0.001)."""
    kept = masks(counted(nn.Dropout(p)), shape=(640_000,))

    assert stats.binomtest(int(kept.sum()), kept.numel(), 1 - p).pvalue > 1e-3


def test_the_mean_stays() -> None:
    """What is kept is scaled by the probability that is drawn with: to the nearest 1/65536."""
    with drawing([1], [0]):
        dropped = counted(nn.Dropout(1 / 3))(torch.ones(100, dtype=torch.float64))

    assert set(dropped.tolist()) == {0.0, 65536 / 43691}


@pytest.mark.parametrize("difference", ["seed", "step", "layer", "element"])
def test_masks_are_independent(difference: str) -> None:
    """Two masks of another seed, step or layer, or of neighbouring elements, agree as by chance (chi-square)."""
    first, second = list(counted(nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))))
    here = masks(first)
    there = {
        "seed": lambda: masks(first, seed=2),
        "step": lambda: masks(first, step=1),
        "layer": lambda: masks(second),
        "element": lambda: here.roll(1),
    }[difference]()

    table = [[int((here.eq(a) & there.eq(b)).sum()) for b in (False, True)] for a in (False, True)]

    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_many_masks_are_independent_of_one_another() -> None:
    """Over 64 pairs of neighbouring seeds, steps and layers the p-values of the chi-square test are uniform."""
    layers = list(counted(nn.Sequential(*(nn.Dropout(0.5) for _ in range(4)))))
    drawn = [masks(layers[place % 4], seed=place // 16, step=place // 4 % 4) for place in range(65)]

    values = [
        stats.chi2_contingency([[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]])
        for a, b in itertools.pairwise(drawn)
    ]

    assert stats.kstest([value.pvalue for value in values], "uniform").pvalue > 1e-3


def test_evaluation_is_without_dropout() -> None:
    """In evaluation mode, and with p = 0, a layer returns its very input and needs nobody's row."""
    x = torch.randn(8, 4)

    assert counted(nn.Dropout(0.5).eval())(x) is x
    assert counted(nn.Dropout(0.0))(x) is x


def test_everything_is_dropped() -> None:
    """With p = 1 nothing is left, and the gradient is zero rather than no number."""
    x = torch.randn(8, 4, requires_grad=True)
    with drawing([1], [0]):
        dropped = counted(nn.Dropout(1.0))(x)

    dropped.sum().backward()

    assert dropped.abs().sum() == 0
    assert x.grad is not None
    assert x.grad.abs().sum() == 0


@pytest.mark.parametrize(
    ("kind", "shape", "drawn"),
    [
        (nn.Dropout1d, (40, 30, 5), (40, 30, 1)),
        (nn.Dropout1d, (900, 5), (900, 1)),
        (nn.Dropout2d, (40, 30, 2, 3), (40, 30, 1, 1)),
        (nn.Dropout3d, (40, 30, 2, 3, 2), (40, 30, 1, 1, 1)),
        (nn.Dropout3d, (900, 2, 3, 2), (900, 1, 1, 1)),
        (nn.FeatureAlphaDropout, (40, 30, 5), (40, 30, 1)),
    ],
)
def test_whole_channels(kind: type[nn.Module], shape: tuple[int, ...], drawn: tuple[int, ...]) -> None:
    """A channel is dropped or kept as a whole, channels independently of one another."""
    with drawing([1], [0]):
        result = counted(kind(0.5))(torch.ones(shape))

    first = result[tuple(slice(0, size) for size in drawn)]
    assert torch.equal(result, first.expand(shape))
    assert 0.4 < (first == first.max()).float().mean() < 0.6


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p: float) -> None:
    """On standard normal numbers the mean stays 0 and the variance 1, as with torch's own."""
    torch.manual_seed(0)
    x = torch.randn(200_000)
    with drawing([1], [0]):
        ours = counted(nn.AlphaDropout(p))(x)
    torchs = nn.AlphaDropout(p)(x)

    assert abs(ours.mean()) < 0.01
    assert abs(ours.var() - 1) < 0.02
    assert ours.min() == pytest.approx(torchs.min().item(), abs=0.2)


def test_names_and_numbers_of_layers() -> None:
    """Parameters keep their names, a layer that stands in two places stays one, and doing it twice changes nothing."""
    shared = nn.Dropout(0.5)
    model = nn.ModuleDict({"a": shared, "b": nn.Linear(2, 2), "c": shared, "d": nn.Sequential(nn.Dropout2d(0.1))})
    names = list(model.state_dict())

    once = counted(counted(model))

    assert list(once.state_dict()) == names
    assert once["a"] is once["c"]
    assert [layer.layer for layer in once.modules() if isinstance(layer, CountedDropout)] == [0, 1]


def test_a_layer_of_ones_own_is_left_alone() -> None:
    """A subclass of torch's dropout may do something else: it is not replaced."""

    class Mine(nn.Dropout):
        pass

    model = counted(nn.Sequential(Mine(0.5)))

    assert type(model[0]) is Mine


def test_a_layer_that_is_used_twice_draws_twice() -> None:
    """Within one step a layer's second call has a mask of its own; the next step begins anew."""
    layer = counted(nn.Dropout(0.5))
    with drawing([1], [0]):
        first, second = layer(torch.ones(100)), layer(torch.ones(100))
    with drawing([1], [0]):
        again = layer(torch.ones(100))

    assert not torch.equal(first, second)
    assert torch.equal(first, again)


@pytest.mark.parametrize("kind", list(KINDS))
def test_masks_of_a_pack_are_those_of_each_trial_alone(kind: type[nn.Module]) -> None:
    """Under vmap each row's outcome is its trial's own to the last bit, whatever its place and its neighbours."""
    layer = counted(kind(0.4))
    x = torch.randn(len(ROWS), 6, 5, 4, 3, 2)
    alone = []
    for place, (seed, step) in enumerate(ROWS):
        with drawing([seed], [step]):
            alone.append(layer(x[place]))

    for order in itertools.permutations(range(len(ROWS)), 3):
        with drawing(*zip(*(ROWS[place] for place in order), strict=True)):
            packed = vmap(layer)(x[list(order)])
        assert all(torch.equal(row, alone[place]) for row, place in zip(packed, order, strict=True))


@pytest.mark.parametrize("way", ["vmap(grad)", "backward"])
def test_gradients_of_a_pack(way: str) -> None:
    """Both ways to a pack's gradients see each trial's own masks, where the layer's input is shared, too."""
    models = [network(seed) for seed in range(len(ROWS))]
    parameters, buffers = stack_module_state(models)  # type: ignore[arg-type]
    x = torch.randn(5, 16)

    def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return functional_call(models[0], (parameters, buffers), (x,)).square().mean()

    with drawing(*zip(*ROWS, strict=True)):
        if way == "backward":
            vmap(loss)(parameters, buffers).sum().backward()
            gradients = {name: value.grad for name, value in parameters.items()}
        else:
            gradients = vmap(grad(loss))(parameters, buffers)

    for place, (model, (seed, step)) in enumerate(zip(models, ROWS, strict=True)):
        with drawing([seed], [step]):
            model(x).square().mean().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][place], parameter.grad, rtol=1e-5, atol=1e-6)


def test_trials_at_one_step_share_a_draw() -> None:
    """Where all rows have one seed and one step, a pack draws one mask and all use it."""
    layer = counted(nn.Dropout(0.5))

    with drawing([3] * 8, [5] * 8):
        packed = vmap(layer)(torch.ones(8, 100))

    assert (packed == packed[0]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    """The same elements are kept, and what comes out has the type of what went in, scaled before it is rounded."""
    layer = counted(nn.Dropout(0.1))
    x = torch.full((1000,), 3.0, dtype=dtype)
    with drawing([1], [0]):
        dropped = layer(x)

    assert dropped.dtype == dtype
    assert torch.equal(dropped != 0, masks(layer, shape=(1000,)))
    assert dropped.max() == torch.tensor(3.0 * 65536 / 58982, dtype=dtype)


def test_nobody_draws() -> None:
    """Outside `drawing`, or with a row for another number of trials, a layer refuses and says why."""
    layer = counted(nn.Dropout(0.5))

    with pytest.raises(LookupError, match="inside `drawing"):
        layer(torch.ones(3))
    with drawing([1, 2], [0, 0]), pytest.raises(LookupError, match="2 trials draw in a pack of 3"):
        vmap(layer)(torch.ones(3, 4))
    with drawing([1, 2], [0, 0]), pytest.raises(LookupError, match="neither input nor buffers are stacked"):
        layer(torch.ones(3))
