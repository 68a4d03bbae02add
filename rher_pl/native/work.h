// Sizes, memory, and how work is divided among threads. All memory is row-major; weights are
// [in, out] as in perceptron.py.

#include <omp.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

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

}  // extern "C"

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;  // floats in a vector
constexpr int BLOCK = 8;   // rows that are computed together, as many as registers have room for
#else
constexpr int LANES = 8;
constexpr int BLOCK = 6;
#endif

constexpr int PANEL = 2 * LANES;  // columns that are

int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

struct Range {
    int first, last;
};

struct Thread {
    int number, count;

    // Its share of n things in whole blocks.
    Range share(int n, int block = BLOCK) const {
        const int64_t blocks = (n + block - 1) / block;
        return {std::min(n, int(blocks * number / count) * block),
                std::min(n, int(blocks * (number + 1) / count) * block)};
    }
};

// Runs the work once in each thread. One thread forms no team: a forked process may be unable to.
template <typename Work>
void in_threads(int threads, Work work) {
    if (threads == 1) return work(Thread{0, 1});
#pragma omp parallel num_threads(threads)
    work(Thread{omp_get_thread_num(), omp_get_num_threads()});
}

// All threads wait here for each other.
void meet() {
#pragma omp barrier
}

// Threads on one core take turns, and as each sleeps now and then the scheduler may leave them there
// for long. So they note where they are, and once they have met, all but the first of a core leave.
struct Cores {
    std::vector<int> taken;

    explicit Cores(int threads) : taken(threads, -1) {}

#ifdef __linux__
    void note(Thread thread) { taken[thread.number] = sched_getcpu(); }

    void part(Thread thread) const {
        const auto own = taken.begin() + thread.number;
        if (std::find(taken.begin(), own, *own) == own) return;
        cpu_set_t allowed, others;
        if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
        others = allowed;
        for (int core : taken)
            if (core >= 0 && core < CPU_SETSIZE) CPU_CLR(core, &others);
        if (CPU_COUNT(&others) == 0) return;
        sched_setaffinity(0, sizeof(others), &others);  // moves at once,
        sched_setaffinity(0, sizeof(allowed), &allowed);  // and is free again
    }
#else
    void note(Thread) {}
    void part(Thread) const {}
#endif
};

// Memory handed out piece by piece; without a base it only counts.
struct Arena {
    char* base;
    int64_t used = 0;

    template <typename T>
    T* take(int64_t count) {
        T* taken = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
        used += (count * int64_t(sizeof(T)) + 63) / 64 * 64;
        return taken;
    }
};

}  // namespace
