// The two types that hidden layers are computed in. Both are handled in units of four bytes: one
// float32, or two neighbouring bfloat16, whose products one instruction adds up in float32.

#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "work.h"

namespace {

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef float LooseVector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

Vector load(const float* from) { return *reinterpret_cast<const LooseVector*>(from); }

void store(Vector value, float* to) { *reinterpret_cast<LooseVector*>(to) = value; }

typedef uint32_t UnitVector __attribute__((vector_size(4 * LANES)));

// Transposes a square of units.
void transpose(UnitVector (&rows)[LANES]) {
#if __has_builtin(__builtin_shuffle)
    // For each bit of the row and column numbers, swap the blocks above and below the diagonal.
#pragma GCC unroll 4
    for (int bit = 1; bit < LANES; bit *= 2) {
        UnitVector lower, upper;  // indices of lanes: of the first row, then of the second one
        for (int lane = 0; lane < LANES; ++lane) {
            lower[lane] = lane & bit ? LANES + lane - bit : lane;
            upper[lane] = lane & bit ? LANES + lane : lane + bit;
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; ++i) {
            if (i & bit) continue;
            const UnitVector first = rows[i], second = rows[i + bit];
            rows[i] = __builtin_shuffle(first, second, lower);
            rows[i + bit] = __builtin_shuffle(first, second, upper);
        }
    }
#else
    for (int i = 0; i < LANES; ++i)
        for (int j = 0; j < i; ++j) {
            const uint32_t unit = rows[i][j];
            rows[i][j] = rows[j][i];
            rows[j][i] = unit;
        }
#endif
}

struct Float32 {
    using Number = float;
    static constexpr int IN_UNIT = 1;

    // sum + a b, where one unit of a is used in all lanes
    static Vector add_product(Vector sum, const float* a, const float* b) {
        return sum + (*a - Vector{}) * load(b);
    }

    static Vector expand(const float* from) { return load(from); }

    // Writes a panel's width of two rows of floats.
    static void write(const Vector (&two)[2][2], float* const (&rows)[2]) {
        for (int k = 0; k < 2; ++k)
            for (int half = 0; half < 2; ++half) store(two[k][half], rows[k] + half * LANES);
    }

    // The same, in units that run across the two rows.
    static void write_units(const Vector (&two)[2][2], float* to) {
        float* const rows[2] = {to, to + PANEL};
        write(two, rows);
    }
};

#ifdef __AVX512BF16__

struct BFloat16 {
    using Number = uint16_t;
    static constexpr int IN_UNIT = 2;

    static Vector add_product(Vector sum, const Number* a, const Number* b) {
        int32_t unit;
        std::memcpy(&unit, a, sizeof(unit));
        return _mm512_dpbf16_ps(sum, __m512bh(_mm512_set1_epi32(unit)),
                                __m512bh(_mm512_loadu_si512(b)));
    }

    static Vector expand(const Number* from) {
        const __m512i bits = _mm512_cvtepu16_epi32(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
        return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    }

    static void write(const Vector (&two)[2][2], Number* const (&rows)[2]) {
        for (int k = 0; k < 2; ++k) _mm512_storeu_si512(rows[k], round(two[k]));
    }

    static void write_units(const Vector (&two)[2][2], Number* to) {
        alignas(64) static const Number FIRST[PANEL] = {
            0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
            8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
        const __m512i even = round(two[0]), odd = round(two[1]);
        const __m512i first = _mm512_load_si512(FIRST);
        const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(LANES));
        _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, first, odd));
        _mm512_storeu_si512(to + PANEL, _mm512_permutex2var_epi16(even, second, odd));
    }

   private:
    static __m512i round(const Vector (&row)[2]) {
        return __m512i(_mm512_cvtne2ps_pbh(row[1], row[0]));
    }
};

#endif

}  // namespace
