// Losses and gradients of TD3 on a mixed batch (Fujimoto et al., arXiv 1802.09477).
//
// Threads share the critics. If each has a team of its own, its weights and all that is computed of it
// stay near the cores of that team: cores of different clusters are slow to see what others wrote. Of
// the rest a thread takes a share of the rows through a whole pass, and then a share of the gradients
// of weights. Threads meet a few times a pass, not once an operation, and no sum depends on how many
// they are. Heads, targets and losses are float32. NaN goes through every step, so that a diverged
// network is seen in its loss.

namespace {

template <typename Kernel>
struct CriticPasses : Passes<Kernel> {
    using Matrix = typename Kernel::Matrix;

    Matrix next_joined;
    Net<Kernel> target_actor;
    std::vector<Net<Kernel>> critics, target_critics;
    std::vector<Layers<Kernel>> h, d, target_h;
    std::vector<float*> next_values, slopes;  // of each member, [rows]

    CriticPasses(const Sizes& s, char* base, Network critic, Network target_actor,
                 Network target_critic)
        : Passes<Kernel>(s, base), next_joined(Kernel::matrix(this->arena, this->rows, this->width)),
          target_actor(this->arena, s, target_actor, 0, s.inputs, s.actions) {
        Arena& arena = this->arena;
        for (int e = 0; e < s.members; ++e) {
            h.push_back(make_layers<Kernel>(arena, s, Purpose::LEARN));
            d.push_back(make_layers<Kernel>(arena, s, Purpose::LEARN_SLOPES));
            target_h.push_back(make_layers<Kernel>(arena, s, Purpose::PASS));
            critics.emplace_back(arena, s, critic, e, this->width, 1);
            target_critics.emplace_back(arena, s, target_critic, e, this->width, 1);
            next_values.push_back(arena.take<float>(this->rows));
            slopes.push_back(arena.take<float>(this->rows));
        }
    }

    // All critics see the smoothed action of the target actor in some rows, TD3 equation 14.
    void load_next(Range range, const Rule& rule, const Sample& sample, float* buffer) const {
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

    void judge_next(Range range, int e, float* buffer) const {
        this->forward(range, target_critics[e], next_joined, target_h[e]);
        this->apply_head(range, target_critics[e], target_h[e].back(), next_values[e], buffer);
    }

    // Clipped, bounded double-Q target of a row, TD3 equation 10.
    float target(int r, const Rule& rule, const Sample& sample) const {
        float least = next_values[0][r];
        for (const float* values : next_values)
            least = least <= values[r] || std::isnan(least) ? least : values[r];
        const float gamma = sample.terminated[r] ? 0.0f : rule.gamma;
        return std::clamp(sample.reward[r] + gamma * least, rule.lowest, rule.highest);
    }

    // Of a critic's values of some rows: their slopes in the loss, which take their place.
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
    Net<Kernel> actor, critic;
    float *values, *slopes;  // of the critic [rows], and along the actions [rows, actions]

    ActorPasses(const Sizes& s, char* base, Network actor, Network critic)
        : Passes<Kernel>(s, base), h(make_layers<Kernel>(this->arena, s, Purpose::LEARN)),
          d(make_layers<Kernel>(this->arena, s, Purpose::LEARN_SLOPES)),
          critic_h(make_layers<Kernel>(this->arena, s, Purpose::RETURN)),
          critic_d(make_layers<Kernel>(this->arena, s, Purpose::PASS_SLOPES)),
          actor(this->arena, s, actor, 0, s.inputs, s.actions),
          critic(this->arena, s, critic, 0, this->width, 1),
          values(this->arena.template take<float>(this->rows)),
          slopes(this->arena.template take<float>(int64_t(this->rows) * s.actions)) {}

    // Slopes of minus the first critic's mean value along the actions of some rows.
    void judge(Range range, double* losses, float* buffer) const {
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

    // The penalty of actions, and back through tanh.
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

template <typename Kernel>
void regress_critics(const Sizes& s, const Rule& rule, Network critic, Network target_actor,
                     Network target_critic, const Sample& sample, char* scratch, float* flat,
                     float* q, double* errors) {
    const CriticPasses<Kernel> passes(s, scratch, critic, target_actor, target_critic);
    in_threads(s.threads, [&](Thread thread) {
        const Duty duty(s.members, thread);
        float* buffer = passes.buffer(thread);
        const auto own = [&](auto work) {
            for (int e = duty.things.first; e < duty.things.last; ++e) work(e);
        };
        passes.target_actor.prepare(false, thread);
        own([&](int e) {
            passes.target_critics[e].prepare(false, duty.thread);
            passes.critics[e].prepare(true, duty.thread);
        });
        meet();
        passes.load_next(passes.own_rows(thread), rule, sample, buffer);
        passes.load(passes.own_rows(thread), sample.inputs, sample.action, passes.joined, buffer);
        meet();
        const Range range = passes.own_rows(duty.thread);
        own([&](int e) { passes.judge_next(range, e, buffer); });
        meet();
        own([&](int e) {
            const Net<Kernel>& net = passes.critics[e];
            const Layers<Kernel> &h = passes.h[e], &d = passes.d[e];
            const int64_t first = int64_t(e) * s.batch;
            passes.forward(range, net, passes.joined, h);
            passes.apply_head(range, net, h.back(), passes.slopes[e], buffer);
            passes.regress(range, e, rule, sample, q + first, errors + first);
            passes.backward(range, net, passes.slopes[e], h, d, buffer);
            duty.meet();
            passes.gradients(duty.thread, passes.slopes[e], passes.joined, h, d, 1,
                             Gradients(flat, s, s.members, e, passes.width, 1));
        });
    });
}

template <typename Kernel>
void ascend_critic(const Sizes& s, const Rule& rule, Network actor, Network critic,
                   const float* inputs, char* scratch, float* flat, double* losses) {
    const ActorPasses<Kernel> passes(s, scratch, actor, critic);
    in_threads(s.threads, [&](Thread thread) {
        const Duty duty(s.members, thread);
        if (duty.things.first == 0) passes.critic.prepare(true, duty.thread);
        passes.actor.prepare(true, thread);
        meet();
        const Range range = passes.own_rows(thread);
        float* buffer = passes.buffer(thread);
        passes.load(range, inputs, nullptr, passes.inputs, buffer);
        passes.act(range, passes.actor, passes.inputs, passes.h, buffer);
        passes.load(range, inputs, passes.action, passes.joined, buffer);
        passes.judge(range, losses, buffer);
        passes.penalise(range, rule.action_l2, losses);
        passes.backward(range, passes.actor, passes.slopes, passes.h, passes.d, buffer);
        meet();
        passes.gradients(thread, passes.slopes, passes.inputs, passes.h, passes.d, s.actions,
                         Gradients(flat, s, 1, 0, s.inputs, s.actions));
    });
}

template <typename Passes, typename... Networks>
int64_t size_of(const Sizes& s, Networks... none) {
    return Passes(s, nullptr, none...).arena.used + 64;  // a block may reach beyond the end
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

// Bytes of scratch, aligned to 64, that each of the functions below needs for itself: what a thread
// keeps near its core in one is not to be overwritten by another thread in the other.
int64_t critic_scratch_size(const Sizes* s, int32_t reduced) {
    return reduced ? size_of<CriticPasses<Reduced>>(*s, nullptr, nullptr, nullptr)
                   : size_of<CriticPasses<Full>>(*s, nullptr, nullptr, nullptr);
}

int64_t actor_scratch_size(const Sizes* s, int32_t reduced) {
    return reduced ? size_of<ActorPasses<Reduced>>(*s, nullptr, nullptr)
                   : size_of<ActorPasses<Full>>(*s, nullptr, nullptr);
}

// Regress all critics on the clipped double-Q target: values q [members, batch], gradients in the
// order of the critics' parameters, returns the loss. `terms` has room for [members, batch].
double critic_gradients(const Sizes* s, int32_t reduced, const Rule* rule, Network critic,
                        Network target_actor, Network target_critic, const Sample* sample,
                        char* scratch, float* gradients, float* q, double* terms) {
    const auto compute = reduced ? regress_critics<Reduced> : regress_critics<Full>;
    compute(*s, *rule, critic, target_actor, target_critic, *sample, scratch, gradients, q, terms);
    return sum(terms, s->members * s->batch) / s->batch;
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
