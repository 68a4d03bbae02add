// Steps of arrays: Adam (Kingma and Ba, arXiv 1412.6980) and Polyak averages. They are not inlined,
// so that no compiler rounds differently in different places.

#pragma once

#include <cmath>
#include <cstdint>

namespace {

struct AdamRule {
    double rate, beta1, beta2, epsilon;
};

// Adam's step of the given number, counted from 1.
struct Adam {
    float rate, scale, new1, new2, beta2, epsilon;

    Adam(const AdamRule& rule, double number)
        : rate(rule.rate / (1.0 - std::pow(rule.beta1, number))),
          scale(1.0 / std::sqrt(1.0 - std::pow(rule.beta2, number))), new1(1.0 - rule.beta1),
          new2(1.0 - rule.beta2), beta2(rule.beta2), epsilon(rule.epsilon) {}

    __attribute__((noinline)) void step(int64_t count, const float* gradient, float* value,
                                        float* mean, float* square) const {
        const Adam a = *this;  // a copy: no array that is written to can overlap it
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) {
            const float g = gradient[i];
            mean[i] += a.new1 * (g - mean[i]);
            square[i] = a.beta2 * square[i] + a.new2 * g * g;
            value[i] -= a.rate * mean[i] / (std::sqrt(square[i]) * a.scale + a.epsilon);
        }
    }
};

// target += rate (source - target)
__attribute__((noinline)) void approach(float rate, int64_t count, const float* source,
                                        float* target) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) target[i] += rate * (source[i] - target[i]);
}

}  // namespace
