// Products of matrices, with the operations before and after them in a network.
//
// A product reads its first factor unit by unit along the inner dimension. It reads the second one
// in panels of PANEL columns, unit after unit: [columns / PANEL, inner / IN_UNIT, PANEL, IN_UNIT].
// So a matrix is kept in rows, for products along its width, and in panels with units along the
// samples, for products along the samples. Widths are padded with zeros to whole panels.

#pragma once

#include "numbers.h"

namespace {

template <typename Type>
struct Kernels {
    using Number = typename Type::Number;
    static constexpr int IN_UNIT = Type::IN_UNIT;

    // Rows of weights that can be stepped independently: whole blocks and whole panels.
    static constexpr int STRIP = std::lcm(BLOCK, PANEL);

    // Whether units along the samples can be read in panels only, not in rows.
    static constexpr bool READ_IN_PANELS = IN_UNIT > 1;

    struct Matrix {
        Number *rows, *panels;
        int width, stride, samples;  // stride: width, padded to whole panels

        Number* row(int r) const { return rows + int64_t(r) * stride; }
        // The panel that begins with column j, from sample r on.
        Number* panel(int j, int r = 0) const {
            return panels + int64_t(j) * samples + int64_t(r) * PANEL;
        }
    };

    struct Weight {
        int in, out;
        const float* values;
        Number *forward, *backward;  // panels of W and of its transpose
    };

    static Matrix matrix(Arena& arena, int rows, int width) {
        return matrices(arena, rows, width, 1, true, READ_IN_PANELS)[0];
    }

    // `count` matrices of one size. Without `in_rows`, they take turns with two memories for rows.
    static std::vector<Matrix> matrices(Arena& arena, int rows, int width, int count, bool in_rows,
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

    // Make a thread's share of the panels; `backward` if a gradient goes through the weights. The
    // share is over the inputs, as in the gradient, so that a thread reads what it changed itself.
    static void prepare(const Weight& weight, bool backward, Thread thread) {
        const Range inputs = thread.share(round_up(weight.in, PANEL), PANEL);
        for (int i = inputs.first; i < inputs.last; i += PANEL)
            for (int j = 0; j < weight.out; j += PANEL) refresh(weight, {i, i + PANEL}, j, backward);
    }

    // Make the panels of some inputs and of the PANEL outputs from j on.
    static void refresh(const Weight& weight, Range inputs, int j, bool backward) {
        for (int i = inputs.first; i < std::min(inputs.last, weight.in); i += PANEL) {
            make_panel(weight, i, j);
            if (backward) make_transposed_panel(weight, i, j);
        }
    }

    // Write two rows, `first` and `first + 1`.
    static void put(const Matrix& matrix, int first, const float* two) {
        for (int j = 0; j < matrix.width; j += PANEL) {
            Vector values[2][2];
            for (int k = 0; k < 2; ++k)
                read(two + k * matrix.width + j, matrix.width - j, values[k]);
            keep(matrix, first, j, values);
        }
    }

    // Row r as floats; the buffer must hold whole panels.
    static const float* get(const Matrix& matrix, int r, float* buffer) {
        if constexpr (IN_UNIT == 1) return matrix.row(r);
        for (int j = 0; j < matrix.stride; j += LANES)
            store(Type::expand(matrix.row(r) + j), buffer + j);
        return buffer;
    }

    // out = relu(x W + bias)
    static void forward(Range rows, const Matrix& x, const Weight& weight, const float* bias,
                        const Matrix& out) {
        for (int j = 0; j < out.stride; j += PANEL) {
            Vector biases[2];
            read(bias + j, weight.out - j, biases);
            const Number* panel = weight.forward + int64_t(j) * x.stride;
            for (int r = rows.first; r < rows.last; r += BLOCK) {
                Tile tile(along_width(x, r), panel, units(x.width));
                for (int i = 0; i < BLOCK; ++i)
                    for (int half = 0; half < 2; ++half) {
                        const Vector sum = tile.sums[i][half] + biases[half];
                        tile.sums[i][half] = sum < 0.0f ? Vector{} : sum;  // NaN stays
                    }
                tile.keep(out, r, j);
            }
        }
    }

    // out = d W^T where h, the output of the ReLU before these weights, is above 0; else 0.
    static void backward(Range rows, const Matrix& d, const Weight& weight, const Matrix& h,
                         const Matrix& out) {
        for (int j = 0; j < out.stride; j += PANEL) {
            const Number* panel = weight.backward + int64_t(j) * d.stride;
            for (int r = rows.first; r < rows.last; r += BLOCK) {
                Tile tile(along_width(d, r), panel, units(d.width));
                for (int i = 0; i < BLOCK; ++i)
                    for (int half = 0; half < 2; ++half) {
                        const Vector output = Type::expand(h.row(r + i) + j + half * LANES);
                        tile.sums[i][half] = output > 0.0f ? tile.sums[i][half] : Vector{};
                    }
                tile.keep(out, r, j);
            }
        }
    }

    // Rows `range` of x^T d, [in, out], over all samples; the range starts at a block.
    static void weight_gradient(Range range, const Matrix& x, const Matrix& d, float* out) {
        for (int j = 0; j < d.width; j += PANEL)
            for (int first = range.first; first < range.last; first += BLOCK) {
                Tile tile(along_samples(x, first), d.panel(j), units(x.samples));
                const int count = std::min(BLOCK, range.last - first);
                for (int i = 0; i < count; ++i)
                    write(tile.sums[i], d.width - j, out + int64_t(first + i) * d.width + j);
            }
    }

    // Columns `range` of the sum of d over all samples; the range starts at a panel.
    static void bias_gradient(Range range, const Matrix& d, float* out) {
        static const Unit one(1.0f);
        for (int j = range.first; j < range.last; j += PANEL) {
            Vector sums[2] = {};
            for (int r = 0; r < d.samples; r += IN_UNIT)
                for (int half = 0; half < 2; ++half)
                    sums[half] = Type::add_product(sums[half], one.numbers,
                                                   d.panel(j, r) + half * LANES * IN_UNIT);
            write(sums, range.last - j, out + j);
        }
    }

   private:
    // One number, repeated to fill units.
    struct Unit {
        Number numbers[2 * PANEL];

        explicit Unit(float value) {
            Vector all[2][2];
            for (auto& row : all) row[0] = row[1] = value - Vector{};
            Number* const rows[2] = {numbers, numbers + PANEL};
            Type::write(all, rows);
        }
    };

    // The factor that is read unit by unit: its first unit, and steps to the next ones in numbers.
    struct Units {
        const Number* first;
        int64_t next_row, next;
    };

    static int units(int length) { return (length + IN_UNIT - 1) / IN_UNIT; }

    static Units along_width(const Matrix& matrix, int r) {
        return {matrix.row(r), matrix.stride, IN_UNIT};
    }

    // Rows of the transpose, from j on. In rows, a block may reach beyond the matrix, see BEYOND.
    static Units along_samples(const Matrix& matrix, int j) {
        if constexpr (!READ_IN_PANELS) return {matrix.rows + j, 1, matrix.stride};
        return {matrix.panel(j / PANEL * PANEL) + j % PANEL * IN_UNIT, IN_UNIT, PANEL * IN_UNIT};
    }

    // A block of rows times one panel.
    struct Tile {
        Vector sums[BLOCK][2];

        // The loop stands alone, as compilers find registers for all sums only if there is nothing
        // else; and it runs at least once, as they otherwise keep the sums in memory.
        __attribute__((always_inline)) Tile(Units a, const Number* panel, int length) {
            Vector left[BLOCK] = {}, right[BLOCK] = {};
            do {
#pragma GCC unroll 8
                for (int i = 0; i < BLOCK; ++i) {
                    const Number* unit = a.first + i * a.next_row;
                    left[i] = Type::add_product(left[i], unit, panel);
                    right[i] = Type::add_product(right[i], unit, panel + LANES * IN_UNIT);
                }
                a.first += a.next, panel += PANEL * IN_UNIT;
            } while (--length > 0);
            for (int i = 0; i < BLOCK; ++i) sums[i][0] = left[i], sums[i][1] = right[i];
        }

        void keep(const Matrix& matrix, int first, int j) const {
            for (int i = 0; i < BLOCK; i += 2) {
                const Vector two[2][2] = {{sums[i][0], sums[i][1]}, {sums[i + 1][0], sums[i + 1][1]}};
                Kernels::keep(matrix, first + i, j, two);
            }
        }
    };

    static void keep(const Matrix& matrix, int first, int j, const Vector (&two)[2][2]) {
        Number* const rows[2] = {matrix.row(first) + j, matrix.row(first + 1) + j};
        Type::write(two, rows);
        if (matrix.panels != nullptr) Type::write_units(two, matrix.panel(j, first));
    }

    // Reads at most a panel's width of floats, and fills up with zeros.
    static void read(const float* from, int count, Vector (&to)[2]) {
        float some[PANEL] = {};
        if (count < PANEL) {
            if (count > 0) std::memcpy(some, from, sizeof(float) * count);
            from = some;
        }
        to[0] = ::load(from), to[1] = ::load(from + LANES);
    }

    static void write(const Vector (&from)[2], int count, float* to) {
        if (count >= PANEL) {
            store(from[0], to), store(from[1], to + LANES);
            return;
        }
        float some[PANEL];
        store(from[0], some), store(from[1], some + LANES);
        std::memcpy(to, some, sizeof(float) * count);
    }

    // PANEL rows of W from i on and PANEL columns from j on; a unit spans neighbouring rows.
    static void make_panel(const Weight& weight, int i, int j) {
        const int height = round_up(weight.in, PANEL), count = weight.out - j;
        Number* to = weight.forward + int64_t(j) * height + int64_t(i) * PANEL;
        for (int k = i; k < i + PANEL; k += 2, to += 2 * PANEL) {
            Vector two[2][2];
            for (int m = 0; m < 2; ++m)
                read(weight.values + int64_t(k + m) * weight.out + j, k + m < weight.in ? count : 0,
                     two[m]);
            Type::write_units(two, to);
        }
    }

    // Transposes PANEL rows of units to the order of a panel, [units, PANEL].
    static void turn(const Number (&rows)[PANEL][PANEL], char* to) {
        for (int half = 0; half < 2; ++half)
            for (int u = 0; u < PANEL / IN_UNIT; u += LANES) {
                UnitVector square[LANES];
                for (int k = 0; k < LANES; ++k)
                    std::memcpy(&square[k], &rows[half * LANES + k][u * IN_UNIT], sizeof(Vector));
                transpose(square);
                for (int k = 0; k < LANES; ++k)
                    std::memcpy(to + sizeof(uint32_t) * ((u + k) * PANEL + half * LANES),
                                &square[k], sizeof(Vector));
            }
    }

    // The same numbers as a panel of the transpose; a unit spans neighbouring columns of W.
    static void make_transposed_panel(const Weight& weight, int i, int j) {
        const int height = round_up(weight.out, PANEL);
        Number* to = weight.backward + int64_t(i) * height + int64_t(j) * PANEL;
        alignas(64) Number rows[PANEL][PANEL];
        for (int k = 0; k < PANEL; k += 2) {
            Vector two[2][2];
            for (int m = 0; m < 2; ++m)
                read(weight.values + int64_t(i + k + m) * weight.out + j,
                     i + k + m < weight.in ? weight.out - j : 0, two[m]);
            Number* const places[2] = {rows[k], rows[k + 1]};
            Type::write(two, places);
        }
        turn(rows, reinterpret_cast<char*>(to));
    }
};

}  // namespace
