// Losses and gradients of TD3 on a mixed batch (Fujimoto et al., arXiv 1802.09477).
//
// Each thread takes a share of the rows through a whole pass, so that what it computes stays in its
// own cache, and then a share of the gradients of weights. Threads meet a few times a pass, not once
// an operation, and no sum depends on how many they are. Heads, targets and losses are float32. NaN
// goes through every step, so that a diverged network is seen in its loss.

namespace {

template <typename Kernel>
struct CriticPasses : Passes<Kernel> {
    Layers<Kernel> target_h;
    std::vector<Layers<Kernel>> h, d;
    Net<Kernel> target_actor;
    std::vector<Net<Kernel>> critics, target_critics;

    CriticPasses(const Sizes& s, char* base, Network critic, Network target_actor,
                 Network target_critic)
        : Passes<Kernel>(s, base), target_h(make_layers<Kernel>(this->arena, s, Purpose::PASS)),
          target_actor(this->arena, s, target_actor, 0, s.inputs, s.actions) {
        for (int e = 0; e < s.members; ++e) {
            h.push_back(make_layers<Kernel>(this->arena, s, Purpose::LEARN));
            d.push_back(make_layers<Kernel>(this->arena, s, Purpose::LEARN_SLOPES));
            critics.emplace_back(this->arena, s, critic, e, this->width, 1);
            target_critics.emplace_back(this->arena, s, target_critic, e, this->width, 1);
        }
    }

    // Clipped, bounded double-Q target of some rows, TD3 equation 10.
    void regression_target(Range range, const Rule& rule, const Sample& sample, float* buffer) const {
        const Sizes& s = this->s;
        this->load(range, sample.next_inputs, nullptr, this->inputs, buffer);
        this->act(range, target_actor, this->inputs, target_h, buffer);
        const Range real{range.first, std::min(range.last, s.batch)};
        for (int i = real.first * s.actions; i < real.last * s.actions; ++i) {
            const float noise = std::clamp(sample.noise[i], -rule.noise_clip, rule.noise_clip);
            this->action[i] = std::clamp(this->action[i] + noise, -1.0f, 1.0f);
        }
        this->load(range, sample.next_inputs, this->action, this->joined, buffer);
        float *target = this->target, *values = this->values;
        for (int e = 0; e < s.members; ++e) {
            this->forward(range, target_critics[e], this->joined, target_h);
            this->apply_head(range, target_critics[e], target_h.back(), values, buffer);
            for (int r = range.first; r < range.last; ++r)
                target[r] = e > 0 && target[r] <= values[r] ? target[r] : values[r];
        }
        for (int r = real.first; r < real.last; ++r) {
            const float gamma = sample.terminated[r] ? 0.0f : rule.gamma;
            target[r] = sample.reward[r] + gamma * target[r];
            target[r] = std::clamp(target[r], rule.lowest, rule.highest);
        }
    }

    // Of one critic's values of some rows: their slopes in the loss, which take their place.
    void regress(Range range, float* q, double* errors) const {
        for (int r = range.first; r < range.last; ++r) {
            if (r >= this->s.batch) {
                this->values[r] = 0.0f;
                continue;
            }
            q[r] = this->values[r];
            const float error = q[r] - this->target[r];
            errors[r] += double(error) * error;
            this->values[r] = 2.0f * error / this->s.batch;
        }
    }
};

template <typename Kernel>
struct ActorPasses : Passes<Kernel> {
    Layers<Kernel> h, d, critic_h, critic_d;
    Net<Kernel> actor, critic;

    ActorPasses(const Sizes& s, char* base, Network actor, Network critic)
        : Passes<Kernel>(s, base), h(make_layers<Kernel>(this->arena, s, Purpose::LEARN)),
          d(make_layers<Kernel>(this->arena, s, Purpose::LEARN_SLOPES)),
          critic_h(make_layers<Kernel>(this->arena, s, Purpose::RETURN)),
          critic_d(make_layers<Kernel>(this->arena, s, Purpose::PASS_SLOPES)),
          actor(this->arena, s, actor, 0, s.inputs, s.actions),
          critic(this->arena, s, critic, 0, this->width, 1) {}

    // Slopes of minus the first critic's mean value along the actions of some rows, in `values`.
    void judge(Range range, double* losses, float* buffer) const {
        const Sizes& s = this->s;
        float *values = this->target, *slopes = this->values;
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

    // The penalty of actions, and back through tanh.
    void penalise(Range range, float action_l2, double* losses) const {
        const Sizes& s = this->s;
        const float weight = action_l2 / (float(s.batch) * s.actions);
        for (int r = range.first; r < std::min(range.last, s.batch); ++r)
            for (int i = r * s.actions; i < (r + 1) * s.actions; ++i) {
                const float action = this->action[i];
                losses[r] += double(weight) * action * action;
                float& slope = this->values[i];
                slope = (slope + 2.0f * weight * action) * (1.0f - action * action);
            }
    }
};

template <typename Kernel>
void regress_critics(const Sizes& s, const Rule& rule, Network critic, Network target_actor,
                     Network target_critic, const Sample& sample, char* scratch, float* flat,
                     float* q, double* errors) {
    const CriticPasses<Kernel> passes(s, scratch, critic, target_actor, target_critic);
    Cores cores(s.threads);
    in_threads(s.threads, [&](Thread thread) {
        cores.note(thread);
        passes.target_actor.prepare(false, thread);
        for (const auto& net : passes.target_critics) net.prepare(false, thread);
        for (const auto& net : passes.critics) net.prepare(true, thread);
        meet();
        cores.part(thread);
        const Range range = passes.own_rows(thread);
        float* buffer = passes.buffer(thread);
        passes.regression_target(range, rule, sample, buffer);
        passes.load(range, sample.inputs, sample.action, passes.joined, buffer);
        for (int e = 0; e < s.members; ++e) {
            const Net<Kernel>& net = passes.critics[e];
            const Layers<Kernel> &h = passes.h[e], &d = passes.d[e];
            if (e > 0) meet();  // the slopes of the critic before are still read
            passes.forward(range, net, passes.joined, h);
            passes.apply_head(range, net, h.back(), passes.values, buffer);
            passes.regress(range, q + int64_t(e) * s.batch, errors);
            passes.backward(range, net, passes.values, h, d, buffer);
            meet();
            passes.gradients(thread, passes.values, passes.joined, h, d, 1,
                             Gradients(flat, s, s.members, e, passes.width, 1));
        }
    });
}

template <typename Kernel>
void ascend_critic(const Sizes& s, const Rule& rule, Network actor, Network critic,
                   const float* inputs, char* scratch, float* flat, double* losses) {
    const ActorPasses<Kernel> passes(s, scratch, actor, critic);
    in_threads(s.threads, [&](Thread thread) {
        passes.actor.prepare(true, thread);
        passes.critic.prepare(true, thread);
        meet();
        const Range range = passes.own_rows(thread);
        float* buffer = passes.buffer(thread);
        passes.load(range, inputs, nullptr, passes.inputs, buffer);
        passes.act(range, passes.actor, passes.inputs, passes.h, buffer);
        passes.load(range, inputs, passes.action, passes.joined, buffer);
        passes.judge(range, losses, buffer);
        passes.penalise(range, rule.action_l2, losses);
        passes.backward(range, passes.actor, passes.values, passes.h, passes.d, buffer);
        meet();
        passes.gradients(thread, passes.values, passes.inputs, passes.h, passes.d, s.actions,
                         Gradients(flat, s, 1, 0, s.inputs, s.actions));
    });
}

template <typename Kernel>
int64_t count_scratch(const Sizes& s) {
    const CriticPasses<Kernel> critic(s, nullptr, nullptr, nullptr, nullptr);
    const ActorPasses<Kernel> actor(s, nullptr, nullptr, nullptr);
    return std::max(critic.arena.used, actor.arena.used) + 64;  // a block may reach beyond the end
}

double sum(const double* values, int count) {
    double total = 0.0;
    for (int i = 0; i < count; ++i) total += values[i];
    return total;
}

using Full = Kernels<Float32>;
#ifdef __AVX512BF16__
using Reduced = Kernels<BFloat16>;
#else
using Reduced = Full;  // this compiler does not know the instruction, which is no loss of precision
#endif

}  // namespace

extern "C" {

// Bytes of scratch that both functions need, aligned to 64.
int64_t scratch_size(const Sizes* s, int32_t reduced) {
    return reduced ? count_scratch<Reduced>(*s) : count_scratch<Full>(*s);
}

// Regress all critics on the clipped double-Q target: values q [members, batch], gradients in the
// order of the critics' parameters, returns the loss. `terms` has room for a number of each sample.
double critic_gradients(const Sizes* s, int32_t reduced, const Rule* rule, Network critic,
                        Network target_actor, Network target_critic, const Sample* sample,
                        char* scratch, float* gradients, float* q, double* terms) {
    std::fill(terms, terms + s->batch, 0.0);
    const auto compute = reduced ? regress_critics<Reduced> : regress_critics<Full>;
    compute(*s, *rule, critic, target_actor, target_critic, *sample, scratch, gradients, q, terms);
    return sum(terms, s->batch) / s->batch;
}

// Ascend the first critic's value of the actor's own actions, TD3 equation 15, less their squares;
// gradients in the order of the actor's parameters, returns the loss.
double actor_gradients(const Sizes* s, int32_t reduced, const Rule* rule, Network actor,
                       Network critic, const float* inputs, char* scratch, float* gradients,
                       double* terms) {
    std::fill(terms, terms + s->batch, 0.0);
    const auto compute = reduced ? ascend_critic<Reduced> : ascend_critic<Full>;
    compute(*s, *rule, actor, critic, inputs, scratch, gradients, terms);
    return sum(terms, s->batch);
}

}  // extern "C"
