// What all kernels are written with. `source.rs` puts `real` before this text, and behind it the common
// kernels (`kernels.cu`) or those of a program's regions. A kernel is written in phases: `THREADS { ... }`
// runs for every thread of a block, after all of them have ended the phase before. What a thread keeps
// from phase to phase is declared with EACH and used as MINE. So the same text runs on a GPU and, with
// the shim of the tests in place of the first lines, as plain loops on the host.
//
// All sums have a fixed order: a thread's own elements, a tree over the threads of a block, and the
// same once more over the blocks. There are no atomics.

#ifndef OOF_SHIM
#define KERNEL extern "C" __global__ void __launch_bounds__(BLOCK)
#define INLINE __device__ __forceinline__
#define SHARED __shared__
#define THREADS for (int thread = (__syncthreads(), int(threadIdx.x)), once = 1; once; once = 0)
#define EACH(type, name) type name
#define MINE(name) name
#define BLOCK_INDEX int(blockIdx.x)
#endif

// Threads of a block.
#define BLOCK 256

// Loaded and stored as a whole, which takes one access.
struct __align__(2 * sizeof(real)) complex {
    real re, im;
};

INLINE complex pair(real re, real im) {
    complex z = {re, im};
    return z;
}

// Leaves the sum of every thread's `mine` in `pot[0]`.
#define ADD_UP(pot, mine)                                          \
    THREADS { pot[thread] = MINE(mine); }                          \
    for (int half = BLOCK / 2; half > 0; half /= 2) {              \
        THREADS {                                                  \
            if (thread < half) pot[thread] += pot[thread + half];  \
        }                                                          \
    }

template <class T> INLINE T sign(T a) {
    return a != a ? a : T((a > 0) - (a < 0));
}

template <class T> INLINE T powi(T a, int n) {
    T power = 1, square = a;
    for (unsigned left = n < 0 ? 0u - unsigned(n) : unsigned(n); left; left >>= 1) {
        if (left & 1) power *= square;
        square *= square;
    }
    return n < 0 ? 1 / power : power;
}

// The place in a plane [frequency along y][frequency along x] of output `i`: outputs are ordered in
// groups of GROUP along x, row after row in each, and `fx` and `fy` are the frequencies in their order.
INLINE int in_plane(int i, int nx, int ny, const int *fx, const int *fy) {
    int group = i / (GROUP * ny), rest = i - group * (GROUP * ny);
    int left = nx - group * GROUP, width = left < GROUP ? left : GROUP;
    int row = rest / width;
    return fy[row] * nx + fx[group * GROUP + (rest - row * width)];
}

// The Chebyshev sum with coefficients `c` at `x`, by Clenshaw's recurrence.
INLINE real clenshaw(const real *c, int terms, real x) {
    real next = 0, after = 0;
    for (int k = terms - 1; k > 0; k--) {
        real sum = (x + x) * next + (c[k] - after);
        after = next;
        next = sum;
    }
    return x * next + (c[0] - after);
}
