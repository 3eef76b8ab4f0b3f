// Runs the kernels on the host, for tests: the threads of a block are a loop in each phase, blocks a
// loop around the kernel. Both go forwards or `backwards`: where threads of a phase, or blocks, read what
// others of them write, which on a GPU may come first or last, the two differ. Stands before the generated
// source; `call` is what the wrappers that the test puts behind it use.

#define OOF_SHIM
#define KERNEL static void
#define INLINE static inline
#define SHARED
#define THREADS                                                            \
    for (int turn = 0, thread = backwards ? BLOCK - 1 : 0; turn < BLOCK;   \
         turn++, thread += backwards ? -1 : 1)
#define EACH(type, name) type name[BLOCK]
#define MINE(name) name[thread]
#define BLOCK_INDEX block_index
#define __align__(bytes) alignas(bytes)
#define __restrict__

extern "C" {
double exp(double);
double log(double);
double log1p(double);
double sin(double);
double cos(double);
double sqrt(double);
double fabs(double);
double trunc(double);
float expf(float);
float logf(float);
float log1pf(float);
float sinf(float);
float cosf(float);
float sqrtf(float);
float fabsf(float);
}

static int block_index;
extern "C" {
int backwards;
}

template <int... I> struct Places {};
template <int N, int... I> struct UpTo : UpTo<N - 1, N - 1, I...> {};
template <int... I> struct UpTo<0, I...> {
    typedef Places<I...> Type;
};

template <class... A, int... I>
static void run_blocks(void (*kernel)(A...), int blocks, void **arguments, Places<I...>) {
    for (int turn = 0; turn < blocks; turn++) {
        block_index = backwards ? blocks - 1 - turn : turn;
        kernel(*(A *)arguments[I]...);
    }
}

// Runs `kernel` with arguments given by their addresses, as the CUDA driver has them.
template <class... A> static void call(void (*kernel)(A...), int blocks, void **arguments) {
    run_blocks(kernel, blocks, arguments, typename UpTo<sizeof...(A)>::Type());
}
