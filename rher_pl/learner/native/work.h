// Sizes, memory, and how work is divided among threads. All memory is row-major; weights are
// [in, out] as in perceptron.py.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

namespace {

struct Sizes {
    int32_t batch, inputs, actions, hidden, layers, members, threads;

    int parameters() const { return 2 * (layers + 1); }  // a weight and a bias of each layer

    // How many numbers the parameters of one member of a network have.
    int64_t numbers(int in, int out) const {
        return int64_t(in + 1) * hidden + (layers - 1) * int64_t(hidden + 1) * hidden +
               int64_t(hidden + 1) * out;
    }
};

struct Rule {
    float gamma, noise_clip, lowest, highest, action_l2;
};

// Weight and bias of each layer, first to last, the head included.
using Network = float* const*;

struct Networks {
    Network actor, critic, target_actor, target_critic;
};

struct Sample {
    const float *inputs, *action, *next_inputs, *noise, *reward;
    const uint8_t* terminated;
};

#ifdef __AVX512F__
constexpr int LANES = 16;  // floats in a vector
constexpr int BLOCK = 8;   // rows that are computed together, as many as fit in registers
#else
constexpr int LANES = 8;
constexpr int BLOCK = 6;
#endif

constexpr int PANEL = 2 * LANES;  // columns that are computed together

int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

struct Range {
    int first, last;
};

struct Thread {
    int number, count;

    // The thread's share of n things, in whole blocks.
    Range share(int n, int block = BLOCK) const {
        const int64_t blocks = (n + block - 1) / block;
        return {std::min(n, int(blocks * number / count) * block),
                std::min(n, int(blocks * (number + 1) / count) * block)};
    }
};

// Runs the work once in each thread. A single thread forms no team, as a forked process may be
// unable to form one.
template <typename Work>
void in_threads(int threads, Work work) {
    if (threads == 1) return work(Thread{0, 1});
#pragma omp parallel num_threads(threads)
    work(Thread{omp_get_thread_num(), omp_get_num_threads()});
}

// All threads wait here for each other.
void barrier() {
#pragma omp barrier
}

// Which of `things` that are alike (critics) a thread works on, each with the threads of its team.
// If each thing has a team of its own, its data stays near the cores of that team.
struct WorkShare {
    Range things;
    Thread thread;  // in its team

    WorkShare(int count, Thread all) : things{0, count}, thread(all) {
        if (all.count % count != 0) return;
        const int size = all.count / count, team = all.number / size;
        things = {team, team + 1}, thread = {all.number % size, size};
    }

    template <typename Work>
    void each(Work work) const {
        for (int thing = things.first; thing < things.last; ++thing) work(thing);
    }

    // The threads of the team wait for each other. All teams must call this equally often.
    void barrier() const {
        if (thread.count > 1) ::barrier();
    }
};

constexpr int BEYOND = 64;  // bytes that a block may reach beyond the end of the memory handed out

// Memory that is handed out piece by piece; without a base, it only counts bytes.
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
