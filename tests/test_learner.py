"""Losses, networks, normaliser: against worked numbers and TorchRL's TD3Loss."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.data import Bounded
from torchrl.objectives import DDPGLoss, TD3Loss

from rher_pl.choices import Algorithm
from rher_pl.learner import losses
from rher_pl.learner.td3 import SUBSET, draw_subsets
from rher_pl.networks.actor_critic import Critic
from rher_pl.networks.normalizer import RunningNormalizer
from rher_pl.networks.reduced import ReducedCopy
from rher_pl.training.module import RHERModule, apply_gradients


def test_target_is_clipped_double_q_bounded_by_the_possible_returns():
    next_q = torch.tensor([[-2.0, -90.0, 5.0], [-1.0, -80.0, 6.0]])
    reward = torch.tensor([-1.0, -1.0, 0.0])
    alive = torch.zeros(3, dtype=torch.bool)
    target = losses.target_q(reward, alive, next_q, gamma=0.9)
    assert target.tolist() == pytest.approx([-2.8, -10.0, 0.0])
    ended = losses.target_q(reward, ~alive, next_q, gamma=0.9)
    assert ended.tolist() == [-1.0, -1.0, 0.0]


def test_smoothing_noise_and_action_are_clipped():
    action = losses.smoothed_action(torch.tensor([0.9, 0.0]), torch.tensor([3.0, -3.0]), 0.5)
    assert action.tolist() == [1.0, -0.5]


def test_polyak_update_moves_by_tau():
    target, source = torch.zeros(3), torch.ones(3)
    losses.polyak_update([target], [source], 0.25)
    assert target.tolist() == [0.25] * 3


@pytest.fixture
def module() -> RHERModule:
    torch.manual_seed(0)
    return RHERModule("FetchPush-v4", hidden_size=32, gamma=0.98, policy_noise=0.0, action_l2=0.0)


def random_sample(module: RHERModule, size: int = 64) -> TensorDict:
    width = module.policy.encoder.size
    return TensorDict(
        {
            "inputs": torch.randn(size, width),
            "next_inputs": torch.randn(size, width),
            "action": torch.rand(size, 4) * 2 - 1,
            "noise": torch.zeros(size, 4),
            "reward": -torch.randint(0, 2, (size,)).float(),
            "terminated": torch.zeros(size, dtype=torch.bool),
        },
        batch_size=[size],
    )


def perturb(module: RHERModule) -> None:
    """Targets must differ from the networks, and Q must lie inside the bounds, or the comparison
    could not see a wrong network being used."""
    with torch.no_grad():
        for network in (module.target_actor, module.target_critic):
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        for network in (module.critic, module.target_critic):
            network.net.layers()[-1][1].sub_(3.0)


def single(member: int, critic: Critic) -> torch.nn.Module:
    """One member of a critic, written as a network of its own."""

    class Q(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = [(w[member].detach(), b[member].detach()) for w, b in critic.net.layers()]
            self.weights = torch.nn.ParameterList(weight for weight, _ in layers)
            self.biases = torch.nn.ParameterList(bias for _, bias in layers)

        def forward(self, inputs, action):
            x = torch.cat([inputs, action], dim=-1)
            for weight, bias in list(zip(self.weights, self.biases))[:-1]:
                x = torch.relu(x @ weight + bias)
            return x @ self.weights[-1] + self.biases[-1]

    return TensorDictModule(Q(), ["inputs", "action"], ["state_action_value"])


def oracle(module: RHERModule) -> TD3Loss:
    """TorchRL's loss on the very same weights."""
    loss = TD3Loss(
        TensorDictModule(module.policy.actor, ["inputs"], ["action"]),
        [single(0, module.critic), single(1, module.critic)],
        action_spec=Bounded(-1.0, 1.0, (4,)),
        policy_noise=0.0,
        loss_function="l2",
        delay_actor=True,
        delay_qvalue=True,
    )
    loss.make_value_estimator(gamma=0.98)
    for index in range(2):
        for layer, values in enumerate(module.target_critic.net.layers()):
            for name, value in zip(("weights", "biases"), values):
                key = ("module", name, str(layer))
                loss.target_qvalue_network_params[key].data[index].copy_(value[index])
    copy_target_actor(module, loss)
    return loss


def copy_target_actor(module: RHERModule, loss: TD3Loss | DDPGLoss) -> None:
    weights = {f"module.{k}": v for k, v in module.target_actor.state_dict().items()}
    loss.target_actor_network_params.data.update_(TensorDict(weights).unflatten_keys("."))


def ddpg_oracle(module: RHERModule) -> DDPGLoss:
    """TorchRL's loss on the very same weights."""
    loss = DDPGLoss(
        TensorDictModule(module.policy.actor, ["inputs"], ["action"]),
        single(0, module.critic),
        loss_function="l2",
        delay_actor=True,
        delay_value=True,
    )
    loss.make_value_estimator(gamma=0.98)
    for layer, values in enumerate(module.target_critic.net.layers()):
        for name, value in zip(("weights", "biases"), values):
            loss.target_value_network_params["module", name, str(layer)].data.copy_(value[0])
    copy_target_actor(module, loss)
    return loss


def as_torchrl(sample: TensorDict) -> TensorDict:
    return TensorDict(
        {
            "inputs": sample["inputs"],
            "action": sample["action"],
            "next": {
                "inputs": sample["next_inputs"],
                "reward": sample["reward"].unsqueeze(-1),
                "done": sample["terminated"].unsqueeze(-1),
                "terminated": sample["terminated"].unsqueeze(-1),
            },
        },
        batch_size=sample.batch_size,
    )


def assert_agree(module: RHERModule, sample: TensorDict, critic: float, actor: float) -> None:
    """Our losses on ``sample`` are these."""
    td3 = module.td3
    target = td3.target_q(
        *(sample[key] for key in ("next_inputs", "noise", "reward", "terminated"))
    )
    assert (target < 0).all() and (target > -50).all(), "the bound must not hide a difference"
    _, critic_loss, _ = td3.critic_gradients(*critic_inputs(sample))
    _, actor_loss = td3.actor_gradients(sample["inputs"])
    assert critic_loss.item() == pytest.approx(critic, abs=1e-5)
    assert actor_loss.item() == pytest.approx(actor, abs=1e-5)


def test_losses_agree_with_torchrl(module):
    perturb(module)
    sample = random_sample(module)
    theirs = oracle(module)(as_torchrl(sample))
    assert_agree(module, sample, theirs["loss_qvalue"].item(), theirs["loss_actor"].item())


def make_ddpg(**options) -> RHERModule:
    torch.manual_seed(0)
    options = {"hidden_size": 32, "gamma": 0.98, "action_l2": 0.0} | options
    return RHERModule("FetchPush-v4", algorithm=Algorithm.ddpg, **options)


def test_ddpg_losses_agree_with_torchrl():
    module = make_ddpg()
    perturb(module)
    sample = random_sample(module)
    theirs = ddpg_oracle(module)(as_torchrl(sample))
    assert_agree(module, sample, theirs["loss_value"].item(), theirs["loss_actor"].item())


def test_ddpg_has_one_critic_no_smoothing_and_no_delay():
    module = make_ddpg(policy_noise=0.3, policy_delay=4, critics=5)
    assert module.critic.members == module.target_critic.members == 1
    states = TensorDict(
        {"observation": torch.randn(3, 8, 25), "goal": torch.randn(3, 8, 15)}, batch_size=[3, 8]
    )
    subtask = torch.ones(3, 8, 1).long()
    rest = {key: torch.zeros(3, 8, 1) for key in ("reward", "terminated")}
    samples = states.clone().update({"action": torch.zeros(3, 8, 4), "subtask": subtask})
    encoded = module.encode(samples.set("next", states.clone().update(rest)))
    assert (encoded["noise"] == 0).all()
    optimizers, _ = module.configure_optimizers()
    module.optimizers = lambda use_pl_optimizer=True: optimizers
    assert all("actor_loss" in module.update(random_sample(module)) for _ in range(4))


def test_an_unbounded_target_may_leave_the_possible_returns():
    arguments = torch.tensor([-1.0]), torch.tensor([False]), torch.tensor([[-90.0]])
    assert losses.target_q(*arguments, gamma=0.9).item() == pytest.approx(-10.0)
    assert losses.target_q(*arguments, gamma=0.9, bounded=False).item() == pytest.approx(-82.0)


def test_an_ensemble_takes_the_smallest_of_a_random_two():
    torch.manual_seed(0)
    module = RHERModule("FetchPush-v4", hidden_size=16, critics=5, gamma=0.98)
    perturb(module)
    sample = random_sample(module)
    state = [sample[key] for key in ("next_inputs", "noise", "reward", "terminated")]
    next_q = module.target_critic(state[0], module.target_actor(state[0]))  # [5, B]
    highest = next_q.mean(1).argsort()[-2:]  # without the one that would be the smallest of all
    target = module.td3.target_q(*state, highest.expand(64, 2))
    assert torch.allclose(target, state[2] + 0.98 * next_q[highest].amin(0))
    assert not torch.equal(target, module.td3.target_q(*state))
    mean = module.critic(sample["inputs"], module.policy.actor(sample["inputs"])).mean()
    module.td3.action_l2 = 0.0
    assert module.td3.actor_gradients(sample["inputs"])[1].item() == pytest.approx(-mean.item())


def test_subsets_are_different_members_drawn_uniformly_once_for_each_update():
    torch.manual_seed(0)
    drawn = draw_subsets(4, 6_000, 3)
    assert drawn.shape == (6_000, 3, SUBSET)
    assert (drawn == drawn[:, :1]).all(), "one choice for a whole batch"
    first, second = drawn[:, 0].sort(-1).values.unbind(-1)
    assert (first < second).all()
    pairs = (first * 4 + second).bincount(minlength=16)
    assert ((pairs[pairs > 0] / 6_000 - 1 / 6).abs() < 0.03).all() and (pairs > 0).sum() == 6


def test_layer_norm_normalises_each_hidden_layer_of_each_member():
    torch.manual_seed(0)
    critic = Critic(6, 2, 16, 2, members=3, layer_norm=True)
    inputs, action = torch.randn(5, 6), torch.randn(5, 2)
    *hidden, (head_weight, head_bias) = critic.net.layers()
    for member, q in enumerate(critic(inputs, action)):
        x = torch.cat([inputs, action], dim=-1)
        for weight, bias in hidden:
            x = x @ weight[member] + bias[member]
            x = (x - x.mean(-1, keepdim=True)) / (
                x.var(-1, keepdim=True, unbiased=False) + 1e-5
            ).sqrt()
            x = torch.relu(x)
        x = x @ head_weight[member] + head_bias[member]
        assert torch.allclose(q, x.squeeze(-1), atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"algorithm": Algorithm.ddpg}, {"critics": 4, "critic_layer_norm": True}],
    ids=["ddpg", "ensemble"],
)
def test_variants_trace_to_one_graph_that_computes_the_same(options, monkeypatch):
    """Traced and differentiated as for compiling, without the minute of making machine code."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))

    def weights(compiled: bool) -> torch.Tensor:
        torch.manual_seed(0)
        module = RHERModule("FetchPush-v4", hidden_size=16, compiled=compiled, **options)
        optimizers, _ = module.configure_optimizers()
        module.optimizers = lambda use_pl_optimizer=True: optimizers
        module.warm_up([32, 32])
        for _ in range(4):
            sample = random_sample(module)
            if module.td3.ensemble:
                sample["subset"] = draw_subsets(4, 1, 64)[0]
            module.update(sample)
        return module.critic.net.weight_1

    plain = weights(False)
    assert torch.allclose(weights(True), plain, atol=1e-5)


def critic_inputs(sample: TensorDict) -> list[torch.Tensor]:
    keys = ("inputs", "action", "next_inputs", "noise", "reward", "terminated")
    return [sample[key] for key in keys]


def trained(precision: torch.dtype, compiled: bool, updates: int = 20) -> dict[str, torch.Tensor]:
    """Weights after some updates from the same start, on the same samples."""
    torch.manual_seed(0)
    module = RHERModule("FetchPush-v4", hidden_size=64, compiled=compiled, learning_rate=1e-3)
    module.td3.compute_in(precision)
    optimizers, _ = module.configure_optimizers()
    module.optimizers = lambda use_pl_optimizer=True: optimizers
    for _ in range(updates):
        module.update(random_sample(module))
    return module.state_dict()


def test_reduced_and_compiled_updates_stay_close_to_plain_fp32():
    """In units of how far 20 updates move the weights."""
    start, plain = trained(torch.float32, False, updates=0), trained(torch.float32, False)
    for precision, compiled, bound in (
        (torch.bfloat16, False, 0.3),
        (torch.float32, True, 0.01),
    ):
        other = trained(precision, compiled)
        for name in ("critic.net.weight_1", "policy.actor.net.weight_1"):
            difference = (other[name] - plain[name]).norm()
            assert difference > 0, "they must not be the same computation"
            assert difference < bound * (plain[name] - start[name]).norm(), (name, difference)


def test_stacked_critics_equal_two_separate_ones():
    torch.manual_seed(0)
    critic = Critic(6, 2, 16, 2)
    inputs, action = torch.randn(5, 6), torch.randn(5, 2)
    for member, q in enumerate(critic(inputs, action)):
        x = torch.cat([inputs, action], dim=-1)
        *hidden, (head_weight, head_bias) = critic.net.layers()
        for weight, bias in hidden:
            x = torch.relu(x @ weight[member] + bias[member])
        x = x @ head_weight[member] + head_bias[member]
        assert torch.allclose(q, x.squeeze(-1), atol=1e-6)


def test_the_actors_judge_has_the_same_values_but_constant_weights():
    torch.manual_seed(0)
    critic = Critic(6, 2, 16, 2, members=3)
    inputs, action = torch.randn(5, 6), torch.randn(5, 2, requires_grad=True)
    q = critic(inputs, action)
    for members in (1, 3):
        judged = critic.judge(inputs, action, members)
        assert torch.allclose(judged, q[:members], atol=1e-6)
        wanted, found = (torch.autograd.grad(x.sum(), action)[0] for x in (q[:members], judged))
        q = critic(inputs, action)  # its graph is gone
        assert torch.allclose(found, wanted, atol=1e-6)
        weights = list(critic.parameters())
        judged = critic.judge(inputs, action, members)
        gradients = torch.autograd.grad(judged.sum(), weights, allow_unused=True)
        assert all(gradient is None for gradient in gradients)


def test_a_gradient_that_lies_otherwise_in_memory_is_applied_all_the_same():
    """Fused Adam walks through parameter and gradient side by side, whatever their strides."""
    gradient = torch.arange(1.0, 7.0).view(3, 2)
    after = []
    for given in (gradient, gradient.mT.contiguous().mT):
        weight = torch.zeros(3, 2, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=1.0, fused=True)
        apply_gradients(optimizer, [given])
        after.append(weight.detach())
    assert torch.equal(after[0], -gradient) and torch.equal(after[1], -gradient)


def test_reduced_precision_stays_close_and_keeps_the_head_in_fp32():
    torch.manual_seed(0)
    critic = Critic(20, 4, 64, 3)
    inputs, action = torch.randn(256, 20), torch.rand(256, 4)
    exact = critic(inputs, action)
    reduced = ReducedCopy(critic, torch.bfloat16).network(inputs, action)
    assert reduced.dtype == torch.float32
    assert not torch.equal(reduced, exact)
    assert (reduced - exact).abs().max() < 0.02
    assert len(reduced.unique()) > 500, "a bfloat16 head would give few distinct values"


def test_a_reduced_copy_rounds_the_weights_of_now_and_shares_the_head():
    torch.manual_seed(0)
    critic = Critic(6, 2, 16, 2)
    reduced = ReducedCopy(critic, torch.bfloat16)
    with torch.no_grad():
        for weight in critic.parameters():
            weight.add_(1.0)
    stale = reduced.network.net.weight_0.float()
    reduced.refresh()
    for trained, computed in zip(critic.net.layers()[:-1], reduced.network.net.layers()[:-1]):
        for there, here in zip(trained, computed):
            assert here.dtype == torch.bfloat16 and torch.equal(here, there.bfloat16())
    assert not torch.allclose(stale, critic.net.weight_0, atol=0.5), "refreshing must be needed"
    assert reduced.network.net.layers()[-1][0] is critic.net.layers()[-1][0]
    assert ReducedCopy(critic, torch.float32).network is critic


def test_all_networks_compute_with_the_weights_of_the_last_update():
    torch.manual_seed(0)
    module = RHERModule("FetchPush-v4", hidden_size=16, compiled=False)
    module.td3.compute_in(torch.bfloat16)
    optimizers, _ = module.configure_optimizers()
    module.optimizers = lambda use_pl_optimizer=True: optimizers
    for _ in range(2):
        module.update(random_sample(module))
    td3 = module.td3
    for trained, computed in (
        (module.policy.actor, td3.actor),
        (module.critic, td3.critic),
        (module.target_actor, td3.target_actor),
        (module.target_critic, td3.target_critic),
    ):
        assert torch.equal(computed.net.weight_1, trained.net.weight_1.bfloat16())


def test_normalizer_equals_the_statistics_of_all_data_however_it_is_split():
    torch.manual_seed(0)
    data = torch.randn(300, 3) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0.0, 100.0, 1.0])
    normalizer = RunningNormalizer(3)
    for part in data.split([1, 99, 200]):
        normalizer.update(part)
    z = normalizer(data)
    reference = ((data - data.mean(0)) / data.std(0, unbiased=False)).clamp(-5, 5)
    assert torch.allclose(z, reference, atol=1e-3)


def test_normalizer_ignores_masked_numbers_and_bounds_the_deviation():
    normalizer = RunningNormalizer(2, min_std=0.01)
    data = torch.tensor([[1.0, 7.0], [1.0, 0.0], [1.0, 9.0]])
    normalizer.update(data, torch.tensor([[True, True], [True, False], [True, True]]))
    assert normalizer.mean.tolist() == [1.0, 8.0]
    assert normalizer(torch.tensor([[1.005, 8.0]])).tolist() == [[pytest.approx(0.5, abs=1e-3), 0]]


def random_states(count: int, generator: torch.Generator) -> TensorDict:
    """States as FetchPush has them: the observation begins with the positions."""
    home = torch.tensor([1.34, 0.75, 0.42])
    spread = torch.tensor([0.1, 0.1, 0.02])
    achieved = home + spread * torch.randn(count, 2, 3, generator=generator)
    rest = torch.randn(count, 19, generator=generator)
    return TensorDict(
        {
            "observation": torch.cat([achieved.flatten(1), rest], dim=1),
            "achieved_goals": achieved,
            "desired_goals": home + spread * torch.randn(count, 1, 3, generator=generator),
        },
        batch_size=[count],
    )


def test_the_same_scene_elsewhere_on_the_table_gives_the_same_action(module):
    states = random_states(16, torch.Generator().manual_seed(0))
    elsewhere = states.clone()
    shift = torch.tensor([0.25, -0.5, 0.0])
    elsewhere["achieved_goals"] += shift
    elsewhere["desired_goals"] += shift
    elsewhere["observation"][:, :6] += shift.repeat(2)
    placed = RHERModule("FetchPush-v4", hidden_size=32, absolute_positions=True)
    for subtask in range(2):
        index = torch.full((16,), subtask)
        here, there = module.policy(states, index), module.policy(elsewhere, index)
        assert torch.allclose(here, there, atol=1e-5)
        assert not torch.allclose(placed.policy(states, index), placed.policy(elsewhere, index))
    lifted = elsewhere.clone()
    lifted["observation"][:, 5] += 0.1
    assert not torch.allclose(module.policy(lifted, index), there), "heights are seen"


def test_padding_is_unmistakable_after_normalisation():
    """0 before normalisation must end up far from every real goal."""
    module = RHERModule("FetchPush-v4", hidden_size=32, absolute_positions=True)
    generator = torch.Generator().manual_seed(0)
    home = torch.tensor([1.34, 0.75, 0.42])
    spread = torch.tensor([0.1, 0.1, 0.02])
    achieved = home + spread * torch.randn(8, 51, 2, 3, generator=generator)
    desired = home + spread * torch.randn(8, 1, 3, generator=generator)
    module.policy.encoder.update(
        TensorDict(
            {
                "observation": torch.randn(8, 51, 25, generator=generator),
                "achieved_goals": achieved,
                "desired_goals": desired,
            },
            batch_size=[8],
        )
    )
    subtask = torch.zeros(8, dtype=torch.int64)
    goals = module.relay.goals(achieved[:, 0], desired, subtask)
    code = module.relay.encode(goals, achieved[:, 0], subtask)
    inputs = module.policy.encoder(torch.zeros(8, 25), code, subtask)
    normalised = inputs[:, 25:31].view(8, 2, 3)  # goals come after the observation
    assert (normalised[:, 1] == -5).all(), "the unused slot"
    assert (normalised[:, 0] > -4).all(), "the slot in use"


def test_computing_in_the_same_type_again_only_takes_the_weights_over():
    module = RHERModule("FetchPush-v4", hidden_size=16)
    td3 = module.td3
    td3.compute_in(torch.bfloat16)
    before = td3.critic
    with torch.no_grad():
        module.critic.net.weight_1.add_(1.0)
    td3.compute_in(torch.bfloat16)
    assert td3.critic is before, "what was compiled must stay valid"
    assert torch.equal(before.net.weight_1, module.critic.net.weight_1.bfloat16())
    td3.compute_in(torch.float32)
    assert td3.critic is module.critic
