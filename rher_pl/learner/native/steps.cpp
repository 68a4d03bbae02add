// Steps of many float32 tensors at once.

namespace {

// A thread's share of the elements of each tensor: calls step(tensor, first, count). The same thread has
// the same elements whatever the other tensors are, and of stacked networks whole members.
template <typename Step>
void each_share(const int64_t* sizes, int32_t count, Thread thread, Step step) {
    for (int t = 0; t < count; ++t) {
        const int64_t first = sizes[t] * thread.number / thread.count;
        const int64_t last = sizes[t] * (thread.number + 1) / thread.count;
        if (first < last) step(t, first, last - first);
    }
}

}  // namespace

extern "C" {

// One step of Adam; `steps` counts those of each tensor, as PyTorch does, and is raised.
void adam_step(const AdamRule* rule, int32_t count, int32_t threads, const int64_t* sizes,
               float* const* values, const float* const* gradients, float* const* means,
               float* const* squares, float* const* steps) {
    for (int t = 0; t < count; ++t) *steps[t] += 1.0f;
    in_threads(threads, [=](Thread thread) {
        each_share(sizes, count, thread, [=](int t, int64_t first, int64_t number) {
            Adam(*rule, *steps[t])
                .step(number, gradients[t] + first, values[t] + first, means[t] + first,
                      squares[t] + first);
        });
    });
}

// target += rate (source - target)
void polyak_step(float rate, int32_t count, int32_t threads, const int64_t* sizes,
                 float* const* targets, const float* const* sources) {
    in_threads(threads, [=](Thread thread) {
        each_share(sizes, count, thread, [=](int t, int64_t first, int64_t number) {
            approach(rate, number, sources[t] + first, targets[t] + first);
        });
    });
}

}  // extern "C"
