// The kernels that every program uses.

// Runs scalar instructions {operation, a, b, out}: those of a level need only earlier levels. One
// block. The low byte of an operation is its kind (`operation` in source.rs), the rest an exponent.
KERNEL scalars(double *s, const int *code, const int *levels, int count) {
    for (int level = 0; level < count; level++) {
        THREADS {
            for (int i = levels[level] + thread; i < levels[level + 1]; i += BLOCK) {
                const int *c = code + 4 * i;
                double a = s[c[1]], b = s[c[2]], out;
                switch (c[0] & 255) {
                    OPERATIONS
                    default: out = a;
                }
                s[c[3]] = out;
            }
        }
    }
}

// Second stage of a sum: adds what the blocks left. One block a sum.
KERNEL finish(double *s, const double *partials, int count, const int *targets) {
    SHARED double pot[BLOCK];
    EACH(double, sum);
    THREADS {
        MINE(sum) = 0;
        for (int i = thread; i < count; i += BLOCK) MINE(sum) += partials[BLOCK_INDEX * count + i];
    }
    ADD_UP(pot, sum)
    THREADS {
        if (thread == 0) s[targets[BLOCK_INDEX]] = pot[0];
    }
}

// The scalars that a run returns, side by side.
KERNEL collect(double *out, const double *s, const int *which, int count) {
    THREADS {
        int i = BLOCK_INDEX * BLOCK + thread;
        if (i < count) out[i] = s[which[i]];
    }
}

// Coefficients of functions to Chebyshev coefficients along every run; `chebyshev[function][place]`.
KERNEL along(real *out, const double *chebyshev, int places, const double *s, const int *which, int count) {
    THREADS {
        int i = BLOCK_INDEX * BLOCK + thread;
        if (i < places) {
            double sum = 0;
            for (int j = 0; j < count; j++) sum += chebyshev[j * (long long)places + i] * s[which[j]];
            out[i] = real(sum);
        }
    }
}

// Chebyshev moments of `values` over a run, 32 threads a term. One block a run.
KERNEL moments(double *out, const real *values, const real *abscissa, const int *starts, int terms) {
    SHARED double pot[BLOCK];
    for (int first = 0; first < terms; first += BLOCK / 32) {
        THREADS {
            int k = first + thread / 32;
            double sum = 0;
            if (k < terms) {
                for (int i = starts[BLOCK_INDEX] + thread % 32; i < starts[BLOCK_INDEX + 1]; i += 32) {
                    double x = abscissa[i], t = 1, next = x;
                    for (int n = 0; n < k; n++) {
                        double after = 2 * x * next - t;
                        t = next;
                        next = after;
                    }
                    sum += values[i] * t;
                }
            }
            pot[thread] = sum;
        }
        for (int half = 16; half > 0; half /= 2) {
            THREADS {
                if (thread % 32 < half) pot[thread] += pot[thread + half];
            }
        }
        THREADS {
            int k = first + thread / 32;
            if (thread % 32 == 0 && k < terms) out[BLOCK_INDEX * terms + k] = pot[thread];
        }
    }
}

// The product of one function's row with a vector. One block a function.
KERNEL project(double *s, const double *rows, const double *vector, int count, const int *targets) {
    SHARED double pot[BLOCK];
    EACH(double, sum);
    THREADS {
        const double *row = rows + BLOCK_INDEX * (long long)count;
        MINE(sum) = 0;
        for (int i = thread; i < count; i += BLOCK) MINE(sum) += row[i] * vector[i];
    }
    ADD_UP(pot, sum)
    THREADS {
        if (thread == 0) s[targets[BLOCK_INDEX]] = pot[0];
    }
}

// Pixels to where they lie in their rows, and back.
KERNEL scatter(complex *lines, const complex *field, const int *places, int count) {
    THREADS {
        int i = BLOCK_INDEX * BLOCK + thread;
        if (i < count) lines[places[i]] = field[i];
    }
}

KERNEL gather(complex *field, const complex *lines, const int *places, int count) {
    THREADS {
        int i = BLOCK_INDEX * BLOCK + thread;
        if (i < count) field[i] = lines[places[i]];
    }
}

// A sum over sources anywhere for a target anywhere, both as pairs of numbers:
// to[i] = sum_j exp(i sign 2 pi (t_i0 s_j0 + t_i1 s_j1)) from[j]. One block a target. The turns are reduced
// one by one, so that large ones lose no digits.
KERNEL scattered(complex *to, const complex *from, const double *targets, const double *sources, int count,
                 int sign_of) {
    SHARED double pot[BLOCK];
    EACH(double, re);
    EACH(double, im);
    THREADS {
        double t0 = targets[2 * BLOCK_INDEX], t1 = targets[2 * BLOCK_INDEX + 1];
        MINE(re) = MINE(im) = 0;
        for (int j = thread; j < count; j += BLOCK) {
            double u = t0 * sources[2 * j], v = t1 * sources[2 * j + 1];
            double angle = sign_of * 6.283185307179586 * ((u - trunc(u)) + (v - trunc(v)));
            double c = cos(angle), s = sin(angle);
            complex z = from[j];
            MINE(re) += c * z.re - s * z.im;
            MINE(im) += c * z.im + s * z.re;
        }
    }
    ADD_UP(pot, re)
    THREADS {
        if (thread == 0) to[BLOCK_INDEX].re = real(pot[0]);
    }
    ADD_UP(pot, im)
    THREADS {
        if (thread == 0) to[BLOCK_INDEX].im = real(pot[0]);
    }
}

// An array from the order of outputs to that of the plane, and back.
KERNEL to_plane(real *plane, const real *outputs, int count, int nx, int ny, const int *fx, const int *fy) {
    THREADS {
        int i = BLOCK_INDEX * BLOCK + thread;
        if (i < count) plane[in_plane(i, nx, ny, fx, fy)] = outputs[i];
    }
}

KERNEL from_plane(real *outputs, const real *plane, int count, int nx, int ny, const int *fx, const int *fy) {
    THREADS {
        int i = BLOCK_INDEX * BLOCK + thread;
        if (i < count) outputs[i] = plane[in_plane(i, nx, ny, fx, fy)];
    }
}

#define TILE 32
#define DEPTH 16

struct Quad {
    complex z[2][2];
};

// c[m][n] = sum_k a[m * am + k * ak] b[k * bk + n * bn], the conjugates of a and b where asked for. One
// block a tile of c, two by two numbers a thread.
KERNEL matmul(complex *c, const complex *a, int am, int ak, int conj_a, const complex *b, int bk, int bn,
              int conj_b, int rows, int columns, int inner) {
    SHARED complex left[DEPTH][TILE + 1], right[DEPTH][TILE + 1];
    EACH(Quad, sum);
    int across = (columns + TILE - 1) / TILE;
    int m0 = BLOCK_INDEX / across * TILE, n0 = BLOCK_INDEX % across * TILE;
    complex zero = {0, 0};
    THREADS {
#pragma unroll
        for (int q = 0; q < 4; q++) MINE(sum).z[q / 2][q % 2] = zero;
    }
    for (int k0 = 0; k0 < inner; k0 += DEPTH) {
        THREADS {
            for (int e = thread; e < DEPTH * TILE; e += BLOCK) {
                // The index that is next to itself in memory goes fastest.
                int k = ak == 1 ? e % DEPTH : e / TILE, m = ak == 1 ? e / DEPTH : e % TILE;
                complex z = zero;
                if (m0 + m < rows && k0 + k < inner) z = a[(m0 + m) * (long long)am + (k0 + k) * (long long)ak];
                if (conj_a) z.im = -z.im;
                left[k][m] = z;
                int n = bn == 1 ? e % TILE : e / DEPTH;
                k = bn == 1 ? e / TILE : e % DEPTH;
                z = zero;
                if (n0 + n < columns && k0 + k < inner) z = b[(k0 + k) * (long long)bk + (n0 + n) * (long long)bn];
                if (conj_b) z.im = -z.im;
                right[k][n] = z;
            }
        }
        THREADS {
            int m = thread / (TILE / 2), n = thread % (TILE / 2);
#pragma unroll
            for (int k = 0; k < DEPTH; k++) {
#pragma unroll
                for (int q = 0; q < 4; q++) {
                    complex x = left[k][m + q / 2 * (TILE / 2)], y = right[k][n + q % 2 * (TILE / 2)];
                    complex &z = MINE(sum).z[q / 2][q % 2];
                    z.re += x.re * y.re - x.im * y.im;
                    z.im += x.re * y.im + x.im * y.re;
                }
            }
        }
    }
    THREADS {
#pragma unroll
        for (int q = 0; q < 4; q++) {
            int m = m0 + thread / (TILE / 2) + q / 2 * (TILE / 2), n = n0 + thread % (TILE / 2) + q % 2 * (TILE / 2);
            if (m < rows && n < columns) c[m * (long long)columns + n] = MINE(sum).z[q / 2][q % 2];
        }
    }
}
