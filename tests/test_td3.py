"""TD3 and its losses: against worked numbers, TorchRL's losses and PyTorch's own optimizer."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.data import Bounded
from torchrl.objectives import DDPGLoss, TD3Loss

from rher_pl.errors import ConfigError
from rher_pl.learner import losses
from rher_pl.learner.batches import SUBSET, draw_subsets, random_batches
from rher_pl.learner.engines import changing, trial
from rher_pl.learner.td3 import TD3, TD3Settings
from rher_pl.networks.actor_critic import Actor, Critic, NetworkSizes

SIZES = NetworkSizes(inputs=9, actions=4, hidden_size=32, hidden_layers=2)
PLAIN = TD3Settings(gamma=0.98, policy_noise=0.0, action_l2=0.0)


def make_td3(settings: TD3Settings = PLAIN, **sizes: Any) -> TD3:
    """Targets differ from the networks, and Q lies inside its bounds."""
    torch.manual_seed(0)
    td3 = TD3(replace(SIZES, **sizes), settings)
    with torch.no_grad():
        for network in (td3.target_actor, td3.target_critic):
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        for critic in (td3.critic, td3.target_critic):
            critic.net.layers()[-1][1].sub_(3.0)
    return td3


def make_batches(td3: TD3, updates: int = 1, size: int = 64, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return random_batches(td3.sizes, updates, size, generator)


def make_batch(td3: TD3, size: int = 64) -> dict[str, Tensor]:
    return {name: value[0] for name, value in make_batches(td3, size=size).items()}


# --- losses by hand --------------------------------------------------------------------------


def test_target_is_clipped_double_q_bounded_by_the_possible_returns():
    next_q = torch.tensor([[-2.0, -90.0, 5.0], [-1.0, -80.0, 6.0]])
    reward = torch.tensor([-1.0, -1.0, 0.0])
    alive = torch.zeros(3, dtype=torch.bool)
    target = losses.target_q(reward, alive, next_q, gamma=0.9)
    assert target.tolist() == pytest.approx([-2.8, -10.0, 0.0])
    ended = losses.target_q(reward, ~alive, next_q, gamma=0.9)
    assert ended.tolist() == [-1.0, -1.0, 0.0]


def test_an_unbounded_target_may_leave_the_possible_returns():
    arguments = torch.tensor([-1.0]), torch.tensor([False]), torch.tensor([[-90.0]])
    assert losses.target_q(*arguments, gamma=0.9).item() == pytest.approx(-10.0)
    assert losses.target_q(*arguments, gamma=0.9, bounded=False).item() == pytest.approx(-82.0)


def test_smoothing_noise_and_action_are_clipped():
    action = losses.smoothed_action(torch.tensor([0.9, 0.0]), torch.tensor([3.0, -3.0]), 0.5)
    assert action.tolist() == [1.0, -0.5]


def test_polyak_update_moves_by_tau():
    target, source = torch.zeros(3), torch.ones(3)
    losses.polyak_update([target], [source], 0.25)
    assert target.tolist() == [0.25] * 3


def test_rates_may_be_tensors():
    def results(number: Any) -> list[Tensor]:
        q, action = torch.randn(2, 8).sub(4), torch.rand(8, 3)
        target = torch.zeros(3)
        losses.polyak_update([target], [torch.ones(3)], number(0.25))
        return [
            losses.smoothed_action(action, 2 * torch.randn(8, 3), number(0.3)),
            losses.target_q(q[0], q[0] > -4, 9 * q, number(0.9)),
            losses.actor_loss(q[0], action, number(0.4)),
            target,
        ]

    torch.manual_seed(0)
    floats = results(float)
    torch.manual_seed(0)
    for a, b in zip(floats, results(torch.tensor), strict=True):
        torch.testing.assert_close(a, b)


# --- one update ------------------------------------------------------------------------------


def single(member: int, critic: Critic) -> nn.Module:
    """One member of a critic, written as a network of its own."""

    class Q(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = [(w[member].detach(), b[member].detach()) for w, b in critic.net.layers()]
            self.weights = nn.ParameterList(weight.clone() for weight, _ in layers)
            self.biases = nn.ParameterList(bias.clone() for _, bias in layers)

        def forward(self, inputs: Tensor, action: Tensor) -> Tensor:
            x = torch.cat([inputs, action], dim=-1)
            for weight, bias in list(zip(self.weights, self.biases))[:-1]:
                x = torch.relu(x @ weight + bias)
            return x @ self.weights[-1] + self.biases[-1]

    return TensorDictModule(Q(), ["inputs", "action"], ["state_action_value"])


def oracle(td3: TD3) -> TD3Loss | DDPGLoss:
    """TorchRL's loss on copies of the very same weights."""
    actor = TensorDictModule(copy.deepcopy(td3.actor), ["inputs"], ["action"])
    critics = [single(member, td3.critic) for member in range(td3.critic.members)]
    loss: Any
    if td3.critic.members == 1:
        loss = DDPGLoss(actor, critics[0], loss_function="l2", delay_actor=True, delay_value=True)
        targets = loss.target_value_network_params
    else:
        loss = TD3Loss(
            actor,
            critics,
            action_spec=Bounded(-1.0, 1.0, (SIZES.actions,)),
            policy_noise=0.0,
            loss_function="l2",
            delay_actor=True,
            delay_qvalue=True,
        )
        targets = loss.target_qvalue_network_params
    loss.make_value_estimator(gamma=td3.gamma)
    for layer, values in enumerate(td3.target_critic.net.layers()):
        for name, value in zip(("weights", "biases"), values):
            kept = targets["module", name, str(layer)].data
            kept.copy_(value if td3.critic.members > 1 else value[0])
    weights = {f"module.{k}": v for k, v in td3.target_actor.state_dict().items()}
    loss.target_actor_network_params.data.update_(TensorDict(weights).unflatten_keys("."))
    return loss


def as_torchrl(batch: dict[str, Tensor]) -> TensorDict:
    done = batch["terminated"].unsqueeze(-1)
    following = {"inputs": batch["next_inputs"], "done": done, "terminated": done}
    following["reward"] = batch["reward"].unsqueeze(-1)
    now = {"inputs": batch["inputs"], "action": batch["action"], "next": following}
    return TensorDict(now, batch_size=len(done))


@pytest.mark.parametrize("critics", [1, 2], ids=["ddpg", "td3"])
def test_losses_and_gradients_are_torchrls(critics: int):
    td3 = make_td3(critics=critics)
    batch = make_batch(td3)
    batch["noise"].zero_()
    target = td3.target_q(batch)
    alive = target[~batch["terminated"]]
    assert (alive < 0).all() and (alive > -50).all(), "the bound must not hide a difference"
    loss = oracle(td3)
    theirs = loss(as_torchrl(batch))
    kind = "value" if critics == 1 else "qvalue"
    (theirs["loss_actor"] + theirs[f"loss_{kind}"]).backward()
    actor_loss = td3.update_actor(batch)["actor_loss"]
    critic_loss = td3.update_critic(batch)["critic_loss"]
    assert actor_loss.item() == pytest.approx(theirs["loss_actor"].item(), abs=1e-5)
    assert critic_loss.item() == pytest.approx(theirs[f"loss_{kind}"].item(), abs=1e-5)
    # Of the first gradient g, Adam keeps (1 - beta1) g.
    params = getattr(loss, f"{kind}_network_params")
    for layer, values in enumerate(td3.critic.net.layers()):
        for name, value in zip(("weights", "biases"), values):
            wanted = params["module", name, str(layer)].grad
            found = td3.critic_optimizer.state[value]["exp_avg"] / 0.1
            torch.testing.assert_close(found.view_as(wanted), wanted, rtol=1e-4, atol=1e-6)
    for name, value in td3.actor.named_parameters():
        wanted = loss.actor_network_params[("module", *name.split("."))].grad
        found = td3.actor_optimizer.state[value]["exp_avg"] / 0.1
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_adams_state_and_steps_are_those_of_pytorch():
    """Ours is there from the start; an Adam that makes its own must come to the same bits."""
    td3 = make_td3()
    networks = {"critic": copy.deepcopy(td3.critic), "actor": copy.deepcopy(td3.actor)}
    fresh = {
        name: torch.optim.Adam(network.parameters(), lr=PLAIN.learning_rate, fused=True)
        for name, network in networks.items()
    }
    for seed in range(3):
        ours = {"critic": td3.critic_optimizer, "actor": td3.actor_optimizer}
        for name, optimizer in fresh.items():
            torch.manual_seed(seed)
            for parameter, mine in zip(
                networks[name].parameters(), getattr(td3, name).parameters()
            ):
                parameter.grad = torch.randn_like(parameter)
                mine.grad = parameter.grad.clone()
            optimizer.step()
            ours[name].step()
            expected, found = optimizer.state_dict(), ours[name].state_dict()
            assert expected["param_groups"] == found["param_groups"]
            for index, state in expected["state"].items():
                assert state.keys() == found["state"][index].keys()
                for key, value in state.items():
                    other = found["state"][index][key]
                    assert torch.equal(value, other) and value.dtype == other.dtype
    for a, b in zip(networks["critic"].parameters(), td3.critic.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_update_is_a_critic_step_a_delayed_actor_step_and_two_averages():
    td3 = make_td3(TD3Settings(policy_delay=3, tau=0.25, average_rate=0.5))
    batches = make_batches(td3, updates=6)
    moved = []
    for update in range(6):
        before = copy.deepcopy(td3)
        metrics = td3.learn({name: value[update : update + 1] for name, value in batches.items()})
        assert ("actor_loss" in metrics) == (td3.updates % 3 == 0) == ((update + 1) % 3 == 0)
        moved.append(not torch.equal(td3.actor.net.weight_1, before.actor.net.weight_1))
        for follower, source, rate in (
            ("target_critic", td3.critic, 0.25),
            ("target_actor", td3.actor, 0.25),
            ("averaged_actor", td3.actor, 0.5),
        ):
            old = getattr(before, follower).net.weight_1
            expected = (1 - rate) * old + rate * source.net.weight_1
            torch.testing.assert_close(getattr(td3, follower).net.weight_1, expected)
        assert not torch.equal(td3.critic.net.weight_1, before.critic.net.weight_1)
    assert moved == [False, False, True] * 2
    assert all(p.grad is None for p in td3.parameters()), "another's step must change nothing"


def test_learning_from_many_batches_is_updating_on_each():
    one, other = make_td3(), make_td3()
    batches = make_batches(one, updates=4)
    metrics = one.learn(batches)
    done = [other.update({k: v[u] for k, v in batches.items()}) for u in range(4)]
    assert torch.equal(metrics["critic_loss"], torch.stack([m["critic_loss"] for m in done]))
    assert torch.equal(metrics["q"], torch.cat([m["q"] for m in done], dim=1))
    actor_losses = [m["actor_loss"] for m in done if "actor_loss" in m]
    assert torch.equal(metrics["actor_loss"], torch.stack(actor_losses))
    assert len(actor_losses) == 2
    assert all(map(torch.equal, changing(one), changing(other)))


def test_the_same_seed_gives_the_same_weights_and_copies_start_equal():
    one, other = make_td3(), make_td3()
    assert all(map(torch.equal, changing(one), changing(other)))
    torch.manual_seed(3)
    actor, critic = Actor(SIZES), Critic(SIZES)
    torch.manual_seed(3)
    td3 = TD3(SIZES)
    for network in (td3.actor, td3.target_actor, td3.averaged_actor):
        assert torch.equal(network.net.weight_2, actor.net.weight_2)
    for network in (td3.critic, td3.target_critic):
        assert torch.equal(network.net.weight_2, critic.net.weight_2)


# --- what it is given ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_batches_of_other_floats_are_learned_from_in_float32(dtype: torch.dtype):
    one, other = make_td3(), make_td3()
    given = {
        k: v.to(dtype) if v.is_floating_point() else v for k, v in make_batches(one, 2).items()
    }
    rounded = {k: v.float() if v.is_floating_point() else v for k, v in given.items()}
    metrics = one.learn(given)
    assert {value.dtype for value in metrics.values()} == {torch.float32}
    other.learn(rounded)
    assert all(map(torch.equal, changing(one), changing(other)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward", torch.zeros(1, 64, 1)),
        ("action", torch.zeros(1, 64, 3)),
        ("noise", torch.zeros(1, 63, 4)),
        ("inputs", torch.zeros(64, 9)),
        ("inputs", torch.zeros(0, 64, 9)),
        ("next_inputs", torch.zeros(2, 64, 9)),
        ("terminated", torch.zeros(1, 64)),
        ("terminated", None),
    ],
)
def test_a_batch_of_another_shape_is_refused(name: str, value: Tensor | None):
    td3 = make_td3()
    batches = make_batches(td3)
    if value is None:
        del batches[name]
    else:
        batches[name] = value
    with pytest.raises(ValueError, match=name if name != "inputs" else "inputs|next_inputs"):
        td3.learn(batches)
    assert td3.updates == 0


def test_state_of_another_network_is_refused():
    """Fused Adam walks through parameter and moments side by side and does not check."""
    td3 = make_td3()
    state = td3.critic_optimizer.state_dict()
    td3.critic_optimizer.load_state_dict(copy.deepcopy(td3.actor_optimizer.state_dict()))
    with pytest.raises(ConfigError, match="critic"):
        td3.learn(make_batches(td3))
    td3.critic_optimizer.load_state_dict(state)
    td3.learn(make_batches(td3))


def test_settings_and_rates_are_those_of_the_moment():
    usual, changed = make_td3(), make_td3()
    changed.gamma = 0.5
    batches = make_batches(usual)
    assert not torch.equal(
        usual.learn(batches)["critic_loss"], changed.learn(batches)["critic_loss"]
    )
    for optimizer in (changed.critic_optimizer, changed.actor_optimizer):
        optimizer.param_groups[0]["lr"] = 0.0
    before = [p.clone() for p in changed.critic.parameters()]
    changed.learn(make_batches(changed, 2))
    assert all(map(torch.equal, before, changed.critic.parameters()))


def test_nan_is_seen_in_the_loss():
    td3 = make_td3()
    batches = make_batches(td3, updates=3)
    batches["inputs"][1, 2, 1] = math.nan
    loss = td3.learn(batches)["critic_loss"]
    assert loss[0].isfinite() and loss[1:].isnan().all()


def test_what_is_done_to_the_networks_is_done_to_the_optimizers_state():
    """So that all of it is on a GPU after ``td3.cuda()``; seen here by the type."""
    td3 = make_td3()
    td3.learn(make_batches(td3, 2))
    td3.double()
    moments = [s["exp_avg"] for s in td3.critic_optimizer.state.values()]
    assert {value.dtype for value in (*td3.parameters(), *moments)} == {torch.float64}
    td3.float().learn(make_batches(td3, 2))


# --- precision -------------------------------------------------------------------------------


def test_hidden_layers_in_bfloat16_stay_close_and_heads_in_float32():
    torch.manual_seed(0)
    critic = Critic(NetworkSizes(20, 4, 64, 3))
    inputs, action = torch.randn(256, 20), torch.rand(256, 4)
    exact = critic(inputs, action)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = critic(inputs, action)
    assert reduced.dtype == torch.float32
    assert not torch.equal(reduced, exact)
    assert (reduced - exact).abs().max() < 0.02
    assert len(reduced.unique()) > 500, "a bfloat16 head would give few distinct values"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_trainers_autocast_changes_nothing(dtype: torch.dtype):
    """It would round heads on the way back, and keep weights that an update has changed."""
    one, other = make_td3(), make_td3()
    one.compute_type = other.compute_type = dtype
    batches = make_batches(one, updates=4)
    expected = one.learn(batches)
    with torch.autocast("cpu", torch.bfloat16):
        found = other.learn(batches)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert all(map(torch.equal, changing(one), changing(other)))


def test_updates_in_bfloat16_stay_close_to_those_in_float32():
    """In units of how far 20 updates move the weights."""
    start, exact, reduced = make_td3(), make_td3(), make_td3()
    reduced.compute_type = torch.bfloat16
    batches = make_batches(exact, updates=20)
    exact.learn(batches), reduced.learn(batches)
    for name in ("critic", "actor"):
        a, b, c = (getattr(td3, name).net.weight_1 for td3 in (exact, reduced, start))
        assert 0 < (a - b).norm() < 0.3 * (a - c).norm()


# --- more than two critics, layer norm, stacking -----------------------------------------------


def test_an_ensemble_takes_the_smallest_of_a_random_two():
    td3 = make_td3(critics=5)
    batch = make_batch(td3)
    batch["noise"].zero_()
    following = batch["next_inputs"]
    next_q = td3.target_critic(following, td3.target_actor(following))  # [5, B]
    highest = next_q.mean(1).argsort()[-2:]  # without the one that would be the smallest of all
    batch["subset"] = highest.expand(64, 2)
    bootstrap = 0.98 * (~batch["terminated"]) * next_q[highest].amin(0)
    torch.testing.assert_close(td3.target_q(batch), batch["reward"] + bootstrap)
    of_all = {name: value for name, value in batch.items() if name != "subset"}
    assert not torch.equal(td3.target_q(batch), td3.target_q(of_all))
    mean = td3.critic(batch["inputs"], td3.actor(batch["inputs"])).mean()
    loss = td3.update_actor(batch)["actor_loss"]
    assert loss.item() == pytest.approx(-mean.item())
    with pytest.raises(ValueError, match="subset"):
        td3.learn({k: v for k, v in make_batches(td3).items() if k != "subset"})


def test_subsets_are_different_members_drawn_uniformly_once_for_each_update():
    torch.manual_seed(0)
    drawn = draw_subsets(4, 6_000, 3)
    assert drawn.shape == (6_000, 3, SUBSET)
    assert (drawn == drawn[:, :1]).all(), "one choice for a whole batch"
    first, second = drawn[:, 0].sort(-1).values.unbind(-1)
    assert (first < second).all()
    pairs = (first * 4 + second).bincount(minlength=16)
    assert ((pairs[pairs > 0] / 6_000 - 1 / 6).abs() < 0.03).all() and (pairs > 0).sum() == 6


@pytest.mark.parametrize("layer_norm", [False, True])
def test_stacked_critics_equal_separate_ones(layer_norm: bool):
    torch.manual_seed(0)
    critic = Critic(NetworkSizes(6, 2, 16, 2, critics=3, critic_layer_norm=layer_norm))
    inputs, action = torch.randn(5, 6), torch.randn(5, 2)
    *hidden, (head_weight, head_bias) = critic.net.layers()
    for member, q in enumerate(critic(inputs, action)):
        x = torch.cat([inputs, action], dim=-1)
        for weight, bias in hidden:
            x = x @ weight[member] + bias[member]
            if layer_norm:
                variance = x.var(-1, keepdim=True, unbiased=False)
                x = (x - x.mean(-1, keepdim=True)) / (variance + 1e-5).sqrt()
            x = torch.relu(x)
        x = x @ head_weight[member] + head_bias[member]
        assert torch.allclose(q, x.squeeze(-1), atol=1e-5)


def test_the_actors_judge_has_the_same_values_but_constant_weights():
    torch.manual_seed(0)
    critic = Critic(NetworkSizes(6, 2, 16, 2, critics=3))
    inputs, action = torch.randn(5, 6), torch.randn(5, 2, requires_grad=True)
    for members in (1, 3):
        q, judged = critic(inputs, action)[:members], critic.judge(inputs, action, members)
        assert torch.allclose(judged, q, atol=1e-6)
        wanted, found = (torch.autograd.grad(x.sum(), action)[0] for x in (q, judged))
        assert torch.allclose(found, wanted, atol=1e-6)
        judged, weights = critic.judge(inputs, action, members), list(critic.parameters())
        gradients = torch.autograd.grad(judged.sum(), weights, allow_unused=True)
        assert all(gradient is None for gradient in gradients)


def test_a_trial_leaves_pytorchs_generator_alone():
    before = torch.get_rng_state()
    found, expected = trial(TD3, SIZES, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, changing(found), changing(expected)))
