// Losses and gradients of TD3 on a mixed batch (Fujimoto et al., arXiv 1802.09477).
//
// The critics are divided among the threads. If each critic has a team of threads of its own, its
// weights and intermediate results stay near the cores of that team, as cores of different clusters
// are slow to see each other's writes. In the rest of the work, a thread takes a share of the rows
// through a whole pass, and then a share of the gradients of weights. Threads wait for each other a
// few times per pass, not after each operation, and no sum depends on the number of threads. Heads,
// targets and losses are float32. NaN goes through every step, so that a diverged network shows in
// its loss.

#pragma once

#include "passes.h"

namespace {

template <typename Kernel>
struct CriticPasses : Passes<Kernel> {
    using Matrix = typename Kernel::Matrix;

    Matrix next_joined;
    std::vector<Layers<Kernel>> h, d, target_h;
    std::vector<float*> next_values, slopes;  // of each member, [rows]

    CriticPasses(const Sizes& s, Arena& arena)
        : Passes<Kernel>(s, arena), next_joined(Kernel::matrix(arena, this->rows, this->width)) {
        for (int e = 0; e < s.members; ++e) {
            h.push_back(make_layers<Kernel>(arena, s, Purpose::LEARN));
            d.push_back(make_layers<Kernel>(arena, s, Purpose::LEARN_SLOPES));
            target_h.push_back(make_layers<Kernel>(arena, s, Purpose::PASS));
            next_values.push_back(arena.take<float>(this->rows));
            slopes.push_back(arena.take<float>(this->rows));
        }
    }

    // Inputs of the target critics in some rows, with the target actor's smoothed actions, TD3
    // equation 14.
    void load_next(Range range, const Rule& rule, const Sample& sample,
                   const Net<Kernel>& target_actor, float* buffer) const {
        const Sizes& s = this->s;
        this->load(range, sample.next_inputs, nullptr, this->inputs, buffer);
        this->act(range, target_actor, this->inputs, target_h[0], buffer);
        const Range real{range.first, std::min(range.last, s.batch)};
        for (int i = real.first * s.actions; i < real.last * s.actions; ++i) {
            const float noise = std::clamp(sample.noise[i], -rule.noise_clip, rule.noise_clip);
            this->action[i] = std::clamp(this->action[i] + noise, -1.0f, 1.0f);
        }
        this->load(range, sample.next_inputs, this->action, next_joined, buffer);
    }

    void judge_next(Range range, int e, const Net<Kernel>& target_critic, float* buffer) const {
        this->forward(range, target_critic, next_joined, target_h[e]);
        this->apply_head(range, target_critic, target_h[e].back(), next_values[e], buffer);
    }

    // Clipped, bounded double-Q target of a row, TD3 equation 10.
    float target(int r, const Rule& rule, const Sample& sample) const {
        float least = next_values[0][r];
        for (const float* values : next_values)
            least = least <= values[r] || std::isnan(least) ? least : values[r];
        const float gamma = sample.terminated[r] ? 0.0f : rule.gamma;
        return std::clamp(sample.reward[r] + gamma * least, rule.lowest, rule.highest);
    }

    // Replaces a critic's values in some rows by their slopes, the gradients of the loss.
    void regress(Range range, int e, const Rule& rule, const Sample& sample, float* q,
                 double* errors) const {
        for (int r = range.first; r < range.last; ++r) {
            float& value = slopes[e][r];
            if (r >= this->s.batch) {
                value = 0.0f;
                continue;
            }
            q[r] = value;
            const float error = value - target(r, rule, sample);
            errors[r] = double(error) * error;
            value = 2.0f * error / this->s.batch;
        }
    }
};

template <typename Kernel>
struct ActorPasses : Passes<Kernel> {
    Layers<Kernel> h, d, critic_h, critic_d;
    float *values, *slopes;  // of the critic [rows]; gradients of the actions [rows, actions]

    ActorPasses(const Sizes& s, Arena& arena)
        : Passes<Kernel>(s, arena), h(make_layers<Kernel>(arena, s, Purpose::LEARN)),
          d(make_layers<Kernel>(arena, s, Purpose::LEARN_SLOPES)),
          critic_h(make_layers<Kernel>(arena, s, Purpose::RETURN)),
          critic_d(make_layers<Kernel>(arena, s, Purpose::PASS_SLOPES)),
          values(arena.take<float>(this->rows)),
          slopes(arena.take<float>(int64_t(this->rows) * s.actions)) {}

    // Gradients of minus the critic's mean value, with respect to the actions of some rows.
    void judge(Range range, const Net<Kernel>& critic, double* losses, float* buffer) const {
        const Sizes& s = this->s;
        this->forward(range, critic, this->joined, critic_h);
        this->apply_head(range, critic, critic_h.back(), values, buffer);
        for (int r = range.first; r < range.last; ++r) {
            if (r < s.batch) losses[r] = -double(values[r]) / s.batch;
            values[r] = r < s.batch ? -1.0f / s.batch : 0.0f;
        }
        this->backward(range, critic, values, critic_h, critic_d, buffer);
        const float* weight = critic.first_weight + int64_t(s.inputs) * s.hidden;
        for (int r = range.first; r < range.last; ++r) {
            const float* gradient = Kernel::get(critic_d[0], r, buffer);
            for (int a = 0; a < s.actions; ++a)
                slopes[int64_t(r) * s.actions + a] =
                    dot(gradient, weight + int64_t(a) * s.hidden, s.hidden);
        }
    }

    // Adds the penalty of actions, and goes back through tanh.
    void penalise(Range range, float action_l2, double* losses) const {
        const Sizes& s = this->s;
        const float weight = action_l2 / (float(s.batch) * s.actions);
        for (int r = range.first; r < std::min(range.last, s.batch); ++r)
            for (int i = r * s.actions; i < (r + 1) * s.actions; ++i) {
                const float action = this->action[i];
                losses[r] += double(weight) * action * action;
                float& slope = slopes[i];
                slope = (slope + 2.0f * weight * action) * (1.0f - action * action);
            }
    }
};

// All networks, and the memory that their passes write to. Each critic, the actor's passes and the
// critics' passes have separate memory.
template <typename Kernel>
struct Learner {
    const Sizes& s;
    Arena arena;
    Net<Kernel> actor, target_actor;
    std::vector<Net<Kernel>> critics, target_critics;
    CriticPasses<Kernel> regression;
    ActorPasses<Kernel> ascent;
    float *critic_gradients, *actor_gradients;
    double *critic_terms, *actor_terms;  // of the losses, [members, batch] and [batch]

    Learner(const Sizes& s, const Networks& n, char* base)
        : s(s), arena{base}, actor(arena, s, n.actor, 0, s.inputs, s.actions),
          target_actor(arena, s, n.target_actor, 0, s.inputs, s.actions),
          critics(members(n.critic)), target_critics(members(n.target_critic)),
          regression(s, arena), ascent(s, arena),
          critic_gradients(arena.take<float>(s.members * s.numbers(s.inputs + s.actions, 1))),
          actor_gradients(arena.take<float>(s.numbers(s.inputs, s.actions))),
          critic_terms(arena.take<double>(int64_t(s.members) * s.batch)),
          actor_terms(arena.take<double>(s.batch)) {}

    // Regress all critics on the clipped double-Q target, then call learn(e, trace) in the threads
    // of each critic e. Its values go to q + e * next_q, its squared errors to critic_terms.
    template <typename Learn>
    void regress(Thread thread, const Rule& rule, const Sample& sample, float* q, int64_t next_q,
                 Learn learn) const {
        const CriticPasses<Kernel>& passes = regression;
        const WorkShare share(s.members, thread);
        const Range rows = passes.own_rows(thread), own = passes.own_rows(share.thread);
        float* buffer = passes.buffer(thread);
        passes.load_next(rows, rule, sample, target_actor, buffer);
        passes.load(rows, sample.inputs, sample.action, passes.joined, buffer);
        barrier();
        share.each([&](int e) { passes.judge_next(own, e, target_critics[e], buffer); });
        barrier();
        share.each([&](int e) {
            const Net<Kernel>& net = critics[e];
            const Layers<Kernel> &h = passes.h[e], &d = passes.d[e];
            passes.forward(own, net, passes.joined, h);
            passes.apply_head(own, net, h.back(), passes.slopes[e], buffer);
            passes.regress(own, e, rule, sample, q + e * next_q,
                           critic_terms + int64_t(e) * s.batch);
            passes.backward(own, net, passes.slopes[e], h, d, buffer);
            share.barrier();
            learn(e, Trace<Kernel>{passes.joined, h, d, passes.slopes[e], 1});
        });
    }

    // Ascend the first critic's value of the actor's own actions, TD3 equation 15, less the penalty
    // of actions, then call learn(trace) in each thread.
    template <typename Learn>
    void ascend(Thread thread, const Rule& rule, const float* inputs, Learn learn) const {
        const ActorPasses<Kernel>& passes = ascent;
        const Range rows = passes.own_rows(thread);
        float* buffer = passes.buffer(thread);
        passes.load(rows, inputs, nullptr, passes.inputs, buffer);
        passes.act(rows, actor, passes.inputs, passes.h, buffer);
        passes.load(rows, inputs, passes.action, passes.joined, buffer);
        passes.judge(rows, critics[0], actor_terms, buffer);
        passes.penalise(rows, rule.action_l2, actor_terms);
        passes.backward(rows, actor, passes.slopes, passes.h, passes.d, buffer);
        barrier();
        learn(Trace<Kernel>{passes.inputs, passes.h, passes.d, passes.slopes, s.actions});
    }

   private:
    std::vector<Net<Kernel>> members(Network network) {
        std::vector<Net<Kernel>> all;
        for (int e = 0; e < s.members; ++e)
            all.emplace_back(arena, s, network, e, s.inputs + s.actions, 1);
        return all;
    }
};

double sum(const double* values, int count) {
    double total = 0.0;
    for (int i = 0; i < count; ++i) total += values[i];
    return total;
}

using Full = Kernels<Float32>;
#ifdef __AVX512BF16__
using Reduced = Kernels<BFloat16>;
#else
using Reduced = Full;  // without the instruction, in float32: no precision is lost
#endif

}  // namespace
