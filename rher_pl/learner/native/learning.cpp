// TD3 updates, one after the other. A weight is stepped as soon as its gradient is known. Its
// target, its average and the panels that hold it are updated while it is still in the cache, so
// that each is read once per update.

#include "steps.h"
#include "td3.h"

extern "C" {

// Sizes and settings of a call, as in library.py.
struct Call {
    int32_t batch, inputs, actions, hidden, layers, critics, threads, reduced, updates, bounded;
    int64_t phase, policy_delay;  // phase: updates so far, modulo policy_delay
    double gamma, noise_clip, action_l2, tau, average_rate;
    double critic_adam[4], actor_adam[4];  // learning rate, betas, epsilon
};

}  // extern "C"

namespace {

// Parameters of a network, their optimizer's state, and the averages that follow after each update.
struct Trained {
    AdamRule rule;
    Network values, means, squares, steps, targets, averages;  // averages: null if there are none
    float tau, average_rate;
};

// All tensors of a call, in this order.
struct Tensors {
    Sample first;  // of the first batch; the other batches follow in memory
    float* q;      // [critics, updates, batch]
    double *critic_losses, *actor_losses;
    Trained critic, actor;

    Tensors(const Call& call, const Sizes& sizes, void* const* next) {
        const auto take = [&] { return static_cast<float*>(*next++); };
        first.inputs = take(), first.action = take(), first.next_inputs = take();
        first.noise = take(), first.reward = take();
        first.terminated = static_cast<const uint8_t*>(*next++);
        q = take();
        critic_losses = static_cast<double*>(*next++);
        actor_losses = static_cast<double*>(*next++);
        const auto take_each = [&] {
            const auto each = reinterpret_cast<Network>(next);
            next += sizes.parameters();
            return each;
        };
        for (Trained* network : {&critic, &actor}) {
            const double* rule = network == &critic ? call.critic_adam : call.actor_adam;
            network->rule = {rule[0], rule[1], rule[2], rule[3]};
            network->tau = call.tau, network->average_rate = call.average_rate;
            network->values = take_each(), network->means = take_each();
            network->squares = take_each(), network->steps = take_each();
            network->targets = take_each();
        }
        critic.averages = nullptr, actor.averages = take_each();
    }

    Sample sample(const Sizes& s, int update) const {
        const int64_t row = int64_t(update) * s.batch, input = row * s.inputs;
        const int64_t action = row * s.actions;
        return {first.inputs + input, first.action + action, first.next_inputs + input,
                first.noise + action, first.reward + row,    first.terminated + row};
    }
};

// A parameter of one member of a network, or a part of it.
struct Parameter {
    float *value, *mean, *square, *target, *average;
    float tau, average_rate;

    Parameter(const Trained& all, int t, int64_t first)
        : value(all.values[t] + first), mean(all.means[t] + first), square(all.squares[t] + first),
          target(all.targets[t] + first),
          average(all.averages != nullptr ? all.averages[t] + first : nullptr), tau(all.tau),
          average_rate(all.average_rate) {}

    // Steps the value if there is a gradient, then moves the averages.
    void move(const Adam& adam, int64_t at, int64_t count, const float* gradient) const {
        if (gradient != nullptr) adam.step(count, gradient, value + at, mean + at, square + at);
        approach(tau, count, value + at, target + at);
        if (average != nullptr) approach(average_rate, count, value + at, average + at);
    }
};

// One member of a trained network, and its target.
template <typename Kernel>
struct Trainee {
    const Passes<Kernel>& passes;
    const Net<Kernel>&net, &target;
    const Trained& trained;
    int member;
    Gradients gradients;

    // A thread's share of step `number`; without a trace, only the averages move.
    void move(Thread thread, int number, const Trace<Kernel>* trace) const {
        if (trace != nullptr) passes.small_gradients(thread, *trace, gradients);
        const int layers = passes.s.layers, hidden = net.hidden, outputs = net.outputs;
        const Range units = thread.share(hidden, PANEL);
        for (int l = 0; l < layers; ++l) {
            move_weights(thread, number, l, trace);
            move_small(number, 2 * l + 1, hidden, units, trace);
        }
        move_small(number, 2 * layers, hidden * outputs,
                   {units.first * outputs, units.last * outputs}, trace);
        if (thread.number == 0) move_small(number, 2 * layers + 1, outputs, {0, outputs}, trace);
        net.prepare_head(units);
        target.prepare_head(units);
    }

   private:
    // Strip by strip, so that each stays in the cache from the gradient to the panels.
    void move_weights(Thread thread, int number, int layer, const Trace<Kernel>* trace) const {
        const typename Kernel::Weight &weight = net.weights[layer], &follower = target.weights[layer];
        const int out = weight.out, t = 2 * layer;
        const Parameter parameter(trained, t, int64_t(member) * weight.in * out);
        const Adam adam = step(t, number);
        const Range own = thread.share(weight.in, Kernel::STRIP);
        for (int i = own.first; i < own.last; i += Kernel::STRIP) {
            const Range rows{i, std::min(i + Kernel::STRIP, own.last)};
            const int64_t at = int64_t(i) * out, count = int64_t(rows.last - i) * out;
            if (trace != nullptr)
                Kernel::weight_gradient(rows, trace->before(layer), trace->d[layer],
                                        gradients.parameters[t]);
            parameter.move(adam, at, count, gradient(t, at, trace));
            for (int j = 0; j < out; j += PANEL) {
                if (trace != nullptr) Kernel::refresh(weight, rows, j, layer > 0);
                Kernel::refresh(follower, rows, j, false);
            }
        }
    }

    // A bias, or a part of the head.
    void move_small(int number, int t, int size, Range range, const Trace<Kernel>* trace) const {
        Parameter(trained, t, int64_t(member) * size)
            .move(step(t, number), range.first, range.last - range.first,
                  gradient(t, range.first, trace));
    }

    Adam step(int t, int number) const {
        return Adam(trained.rule, *trained.steps[t] + double(number));
    }

    const float* gradient(int t, int64_t first, const Trace<Kernel>* trace) const {
        return trace == nullptr ? nullptr : gradients.parameters[t] + first;
    }
};

template <typename Kernel>
void learn_from(const Call& call, const Sizes& s, const Tensors& tensors, char* scratch) {
    const double bound = call.bounded ? -1.0 / (1.0 - call.gamma) : -INFINITY;
    const Rule rule{float(call.gamma), float(call.noise_clip), float(bound),
                    call.bounded ? 0.0f : INFINITY, float(call.action_l2)};
    const Trained &critic = tensors.critic, &actor = tensors.actor;
    const Learner<Kernel> learner(s, {actor.values, critic.values, actor.targets, critic.targets},
                                  scratch);
    std::vector<Trainee<Kernel>> critics;
    for (int e = 0; e < s.members; ++e)
        critics.push_back(
            {learner.regression, learner.critics[e], learner.target_critics[e], critic, e,
             Gradients(learner.critic_gradients, s, s.members, e, s.inputs + s.actions, 1)});
    const Trainee<Kernel> trainee{learner.ascent, learner.actor, learner.target_actor, actor, 0,
                                  Gradients(learner.actor_gradients, s, 1, 0, s.inputs, s.actions)};

    in_threads(s.threads, [&](Thread thread) {
        const WorkShare share(s.members, thread);
        learner.actor.prepare(true, thread);
        learner.target_actor.prepare(false, thread);
        share.each([&](int e) {
            learner.critics[e].prepare(true, share.thread);
            learner.target_critics[e].prepare(false, share.thread);
        });
        barrier();
        for (int u = 0, ascents = 0; u < call.updates; ++u) {
            const Sample sample = tensors.sample(s, u);
            const bool ascend = (call.phase + u + 1) % call.policy_delay == 0;
            learner.regress(thread, rule, sample, tensors.q + int64_t(u) * s.batch,
                            int64_t(call.updates) * s.batch,
                            [&](int e, const Trace<Kernel>& trace) {
                                critics[e].move(share.thread, u + 1, &trace);
                            });
            if (!ascend) trainee.move(thread, 0, nullptr);
            barrier();
            if (thread.number == 0)
                tensors.critic_losses[u] = sum(learner.critic_terms, s.members * s.batch) / s.batch;
            if (!ascend) continue;
            ++ascents;
            learner.ascend(thread, rule, sample.inputs, [&](const Trace<Kernel>& trace) {
                trainee.move(thread, ascents, &trace);
            });
            barrier();
            if (thread.number == 0)
                tensors.actor_losses[ascents - 1] = sum(learner.actor_terms, s.batch);
        }
    });
}

Sizes sizes_of(const Call& call) {
    return {call.batch,  call.inputs,  call.actions, call.hidden,
            call.layers, call.critics, call.threads};
}

}  // namespace

extern "C" {

int64_t sizeof_call() { return sizeof(Call); }

// Bytes of scratch, aligned to 64, that `learn` needs.
int64_t scratch_size(const Call* call) {
    const Sizes sizes = sizes_of(*call);
    return BEYOND + (call->reduced ? Learner<Reduced>(sizes, {}, nullptr).arena.used
                                   : Learner<Full>(sizes, {}, nullptr).arena.used);
}

// One update for each batch. Tensors are contiguous, in the order of struct Tensors.
void learn(const Call* call, void* const* addresses, char* scratch) {
    const Sizes sizes = sizes_of(*call);
    const Tensors tensors(*call, sizes, addresses);
    (call->reduced ? learn_from<Reduced> : learn_from<Full>)(*call, sizes, tensors, scratch);
    const int64_t ascents = (call->phase + call->updates) / call->policy_delay;
    for (int t = 0; t < sizes.parameters(); ++t) {
        *tensors.critic.steps[t] += call->updates;
        *tensors.actor.steps[t] += ascents;
    }
}

}  // extern "C"
