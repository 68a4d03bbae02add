// Losses and gradients of TD3 on a mixed batch (Fujimoto et al., arXiv 1802.09477).
//
// Each thread takes a share of the rows through a whole pass, so that what it computes stays in its
// own cache, and then a share of the gradients of weights. Threads meet twice a pass, not once an
// operation, and no sum depends on how many they are. Heads, targets and losses are float32. NaN goes through every step, so that a diverged network is seen in its loss.

namespace {

float dot(const float* a, const float* b, int n) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

// Sum of rows [count, n] by weight.
void weigh(const float* weights, const float* rows, int count, int n, float* out) {
    for (int i = 0; i < n; ++i) out[i] = weights[0] * rows[i];
    for (int k = 1; k < count; ++k) {
        const float weight = weights[k], *row = rows + int64_t(k) * n;
#pragma omp simd
        for (int i = 0; i < n; ++i) out[i] += weight * row[i];
    }
}

// One member of a network: its hidden layers as the kernel wants them, and its head [outputs, hidden].
template <typename Kernel>
struct Net {
    std::vector<typename Kernel::Weight> weights;
    std::vector<const float*> biases;
    const float *first_weight, *head_weight, *head_bias;
    float* head;
    int hidden, outputs;

    Net(Arena& arena, const Sizes& s, Network net, int member, int inputs, int outputs)
        : head(arena.take<float>(int64_t(outputs) * s.hidden)), hidden(s.hidden),
          outputs(outputs) {
        for (int l = 0, in = inputs; l < s.layers; ++l, in = s.hidden) {
            weights.push_back(Kernel::weight(arena, in, s.hidden));
            biases.push_back(nullptr);
            if (net == nullptr) continue;
            weights[l].values = net[2 * l] + int64_t(member) * in * s.hidden;
            biases[l] = net[2 * l + 1] + int64_t(member) * s.hidden;
        }
        if (net == nullptr) return;
        first_weight = weights[0].values;
        head_weight = net[2 * s.layers] + int64_t(member) * s.hidden * outputs;
        head_bias = net[2 * s.layers + 1] + int64_t(member) * outputs;
    }

    // Gradients go through all weights but the first ones, if any do.
    void prepare(bool backward, Thread thread) const {
        for (size_t l = 0; l < weights.size(); ++l)
            Kernel::prepare(weights[l], backward && l > 0, thread);
        const Range units = thread.share(hidden);
        for (int j = units.first; j < units.last; ++j)
            for (int a = 0; a < outputs; ++a) head[a * hidden + j] = head_weight[j * outputs + a];
    }
};

// Outputs of the hidden layers, or the gradients of their sums, first to last.
template <typename Kernel>
using Layers = std::vector<typename Kernel::Matrix>;

// What becomes of them: outputs passed on only, also gone back through, or for gradients of weights
// as well; and slopes, passed back only or for gradients of weights as well.
enum class Purpose { PASS, RETURN, LEARN, PASS_SLOPES, LEARN_SLOPES };

template <typename Kernel>
Layers<Kernel> make_layers(Arena& arena, const Sizes& s, Purpose purpose) {
    const bool in_rows = purpose == Purpose::RETURN || purpose == Purpose::LEARN;
    const bool in_panels = (purpose == Purpose::LEARN && Kernel::READ_IN_PANELS) ||
                           purpose == Purpose::LEARN_SLOPES;
    const int rows = round_up(s.batch, BLOCK);
    return Kernel::matrices(arena, rows, s.hidden, s.layers, in_rows, in_panels);
}

// Where the gradient of each parameter of a member is in a flat buffer [weight_0, bias_0, ...],
// each [members, ...].
struct Gradients {
    std::vector<float*> parameters;

    Gradients(float* flat, const Sizes& s, int members, int member, int inputs, int outputs) {
        for (int l = 0, in = inputs; l <= s.layers; ++l, in = s.hidden) {
            const int64_t out = l < s.layers ? s.hidden : outputs;
            parameters.push_back(flat + int64_t(member) * in * out);
            flat += members * in * out;
            parameters.push_back(flat + member * out);
            flat += members * out;
        }
    }
};

// The passes over a batch of some size, and the memory that they need.
template <typename Kernel>
struct Passes {
    using Matrix = typename Kernel::Matrix;

    const Sizes& s;
    Arena arena;
    int rows, width;  // width of a critic's inputs
    Matrix inputs, joined;
    float *action, *values, *target;  // values: of heads, or their slopes, [rows, actions]
    float* buffers;
    int64_t buffer_size;

    Passes(const Sizes& sizes, char* base)
        : s(sizes), arena{base}, rows(round_up(s.batch, BLOCK)), width(s.inputs + s.actions),
          inputs(Kernel::matrix(arena, rows, s.inputs)),
          joined(Kernel::matrix(arena, rows, width)),
          action(arena.take<float>(int64_t(rows) * s.actions)),
          values(arena.take<float>(int64_t(rows) * s.actions)),
          target(arena.take<float>(rows)),
          buffer_size(round_up(2 * std::max(width, s.hidden), 64)) {
        buffers = arena.take<float>(s.threads * buffer_size);
    }

    // Two rows of floats for each thread.
    float* buffer(Thread thread) const { return buffers + thread.number * buffer_size; }

    Range own_rows(Thread thread) const { return thread.share(rows); }

    // Rows [batch, inputs] as a matrix, and `actions` [rows, actions] beside them if there are any.
    void load(Range range, const float* from, const float* actions, const Matrix& to,
              float* buffer) const {
        for (int r = range.first; r < range.last; r += 2) {
            float* at = buffer;
            for (int k = r; k < r + 2; ++k) {
                const bool real = k < s.batch;
                fill_row(at, real ? from + int64_t(k) * s.inputs : nullptr, s.inputs);
                if (actions == nullptr) continue;
                fill_row(at, real ? actions + int64_t(k) * s.actions : nullptr, s.actions);
            }
            Kernel::put(to, r, buffer);
        }
    }

    static void fill_row(float*& at, const float* from, int count) {
        if (from == nullptr)
            std::fill(at, at + count, 0.0f);
        else
            std::memcpy(at, from, sizeof(float) * count);
        at += count;
    }

    void forward(Range range, const Net<Kernel>& net, const Matrix& x, const Layers<Kernel>& h) const {
        for (int l = 0; l < s.layers; ++l)
            Kernel::forward(range, l > 0 ? h[l - 1] : x, net.weights[l], net.biases[l], h[l]);
    }

    // Outputs of the head, [rows, outputs].
    void apply_head(Range range, const Net<Kernel>& net, const Matrix& last, float* out,
                    float* buffer) const {
        for (int r = range.first; r < range.last; ++r) {
            const float* h = Kernel::get(last, r, buffer);
            float* to = out + int64_t(r) * net.outputs;
            for (int a = 0; a < net.outputs; ++a)
                to[a] = net.head_bias[a] + dot(h, net.head + int64_t(a) * s.hidden, s.hidden);
        }
    }

    void act(Range range, const Net<Kernel>& net, const Matrix& x, const Layers<Kernel>& h,
             float* buffer) const {
        forward(range, net, x, h);
        apply_head(range, net, h.back(), action, buffer);
        for (int i = range.first * s.actions; i < range.last * s.actions; ++i)
            action[i] = std::tanh(action[i]);
    }

    // From slopes of the head's outputs, [rows, outputs], to gradients of all hidden layers' sums.
    void backward(Range range, const Net<Kernel>& net, const float* slopes, const Layers<Kernel>& h,
                  const Layers<Kernel>& d, float* buffer) const {
        std::vector<float> output(round_up(s.hidden, PANEL));
        for (int r = range.first; r < range.last; r += 2) {
            for (int k = 0; k < 2; ++k) {
                const float* last = Kernel::get(h.back(), r + k, output.data());
                const float* slope = slopes + int64_t(r + k) * net.outputs;
                weigh(slope, net.head, net.outputs, s.hidden, buffer + k * s.hidden);
                for (int j = 0; j < s.hidden; ++j)
                    buffer[k * s.hidden + j] = last[j] > 0.0f ? buffer[k * s.hidden + j] : 0.0f;
            }
            Kernel::put(d.back(), r, buffer);
        }
        for (int l = s.layers - 1; l > 0; --l)
            Kernel::backward(range, d[l], net.weights[l], h[l - 1], d[l - 1]);
    }

    // A thread's share of all gradients of a member, from the slopes and what passes left behind.
    void gradients(Thread thread, const float* slopes, const Matrix& x, const Layers<Kernel>& h,
                   const Layers<Kernel>& d, int outputs, const Gradients& to) const {
        const Range units = thread.share(s.hidden, PANEL);
        for (int l = 0; l < s.layers; ++l) {
            const Matrix& before = l > 0 ? h[l - 1] : x;
            Kernel::weight_gradient(thread.share(before.width), before, d[l], to.parameters[2 * l]);
            Kernel::bias_gradient(units, d[l], to.parameters[2 * l + 1]);
        }
        head_gradient(units, slopes, h.back(), outputs, to.parameters[2 * s.layers]);
        if (thread.number > 0) return;
        float* bias = to.parameters[2 * s.layers + 1];
        std::fill(bias, bias + outputs, 0.0f);
        for (int i = 0; i < rows * outputs; ++i) bias[i % outputs] += slopes[i];
    }

    void head_gradient(Range units, const float* slopes, const Matrix& last, int outputs,
                       float* out) const {
        std::vector<float> sums(int64_t(outputs) * s.hidden, 0.0f);
        std::vector<float> buffer(round_up(s.hidden, PANEL));
        for (int r = 0; r < rows; ++r) {
            const float* h = Kernel::get(last, r, buffer.data());
            for (int a = 0; a < outputs; ++a) {
                const float slope = slopes[int64_t(r) * outputs + a];
                float* sum = sums.data() + int64_t(a) * s.hidden;
#pragma omp simd
                for (int j = units.first; j < units.last; ++j) sum[j] += slope * h[j];
            }
        }
        for (int j = units.first; j < units.last; ++j)
            for (int a = 0; a < outputs; ++a) out[j * outputs + a] = sums[int64_t(a) * s.hidden + j];
    }
};

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
    in_threads(s.threads, [&](Thread thread) {
        passes.target_actor.prepare(false, thread);
        for (const auto& net : passes.target_critics) net.prepare(false, thread);
        for (const auto& net : passes.critics) net.prepare(true, thread);
        meet();
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
