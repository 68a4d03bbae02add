// Steps of many float32 tensors at once: Adam (Kingma and Ba, arXiv 1412.6980) and Polyak averages.

namespace {

// A thread's share of the elements of each tensor: calls step(tensor, first, last). The same thread has
// the same elements whatever the other tensors are, and of stacked networks whole members.
template <typename Step>
void each_share(const int64_t* sizes, int32_t count, Thread thread, Step step) {
    for (int t = 0; t < count; ++t) {
        const int64_t first = sizes[t] * thread.number / thread.count;
        const int64_t last = sizes[t] * (thread.number + 1) / thread.count;
        if (first < last) step(t, first, last);
    }
}

}  // namespace

extern "C" {

struct AdamRule {
    double rate, beta1, beta2, epsilon;
};

// One step of Adam; `steps` counts those of each tensor, as PyTorch does, and is raised.
void adam_step(const AdamRule* rule, int32_t count, int32_t threads, const int64_t* sizes,
               float* const* values, const float* const* gradients, float* const* means,
               float* const* squares, float* const* steps) {
    for (int t = 0; t < count; ++t) *steps[t] += 1.0f;
    in_threads(threads, [=](Thread thread) {
        each_share(sizes, count, thread, [=](int t, int64_t first, int64_t last) {
            const double done = *steps[t];
            const float rate = rule->rate / (1.0 - std::pow(rule->beta1, done));
            const float scale = 1.0 / std::sqrt(1.0 - std::pow(rule->beta2, done));
            const float new1 = 1.0 - rule->beta1, new2 = 1.0 - rule->beta2;
            const float beta2 = rule->beta2, epsilon = rule->epsilon;
            float *value = values[t], *mean = means[t], *square = squares[t];
            const float* gradient = gradients[t];
#pragma omp simd
            for (int64_t i = first; i < last; ++i) {
                const float g = gradient[i];
                mean[i] += new1 * (g - mean[i]);
                square[i] = beta2 * square[i] + new2 * g * g;
                value[i] -= rate * mean[i] / (std::sqrt(square[i]) * scale + epsilon);
            }
        });
    });
}

// target += rate (source - target)
void polyak_step(float rate, int32_t count, int32_t threads, const int64_t* sizes,
                 float* const* targets, const float* const* sources) {
    in_threads(threads, [=](Thread thread) {
        each_share(sizes, count, thread, [=](int t, int64_t first, int64_t last) {
            float* target = targets[t];
            const float* source = sources[t];
#pragma omp simd
            for (int64_t i = first; i < last; ++i) target[i] += rate * (source[i] - target[i]);
        });
    });
}

}  // extern "C"
