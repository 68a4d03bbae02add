// Forward and backward passes of a network over rows of a batch, and the gradients of its weights.

#pragma once

#include "kernels.h"

namespace {

float dot(const float* a, const float* b, int n) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

// Weighted sum of rows [count, n].
void weigh(const float* weights, const float* rows, int count, int n, float* out) {
    for (int i = 0; i < n; ++i) out[i] = weights[0] * rows[i];
    for (int k = 1; k < count; ++k) {
        const float weight = weights[k], *row = rows + int64_t(k) * n;
#pragma omp simd
        for (int i = 0; i < n; ++i) out[i] += weight * row[i];
    }
}

// One member of a network: hidden layers as kernels read them, and the head [outputs, hidden].
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

    // If `backward`, gradients go through the weights of all layers but the first.
    void prepare(bool backward, Thread thread) const {
        for (size_t l = 0; l < weights.size(); ++l)
            Kernel::prepare(weights[l], backward && l > 0, thread);
        prepare_head(thread.share(hidden, PANEL));
    }

    void prepare_head(Range units) const {
        for (int j = units.first; j < units.last; ++j)
            for (int a = 0; a < outputs; ++a) head[a * hidden + j] = head_weight[j * outputs + a];
    }
};

// Outputs of the hidden layers, or gradients of their inputs to ReLU, first to last.
template <typename Kernel>
using Layers = std::vector<typename Kernel::Matrix>;

// What layers are kept for. Outputs: for the next layer only (PASS), also for the backward pass
// (RETURN), or for gradients of weights as well (LEARN). Slopes, which are gradients of the inputs
// to ReLU: for the backward pass only, or for gradients of weights as well.
enum class Purpose { PASS, RETURN, LEARN, PASS_SLOPES, LEARN_SLOPES };

template <typename Kernel>
Layers<Kernel> make_layers(Arena& arena, const Sizes& s, Purpose purpose) {
    const bool in_rows = purpose == Purpose::RETURN || purpose == Purpose::LEARN;
    const bool in_panels = (purpose == Purpose::LEARN && Kernel::READ_IN_PANELS) ||
                           purpose == Purpose::LEARN_SLOPES;
    const int rows = round_up(s.batch, BLOCK);
    return Kernel::matrices(arena, rows, s.hidden, s.layers, in_rows, in_panels);
}

// What the passes of a member leave behind, from which the gradients of its weights are computed.
template <typename Kernel>
struct Trace {
    const typename Kernel::Matrix& x;
    const Layers<Kernel>&h, &d;
    const float* slopes;  // gradients of the head's outputs, [rows, outputs]
    int outputs;

    const typename Kernel::Matrix& before(int layer) const { return layer > 0 ? h[layer - 1] : x; }
};

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
    int rows, width;  // width of a critic's inputs
    Matrix inputs, joined;
    float* action;  // [rows, actions]
    float* buffers;
    int64_t buffer_size;

    Passes(const Sizes& sizes, Arena& arena)
        : s(sizes), rows(round_up(s.batch, BLOCK)), width(s.inputs + s.actions),
          inputs(Kernel::matrix(arena, rows, s.inputs)),
          joined(Kernel::matrix(arena, rows, width)),
          action(arena.take<float>(int64_t(rows) * s.actions)),
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

    // From slopes of the head's outputs, [rows, outputs], to slopes of all hidden layers.
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

    // A thread's share of the gradients of biases and of the head.
    void small_gradients(Thread thread, const Trace<Kernel>& trace, const Gradients& to) const {
        const Range units = thread.share(s.hidden, PANEL);
        const int outputs = trace.outputs;
        for (int l = 0; l < s.layers; ++l)
            Kernel::bias_gradient(units, trace.d[l], to.parameters[2 * l + 1]);
        head_gradient(units, trace, to.parameters[2 * s.layers]);
        if (thread.number > 0) return;
        float* bias = to.parameters[2 * s.layers + 1];
        std::fill(bias, bias + outputs, 0.0f);
        for (int i = 0; i < rows * outputs; ++i) bias[i % outputs] += trace.slopes[i];
    }

    void head_gradient(Range units, const Trace<Kernel>& trace, float* out) const {
        const int outputs = trace.outputs;
        std::vector<float> sums(int64_t(outputs) * s.hidden, 0.0f);
        std::vector<float> buffer(round_up(s.hidden, PANEL));
        for (int r = 0; r < rows; ++r) {
            const float* h = Kernel::get(trace.h.back(), r, buffer.data());
            for (int a = 0; a < outputs; ++a) {
                const float slope = trace.slopes[int64_t(r) * outputs + a];
                float* sum = sums.data() + int64_t(a) * s.hidden;
#pragma omp simd
                for (int j = units.first; j < units.last; ++j) sum[j] += slope * h[j];
            }
        }
        for (int j = units.first; j < units.last; ++j)
            for (int a = 0; a < outputs; ++a) out[j * outputs + a] = sums[int64_t(a) * s.hidden + j];
    }
};

}  // namespace
