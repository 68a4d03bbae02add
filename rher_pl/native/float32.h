// Hidden layers in float32, with the products of PyTorch's BLAS.

extern "C" void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
                       const float*, const int*, const float*, const int*, const float*, float*,
                       const int*);

namespace {

struct Float32 {
    struct Matrix {
        float* values;
        int width;

        float* row(int r) const { return values + int64_t(r) * width; }
    };

    struct Weight {
        int in, out;
        const float* values;
    };

    static Matrix matrix(Arena& arena, int rows, int width) {
        return {arena.take<float>(int64_t(rows) * width), width};
    }

    // Matrices of one size, kept for later: to go back through or for gradients, else two at a time.
    static std::vector<Matrix> layers(Arena& arena, int rows, int width, int count, bool in_rows,
                                      bool in_panels) {
        std::vector<Matrix> all;
        for (int l = 0; l < count; ++l)
            all.push_back(in_rows || in_panels || l < 2 ? matrix(arena, rows, width) : all[l - 2]);
        return all;
    }

    static Weight weight(Arena&, int in, int out) { return {in, out, nullptr}; }

    // BLAS takes weights as they are.
    static void prepare(const Weight&, bool, Thread) {}

    // Two rows at a time, first and first + 1.
    static void put(const Matrix& matrix, int first, const float* two) {
        std::memcpy(matrix.row(first), two, 2 * sizeof(float) * matrix.width);
    }

    static const float* get(const Matrix& matrix, int r, float*) { return matrix.row(r); }

    // out = relu(x W + bias)
    static void forward(Range rows, const Matrix& x, const Weight& weight, const float* bias,
                        const Matrix& out) {
        const int n = weight.out, count = rows.last - rows.first;
        product("N", "N", count, n, weight.in, x.row(rows.first), x.width, weight.values, n,
                out.row(rows.first), n);
        for (int r = rows.first; r < rows.last; ++r) {
            float* h = out.row(r);
#pragma omp simd
            for (int j = 0; j < n; ++j) {
                const float value = h[j] + bias[j];
                h[j] = value < 0.0f ? 0.0f : value;  // NaN stays
            }
        }
    }

    // out = d W^T where h, what the rectifier before these weights put out, is above 0.
    static void backward(Range rows, const Matrix& d, const Weight& weight, const Matrix& h,
                         const Matrix& out) {
        const int n = weight.in, count = rows.last - rows.first;
        product("N", "T", count, n, weight.out, d.row(rows.first), d.width, weight.values,
                weight.out, out.row(rows.first), n);
        for (int r = rows.first; r < rows.last; ++r) {
            float* gradient = out.row(r);
            const float* output = h.row(r);
#pragma omp simd
            for (int j = 0; j < n; ++j) gradient[j] = output[j] > 0.0f ? gradient[j] : 0.0f;
        }
    }

    // Rows `units` of x^T d, [in, out], over all samples.
    static void weight_gradient(Range units, const Matrix& x, const Matrix& d, int samples,
                                float* out) {
        product("T", "N", units.last - units.first, d.width, samples, x.values + units.first,
                x.width, d.values, d.width, out + int64_t(units.first) * d.width, d.width);
    }

    // Columns `units` of the sum of d over all samples.
    static void bias_gradient(Range units, const Matrix& d, int samples, float* out) {
        std::fill(out + units.first, out + units.last, 0.0f);
        for (int r = 0; r < samples; ++r) {
            const float* row = d.row(r);
#pragma omp simd
            for (int j = units.first; j < units.last; ++j) out[j] += row[j];
        }
    }

   private:
    // C [m, n] = A B of inner length k; a transposed factor is stored the other way round.
    static void product(const char* order_a, const char* order_b, int m, int n, int k,
                        const float* a, int lda, const float* b, int ldb, float* c, int ldc) {
        const float one = 1.0f, zero = 0.0f;
        if (m <= 0) return;
        // BLAS counts columns first: there the same memory is the transposed product.
        sgemm_(order_b, order_a, &n, &m, &k, &one, b, &ldb, a, &lda, &zero, c, &ldc);
    }
};

}  // namespace
