// Hidden layers in bfloat16 with sums in float32, by the instruction that multiplies pairs of it.
//
// A product needs one factor as pairs of neighbours along the inner length, the other one as panels:
// for 32 columns at a time, pair after pair, [columns / 32, inner / 2, 32, 2]. So a matrix is kept in
// rows, for products along its units, and in panels of pairs of samples, for those along samples.

#ifdef __AVX512BF16__

#include <immintrin.h>

namespace {

struct BFloat16 {
    using Number = uint16_t;
    static constexpr int PANEL = 32, LANES = 16;

    struct Matrix {
        Number *rows, *panels;
        int width, stride, samples;  // stride: width in whole panels

        Number* row(int r) const { return rows + int64_t(r) * stride; }
        Number* panel(int j) const { return panels + int64_t(j / PANEL) * samples * PANEL; }
        // Samples r and r + 1 of the panel with unit j.
        Number* pair(int r, int j) const { return panel(j) + int64_t(r) * PANEL; }
    };

    struct Weight {
        int in, out;
        const float* values;
        Number *forward, *backward;  // panels of W and of its transpose
    };

    static Matrix matrix(Arena& arena, int rows, int width) {
        return layers(arena, rows, width, 1, true, true)[0];
    }

    // Matrices of one size, kept for later: in rows (else only two at a time are), and in panels.
    static std::vector<Matrix> layers(Arena& arena, int rows, int width, int count, bool in_rows,
                                      bool in_panels) {
        const int stride = round_up(width, PANEL);
        const int64_t size = int64_t(rows) * stride;
        std::vector<Matrix> all;
        for (int l = 0; l < count; ++l) {
            Number* first = in_rows || l < 2 ? arena.take<Number>(size) : all[l - 2].rows;
            Number* second = in_panels ? arena.take<Number>(size) : nullptr;
            all.push_back({first, second, width, stride, rows});
        }
        return all;
    }

    static Weight weight(Arena& arena, int in, int out) {
        const int64_t size = int64_t(round_up(in, PANEL)) * round_up(out, PANEL);
        Number *forward = arena.take<Number>(size), *backward = arena.take<Number>(size);
        return {in, out, nullptr, forward, backward};
    }

    // Round a thread's share of the weights; `backward` if a gradient is to go through them.
    static void prepare(const Weight& weight, bool backward, Thread thread) {
        const Range outputs = thread.share(weight.out, PANEL), inputs = thread.share(weight.in, PANEL);
        for (int j = outputs.first; j < outputs.last; j += PANEL) make_panel(weight, j);
        if (!backward) return;
        for (int i = inputs.first; i < inputs.last; i += PANEL) make_transposed_panel(weight, i);
    }

    // Two rows at a time, first and first + 1.
    static void put(const Matrix& matrix, int first, const float* two) {
        for (int j = 0; j < matrix.width; j += PANEL) {
            const __m512i even = load(two + j, matrix.width - j);
            const __m512i odd = load(two + matrix.width + j, matrix.width - j);
            store(matrix, first, j, even, odd);
        }
    }

    static const float* get(const Matrix& matrix, int r, float* buffer) {
        const Number* row = matrix.row(r);
        for (int j = 0; j < matrix.width; j += LANES) {
            const __m512i bits = _mm512_cvtepu16_epi32(
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + j)));
            _mm512_mask_storeu_ps(buffer + j, mask(matrix.width - j),
                                  _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)));
        }
        return buffer;
    }

    // out = relu(x W + bias)
    static void forward(Range rows, const Matrix& x, const Weight& weight, const float* bias,
                        const Matrix& out) {
        const __m512 zero = _mm512_setzero_ps();
        for (int j = 0; j < out.stride; j += PANEL) {
            const __m512 left = load_half(bias + j, weight.out - j);
            const __m512 right = load_half(bias + j + LANES, weight.out - j - LANES);
            const Number* panel = weight.forward + int64_t(j) * x.stride;
            for (int r = rows.first; r < rows.last; r += BLOCK) {
                Tile tile(along_units(x, r), panel, (x.width + 1) / 2);
                for (int i = 0; i < BLOCK; i += 2) {
                    __m512i two[2];
                    for (int k = 0; k < 2; ++k)  // the second operand of max is kept if NaN
                        two[k] = round(_mm512_max_ps(zero, _mm512_add_ps(tile.sums[i + k][0], left)),
                                       _mm512_max_ps(zero, _mm512_add_ps(tile.sums[i + k][1], right)));
                    store(out, r + i, j, two[0], two[1]);
                }
            }
        }
    }

    // out = d W^T where h, what the rectifier before these weights put out, is above 0.
    static void backward(Range rows, const Matrix& d, const Weight& weight, const Matrix& h,
                         const Matrix& out) {
        for (int j = 0; j < out.stride; j += PANEL) {
            const Number* panel = weight.backward + int64_t(j) * d.stride;
            for (int r = rows.first; r < rows.last; r += BLOCK) {
                Tile tile(along_units(d, r), panel, (d.width + 1) / 2);
                for (int i = 0; i < BLOCK; i += 2) {
                    __m512i two[2];
                    for (int k = 0; k < 2; ++k) {
                        const __m512i output = _mm512_loadu_si512(h.row(r + i + k) + j);
                        const __mmask32 open =
                            _mm512_cmpgt_epi16_mask(output, _mm512_setzero_si512());
                        two[k] = _mm512_maskz_mov_epi16(
                            open, round(tile.sums[i + k][0], tile.sums[i + k][1]));
                    }
                    store(out, r + i, j, two[0], two[1]);
                }
            }
        }
    }

    // Rows `units` of x^T d, [in, out], over all samples; units start with a block.
    static void weight_gradient(Range units, const Matrix& x, const Matrix& d, int samples,
                                float* out) {
        for (int j = 0; j < d.width; j += PANEL) {
            const __mmask16 left = mask(d.width - j), right = mask(d.width - j - LANES);
            for (int first = units.first; first < units.last; first += BLOCK) {
                Tile tile(along_samples(x, first), d.panel(j), samples / 2);
                const int count = std::min(BLOCK, units.last - first);
                float* rows = out + int64_t(first) * d.width + j;
                for (int i = 0; i < count; ++i, rows += d.width) {
                    _mm512_mask_storeu_ps(rows, left, tile.sums[i][0]);
                    _mm512_mask_storeu_ps(rows + LANES, right, tile.sums[i][1]);
                }
            }
        }
    }

    // Columns `units` of the sum of d over all samples; units start with a panel.
    static void bias_gradient(Range units, const Matrix& d, int samples, float* out) {
        const __m512bh ones = __m512bh(_mm512_set1_epi16(0x3f80));
        for (int j = units.first; j < units.last; j += PANEL) {
            __m512 left = _mm512_setzero_ps(), right = left;
            for (int r = 0; r < samples; r += 2) {
                const Number* pair = d.pair(r, j);
                left = _mm512_dpbf16_ps(left, ones, __m512bh(_mm512_loadu_si512(pair)));
                right = _mm512_dpbf16_ps(right, ones, __m512bh(_mm512_loadu_si512(pair + PANEL)));
            }
            _mm512_mask_storeu_ps(out + j, mask(units.last - j), left);
            _mm512_mask_storeu_ps(out + j + LANES, mask(units.last - j - LANES), right);
        }
    }

   private:
    // The factor whose pairs lie side by side: the first pair, and steps in bytes.
    struct Pairs {
        const char* first;
        int64_t next_row, next_pair;
    };

    static Pairs along_units(const Matrix& matrix, int r) {
        return {reinterpret_cast<const char*>(matrix.row(r)),
                int64_t(matrix.stride) * int64_t(sizeof(Number)), 2 * sizeof(Number)};
    }

    static Pairs along_samples(const Matrix& matrix, int j) {
        return {reinterpret_cast<const char*>(matrix.panel(j) + j % PANEL * 2), 2 * sizeof(Number),
                PANEL * 2 * sizeof(Number)};
    }

    // A block of rows times one panel.
    struct Tile {
        __m512 sums[BLOCK][2];

        // By itself, as compilers find registers for all sums only where there is nothing else.
        __attribute__((noinline)) Tile(Pairs a, const Number* panel, int pairs) {
            __m512 left[BLOCK], right[BLOCK];
            for (int i = 0; i < BLOCK; ++i) left[i] = right[i] = _mm512_setzero_ps();
            for (int p = 0; p < pairs; ++p, a.first += a.next_pair, panel += 2 * PANEL) {
                const __m512bh first = __m512bh(_mm512_loadu_si512(panel));
                const __m512bh second = __m512bh(_mm512_loadu_si512(panel + PANEL));
#pragma GCC unroll 8
                for (int i = 0; i < BLOCK; ++i) {
                    int32_t pair;
                    std::memcpy(&pair, a.first + i * a.next_row, sizeof(pair));
                    const __m512bh all = __m512bh(_mm512_set1_epi32(pair));
                    left[i] = _mm512_dpbf16_ps(left[i], all, first);
                    right[i] = _mm512_dpbf16_ps(right[i], all, second);
                }
            }
            for (int i = 0; i < BLOCK; ++i) sums[i][0] = left[i], sums[i][1] = right[i];
        }
    };

    static __mmask16 mask(int count) {
        return count >= LANES ? __mmask16(0xffff) : count <= 0 ? 0 : __mmask16((1 << count) - 1);
    }

    static __m512i round(__m512 left, __m512 right) {
        return __m512i(_mm512_cvtne2ps_pbh(right, left));
    }

    static __m512 load_half(const float* from, int count) {
        return _mm512_maskz_loadu_ps(mask(count), from);
    }

    // At most a panel's width of floats, rounded; zeros after them.
    static __m512i load(const float* from, int count) {
        return round(load_half(from, count), load_half(from + LANES, count - LANES));
    }

    // Two rows of a panel as pairs.
    static void interleave(__m512i even, __m512i odd, Number* to) {
        alignas(64) static const Number FIRST[PANEL] = {
            0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
            8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
        const __m512i first = _mm512_load_si512(FIRST);
        const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(LANES));
        _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, first, odd));
        _mm512_storeu_si512(to + PANEL, _mm512_permutex2var_epi16(even, second, odd));
    }

    static void store(const Matrix& matrix, int first, int j, __m512i even, __m512i odd) {
        _mm512_storeu_si512(matrix.row(first) + j, even);
        _mm512_storeu_si512(matrix.row(first + 1) + j, odd);
        if (matrix.panels != nullptr) interleave(even, odd, matrix.pair(first, j));
    }

    // Columns from j on of W, pairs along its rows.
    static void make_panel(const Weight& weight, int j) {
        const int height = round_up(weight.in, PANEL), count = weight.out - j;
        Number* to = weight.forward + int64_t(j) * height;
        for (int i = 0; i < height; i += 2, to += 2 * PANEL) {
            const float* row = weight.values + int64_t(i) * weight.out + j;
            const __m512i even = load(row, i < weight.in ? count : 0);
            interleave(even, load(row + weight.out, i + 1 < weight.in ? count : 0), to);
        }
    }

    // Rows from i on of W, pairs along its columns.
    static void make_transposed_panel(const Weight& weight, int i) {
        const int height = round_up(weight.out, PANEL);
        uint32_t* to = reinterpret_cast<uint32_t*>(weight.backward + int64_t(i) * height);
        for (int j = 0; j < height; j += PANEL, to += LANES * PANEL) {
            alignas(64) uint32_t rows[PANEL][LANES];
            for (int k = 0; k < PANEL; ++k) {
                const float* row = weight.values + int64_t(i + k) * weight.out + j;
                _mm512_store_si512(rows[k], load(row, i + k < weight.in ? weight.out - j : 0));
            }
            for (int p = 0; p < LANES; ++p)
                for (int k = 0; k < PANEL; ++k) to[p * PANEL + k] = rows[k][p];
        }
    }
};

}  // namespace

#endif
