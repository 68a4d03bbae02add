// Losses and gradients of TD3 on a mixed batch, in float32 (Fujimoto et al., arXiv 1802.09477).
//
// Each thread takes a share of the batch's rows through a whole pass, so that what it computes stays
// in its own cache and threads meet once a pass, not once an operation. Products are BLAS's, as in
// PyTorch itself. All matrices are row-major; weights are [member, in, out] as in perceptron.py.
// NaN goes through every step, so that a diverged network is seen in its loss.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

extern "C" void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
                       const float*, const int*, const float*, const int*, const float*, float*,
                       const int*);

namespace {

// C [m, n] = A [m, k] B [k, n]; a transposed factor is stored the other way round.
enum Order { PLAIN, TRANSPOSED };

void product(Order order_a, Order order_b, int m, int n, int k, const float* a, const float* b,
             float* c) {
    const float one = 1.0f, zero = 0.0f;
    const int lda = order_a == PLAIN ? k : m, ldb = order_b == PLAIN ? n : k;
    // BLAS counts columns first: there the same memory is the transposed product.
    sgemm_(order_b == PLAIN ? "N" : "T", order_a == PLAIN ? "N" : "T", &n, &m, &k, &one, b, &ldb, a,
           &lda, &zero, c, &n);
}

float dot(const float* a, const float* b, int n) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

void add_bias_and_rectify(float* h, const float* bias, int rows, int n) {
    for (int r = 0; r < rows; ++r, h += n) {
#pragma omp simd
        for (int j = 0; j < n; ++j) {
            const float value = h[j] + bias[j];
            h[j] = value < 0.0f ? 0.0f : value;
        }
    }
}

// Back through a rectifier whose output was h: the gradient d, and its sum over rows if asked for.
void rectify_backward(float* d, const float* h, float* bias_gradient, int rows, int n) {
    for (int r = 0; r < rows; ++r, d += n, h += n) {
#pragma omp simd
        for (int j = 0; j < n; ++j) d[j] = h[j] > 0.0f ? d[j] : 0.0f;
        if (bias_gradient == nullptr) continue;
#pragma omp simd
        for (int j = 0; j < n; ++j) bias_gradient[j] += d[j];
    }
}

struct Rows {
    int first, count;
};

// Share of thread `number` of `threads`.
Rows share(int batch, int number, int threads) {
    const int first = int(int64_t(batch) * number / threads);
    return {first, int(int64_t(batch) * (number + 1) / threads) - first};
}

}  // namespace

extern "C" {

struct Sizes {
    int32_t batch, inputs, actions, hidden, layers, members, threads;
};

struct Rule {
    float gamma, noise_clip, lowest, highest, action_l2;
};

// Weight and bias of each layer, first to last, the head included.
using Network = float* const*;

struct Sample {
    const float *inputs, *action, *next_inputs, *noise, *reward;
    const uint8_t* terminated;
};

// Floats of scratch that a thread needs.
int64_t scratch_size(const Sizes* s) {
    const int64_t rows = s->batch / s->threads + 1;
    const int64_t row = s->inputs + 3 * s->actions + 2 * (s->layers + 2) * s->hidden + 1;
    return rows * row + 64;
}

}  // extern "C"

namespace {

// A thread's view of the work: its rows, and memory for what it computes of them.
struct Worker {
    const Sizes& s;
    Rows rows;
    float* free_scratch;

    Worker(const Sizes& sizes, float* scratch, int number)
        : s(sizes), rows(share(sizes.batch, number, sizes.threads)),
          free_scratch(scratch + number * scratch_size(&sizes)) {}

    float* take(int64_t width) {
        float* taken = free_scratch;
        free_scratch += rows.count * width;
        return taken;
    }

    // Memory for the outputs of all hidden layers, one after the other.
    float* take_layers() { return take(int64_t(s.layers) * s.hidden); }

    float* layer(float* all, int l) const { return all + int64_t(l) * rows.count * s.hidden; }

    // Hidden layers of one member, from x [rows, width].
    void forward(Network net, int member, const float* x, int width, float* all) const {
        int n = width;
        for (int l = 0; l < s.layers; ++l) {
            float* h = layer(all, l);
            const float* weight = net[2 * l] + int64_t(member) * n * s.hidden;
            product(PLAIN, PLAIN, rows.count, s.hidden, n, x, weight, h);
            add_bias_and_rectify(h, net[2 * l + 1] + member * s.hidden, rows.count, s.hidden);
            x = h, n = s.hidden;
        }
    }

    // Value of one member for row r, from the last hidden layer.
    float value(Network net, int member, const float* all, int r) const {
        const float* h = all + (int64_t(s.layers - 1) * rows.count + r) * s.hidden;
        return dot(h, net[2 * s.layers] + int64_t(member) * s.hidden, s.hidden) +
               net[2 * s.layers + 1][member];
    }

    // Actions [rows, actions] from an actor's last hidden layer.
    void act(Network net, float* all, float* action) const {
        const float *h = layer(all, s.layers - 1), *bias = net[2 * s.layers + 1];
        product(PLAIN, PLAIN, rows.count, s.actions, s.hidden, h, net[2 * s.layers], action);
        for (int i = 0; i < rows.count * s.actions; ++i)
            action[i] = std::tanh(action[i] + bias[i % s.actions]);
    }

    // Inputs and actions side by side, [rows, inputs + actions].
    void join(const float* inputs, const float* action, float* x) const {
        for (int r = 0; r < rows.count; ++r, x += s.inputs + s.actions) {
            std::memcpy(x, inputs + int64_t(r) * s.inputs, sizeof(float) * s.inputs);
            std::memcpy(x + s.inputs, action + int64_t(r) * s.actions, sizeof(float) * s.actions);
        }
    }

    // From d, the gradient of the last hidden layer's sums, down to that of the first one's. With
    // `gradients` (by parameter, of one member) those of weights and biases on the way are kept; d
    // and `other` take turns, and the one that holds the result is returned.
    float* backward(Network net, int member, const float* x, int width, float* all, float* d,
                    float* other, float* const* gradients) const {
        for (int l = s.layers - 1; l >= 0; --l) {
            const int n = l > 0 ? s.hidden : width;
            if (gradients != nullptr)
                product(TRANSPOSED, PLAIN, n, s.hidden, rows.count, l > 0 ? layer(all, l - 1) : x,
                        d, gradients[2 * l]);
            if (l == 0) break;
            const float* weight = net[2 * l] + int64_t(member) * n * s.hidden;
            product(PLAIN, TRANSPOSED, rows.count, n, s.hidden, d, weight, other);
            float* bias = gradients == nullptr ? nullptr : gradients[2 * l - 1];
            if (bias != nullptr) std::fill(bias, bias + n, 0.0f);
            rectify_backward(other, layer(all, l - 1), bias, rows.count, n);
            std::swap(d, other);
        }
        return d;
    }
};

// Where the gradient of each parameter of a member is in a flat buffer [weight_0, bias_0, ...],
// each [members, ...].
void locate(const Sizes& s, int members, int member, int width, int outputs, float* flat,
            float** gradients) {
    for (int l = 0, n = width; l <= s.layers; ++l, n = s.hidden) {
        const int64_t m = l < s.layers ? s.hidden : outputs;
        gradients[2 * l] = flat + int64_t(member) * n * m;
        flat += members * n * m;
        gradients[2 * l + 1] = flat + member * m;
        flat += members * m;
    }
}

// Share by share, each by one thread; what their gradients add up to goes to the first part, in a
// fixed order. One share forms no team of threads: a forked process may be unable to.
template <typename Share>
void in_shares(int threads, float* gradients, int64_t size, Share compute) {
    if (threads == 1) return compute(0);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static, 1)
        for (int n = 0; n < threads; ++n) compute(n);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < size; ++i) {
            float sum = gradients[i];
            for (int n = 1; n < threads; ++n) sum += gradients[n * size + i];
            gradients[i] = sum;
        }
    }
}

constexpr int MOST_LAYERS = 1000;

// Clipped, bounded double-Q target of a worker's rows, TD3 equation 10; x is left joined.
void regression_target(Worker& worker, const Rule& rule, Network target_actor,
                       Network target_critic, const Sample& sample, float* x, float* all,
                       float* action, float* target) {
    const Sizes& s = worker.s;
    const int64_t first = worker.rows.first;
    const float* inputs = sample.next_inputs + first * s.inputs;
    worker.forward(target_actor, 0, inputs, s.inputs, all);
    worker.act(target_actor, all, action);
    for (int i = 0; i < worker.rows.count * s.actions; ++i) {
        const float noise = sample.noise[first * s.actions + i];
        const float smoothed = action[i] + std::clamp(noise, -rule.noise_clip, rule.noise_clip);
        action[i] = std::clamp(smoothed, -1.0f, 1.0f);
    }
    worker.join(inputs, action, x);
    for (int e = 0; e < s.members; ++e) {
        worker.forward(target_critic, e, x, s.inputs + s.actions, all);
        for (int r = 0; r < worker.rows.count; ++r) {
            const float value = worker.value(target_critic, e, all, r);
            target[r] = e > 0 && target[r] <= value ? target[r] : value;
        }
    }
    for (int r = 0; r < worker.rows.count; ++r) {
        const float gamma = sample.terminated[first + r] ? 0.0f : rule.gamma;
        target[r] = sample.reward[first + r] + gamma * target[r];
        target[r] = std::clamp(target[r], rule.lowest, rule.highest);
    }
}

// One critic's squared error on the target, back to the sums of its last hidden layer, d.
double regress(const Worker& worker, Network critic, int member, const float* target,
               const float* all, float* q, float* d, float* const* gradients) {
    const Sizes& s = worker.s;
    const float* head = critic[2 * s.layers] + int64_t(member) * s.hidden;
    const float* h = all + int64_t(s.layers - 1) * worker.rows.count * s.hidden;
    float *head_gradient = gradients[2 * s.layers], *last_bias = gradients[2 * s.layers - 1];
    std::fill(head_gradient, head_gradient + s.hidden, 0.0f);
    std::fill(last_bias, last_bias + s.hidden, 0.0f);
    double loss = 0.0;
    float bias_gradient = 0.0f;
    for (int r = 0; r < worker.rows.count; ++r, h += s.hidden, d += s.hidden) {
        q[r] = worker.value(critic, member, all, r);
        const float error = q[r] - target[r], slope = 2.0f * error / s.batch;
        loss += double(error) * error / s.batch;
        bias_gradient += slope;
#pragma omp simd
        for (int j = 0; j < s.hidden; ++j) {
            head_gradient[j] += slope * h[j];
            d[j] = h[j] > 0.0f ? slope * head[j] : 0.0f;
            last_bias[j] += d[j];
        }
    }
    *gradients[2 * s.layers + 1] = bias_gradient;
    return loss;
}

// A worker's share of critic_gradients; returns its share of the loss.
double critic_share(Worker worker, const Rule& rule, Network critic, Network target_actor,
                    Network target_critic, const Sample& sample, float* gradients, float* q) {
    const Sizes& s = worker.s;
    const int width = s.inputs + s.actions;
    const int64_t first = worker.rows.first;
    float *x = worker.take(width), *all = worker.take_layers(), *d = worker.take(s.hidden),
          *other = worker.take(s.hidden), *action = worker.take(s.actions),
          *target = worker.take(1), *mine[2 * MOST_LAYERS + 2];
    regression_target(worker, rule, target_actor, target_critic, sample, x, all, action, target);
    worker.join(sample.inputs + first * s.inputs, sample.action + first * s.actions, x);
    double loss = 0.0;
    for (int e = 0; e < s.members; ++e) {
        locate(s, s.members, e, width, 1, gradients, mine);
        worker.forward(critic, e, x, width, all);
        loss += regress(worker, critic, e, target, all, q + int64_t(e) * s.batch + first, d, mine);
        worker.backward(critic, e, x, width, all, d, other, mine);
    }
    return loss;
}

// Slope of minus the first critic's mean value along the actions, [rows, actions]; returns minus
// that mean.
double judge(Worker& worker, Network critic, const float* x, float* slope) {
    const Sizes& s = worker.s;
    float *all = worker.take_layers(), *d = worker.take(s.hidden), *other = worker.take(s.hidden);
    worker.forward(critic, 0, x, s.inputs + s.actions, all);
    const float *head = critic[2 * s.layers], *h = worker.layer(all, s.layers - 1);
    double loss = 0.0;
    for (int r = 0; r < worker.rows.count; ++r) {
        loss -= double(worker.value(critic, 0, all, r)) / s.batch;
        const int64_t at = int64_t(r) * s.hidden;
#pragma omp simd
        for (int j = 0; j < s.hidden; ++j) d[at + j] = h[at + j] > 0.0f ? -head[j] / s.batch : 0.0f;
    }
    d = worker.backward(critic, 0, x, s.inputs + s.actions, all, d, other, nullptr);
    const float* action_rows = critic[0] + int64_t(s.inputs) * s.hidden;
    product(PLAIN, TRANSPOSED, worker.rows.count, s.actions, s.hidden, d, action_rows, slope);
    return loss;
}

// A worker's share of actor_gradients; returns its share of the loss.
double actor_share(Worker worker, const Rule& rule, Network actor, Network critic,
                   const float* inputs, float* gradients) {
    const Sizes& s = worker.s;
    const int count = worker.rows.count;
    float *x = worker.take(s.inputs + s.actions), *all = worker.take_layers(),
          *d = worker.take(s.hidden), *other = worker.take(s.hidden),
          *action = worker.take(s.actions), *slope = worker.take(s.actions),
          *mine[2 * MOST_LAYERS + 2];
    inputs += int64_t(worker.rows.first) * s.inputs;
    worker.forward(actor, 0, inputs, s.inputs, all);
    worker.act(actor, all, action);
    worker.join(inputs, action, x);
    double loss = judge(worker, critic, x, slope);

    locate(s, 1, 0, s.inputs, s.actions, gradients, mine);
    float *bias = mine[2 * s.layers + 1], *last_bias = mine[2 * s.layers - 1];
    std::fill(bias, bias + s.actions, 0.0f);
    std::fill(last_bias, last_bias + s.hidden, 0.0f);
    const float weight = rule.action_l2 / (float(s.batch) * s.actions);
    for (int i = 0; i < count * s.actions; ++i) {
        loss += double(weight) * action[i] * action[i];
        slope[i] = (slope[i] + 2.0f * weight * action[i]) * (1.0f - action[i] * action[i]);
        bias[i % s.actions] += slope[i];
    }
    float* last = worker.layer(all, s.layers - 1);
    product(TRANSPOSED, PLAIN, s.hidden, s.actions, count, last, slope, mine[2 * s.layers]);
    product(PLAIN, TRANSPOSED, count, s.hidden, s.actions, slope, actor[2 * s.layers], d);
    rectify_backward(d, last, last_bias, count, s.hidden);
    worker.backward(actor, 0, inputs, s.inputs, all, d, other, mine);
    return loss;
}

}  // namespace

extern "C" {

// Regress all critics on the clipped double-Q target: q [members, batch]; gradients
// [threads, size], of which the first row is the result; losses [threads], to be added up.
void critic_gradients(const Sizes* s, const Rule* rule, Network critic, Network target_actor,
                      Network target_critic, const Sample* sample, float* scratch,
                      float* gradients, int64_t size, float* q, double* losses) {
    in_shares(s->threads, gradients, size, [=](int n) {
        losses[n] = critic_share(Worker(*s, scratch, n), *rule, critic, target_actor, target_critic,
                                 *sample, gradients + n * size, q);
    });
}

// Ascend the first critic's value of the actor's own actions, TD3 equation 15, less their squares.
void actor_gradients(const Sizes* s, const Rule* rule, Network actor, Network critic,
                     const float* inputs, float* scratch, float* gradients, int64_t size,
                     double* losses) {
    in_shares(s->threads, gradients, size, [=](int n) {
        losses[n] = actor_share(Worker(*s, scratch, n), *rule, actor, critic, inputs,
                                gradients + n * size);
    });
}

}  // extern "C"
