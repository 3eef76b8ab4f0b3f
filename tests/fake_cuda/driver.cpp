// A CUDA driver, NVRTC and cuFFT without a GPU, for the tests of what talks to them: one library that
// stands in for all three. Device memory is host memory, "PTX" is the source itself, which is compiled
// for the host behind the shim, and transforms are plain sums. Every call is checked against what the
// manual asks for, and a mistake ends the process. Streams run at once, captured ones when their graph is
// launched.
//
// OOF_SHIM names the shim, OOF_FAKE_FREE says how many bytes are free, OOF_FAKE_LOG is appended a word a
// noteworthy call, and OOF_FAKE_FAIL names a call that fails.

#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#define CHECK(what)                                                                 \
    if (!(what)) {                                                                  \
        fprintf(stderr, "fake CUDA: %s is not true in %s\n", #what, __func__);      \
        _exit(99);                                                                  \
    }
#define API extern "C" __attribute__((visibility("default")))

typedef std::function<void()> Work;

// Kernels behind the shim keep shared memory in static variables, so one runs at a time.
static std::recursive_mutex mutex;
#define ONE_AT_A_TIME std::lock_guard<std::recursive_mutex> lock(mutex)

struct Graph {
    std::vector<Work> works;
};

struct Stream {
    bool capturing = false;
    Graph graph;
    void add(Work work) {
        ONE_AT_A_TIME;
        if (capturing) graph.works.push_back(work);
        else work();
    }
};

struct Module {
    void *handle;
};

struct Function {
    void (*run)(int, void **);
    int parameters;
};

struct Plan {
    int points = 0, stride = 0, distance = 0, batch = 0, kind = 0;
    size_t work = 0;
    bool own_work = true;
    char *area = nullptr;
    Stream *stream = nullptr;
};

static std::map<char *, size_t> device, pinned;
static std::vector<Plan> plans;
static bool current = false;

static int fails(const char *name) {
    const char *which = getenv("OOF_FAKE_FAIL");
    return which && !strcmp(which, name) ? 719 : 0;
}

static void log(const char *word) {
    if (const char *path = getenv("OOF_FAKE_LOG")) std::ofstream(path, std::ios::app) << word << "\n";
}

// Whether the bytes lie in one allocation.
static bool inside(const std::map<char *, size_t> &all, const void *start, size_t bytes) {
    ONE_AT_A_TIME;
    auto found = all.upper_bound((char *)start);
    if (found == all.begin()) return false;
    --found;
    return (char *)start + bytes <= found->first + found->second;
}

// The driver.

API int cuInit(unsigned flags) { CHECK(flags == 0); return fails("cuInit"); }
API int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
API int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal ? 101 : 0; }
API int cuDeviceGetName(char *name, int length, int) { snprintf(name, length, "Fake GPU"); return 0; }
// Compute capability 9.0, and nothing else.
API int cuDeviceGetAttribute(int *value, int which, int) { *value = which == 75 ? 9 : 0; return 0; }
API int cuDevicePrimaryCtxRetain(void **context, int) { *context = &current; return 0; }
API int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
API int cuCtxSetCurrent(void *context) { CHECK(context == &current); current = true; return 0; }
API int cuCtxGetCurrent(void **context) { *context = current ? &current : nullptr; return 0; }
API int cuCtxSynchronize() { return 0; }
API int cuGetErrorString(int, const char **text) { *text = "fake"; return 0; }

API int cuMemGetInfo_v2(size_t *free, size_t *total) {
    const char *bytes = getenv("OOF_FAKE_FREE");
    *free = *total = bytes ? strtoull(bytes, nullptr, 10) : size_t(1) << 32;
    return 0;
}
API int cuMemAlloc_v2(char **start, size_t bytes) {
    ONE_AT_A_TIME;
    CHECK(current && bytes > 0);
    *start = (char *)aligned_alloc(256, (bytes + 255) / 256 * 256);
    // Garbage, as on a GPU.
    memset(*start, 0xff, bytes);
    device[*start] = bytes;
    return 0;
}
API int cuMemFree_v2(char *start) { ONE_AT_A_TIME; CHECK(device.erase(start)); free(start); return 0; }
API int cuMemHostAlloc(void **start, size_t bytes, unsigned flags) {
    ONE_AT_A_TIME;
    CHECK(bytes > 0 && flags == 0);
    *start = malloc(bytes);
    pinned[(char *)*start] = bytes;
    return 0;
}
API int cuMemFreeHost(void *start) { ONE_AT_A_TIME; CHECK(pinned.erase((char *)start)); free(start); return 0; }

API int cuMemcpyHtoDAsync_v2(char *to, const void *from, size_t bytes, Stream *stream) {
    CHECK(inside(device, to, bytes));
    // What a graph copies has to stay where it is.
    CHECK(!stream->capturing || inside(pinned, from, bytes));
    stream->add([=] { memcpy(to, from, bytes); });
    return 0;
}
API int cuMemcpyDtoHAsync_v2(void *to, const char *from, size_t bytes, Stream *stream) {
    CHECK(inside(device, from, bytes) && inside(pinned, to, bytes));
    stream->add([=] { memcpy(to, from, bytes); });
    return 0;
}
API int cuMemcpyDtoH_v2(void *to, const char *from, size_t bytes) {
    CHECK(inside(device, from, bytes));
    memcpy(to, from, bytes);
    return 0;
}
API int cuMemsetD32Async(char *to, unsigned value, size_t count, Stream *stream) {
    CHECK(inside(device, to, 4 * count) && value == 0 && (uintptr_t)to % 4 == 0);
    stream->add([=] { memset(to, 0, 4 * count); });
    return 0;
}

API int cuStreamCreate(Stream **stream, unsigned flags) { CHECK(flags == 1); *stream = new Stream; return 0; }
API int cuStreamDestroy_v2(Stream *stream) { delete stream; return 0; }
API int cuStreamSynchronize(Stream *stream) { CHECK(!stream->capturing); return fails("cuStreamSynchronize"); }
API int cuStreamBeginCapture_v2(Stream *stream, int) {
    CHECK(!stream->capturing);
    if (int error = fails("cuStreamBeginCapture")) return error;
    stream->capturing = true;
    return 0;
}
API int cuStreamEndCapture(Stream *stream, Graph **graph) {
    CHECK(stream->capturing);
    log("captured");
    *graph = new Graph(stream->graph);
    stream->graph.works.clear();
    stream->capturing = false;
    return 0;
}
API int cuGraphInstantiateWithFlags(Graph **executable, Graph *graph, unsigned long long flags) {
    CHECK(flags == 0);
    *executable = new Graph(*graph);
    return 0;
}
API int cuGraphUpload(Graph *, Stream *) { return 0; }
API int cuGraphLaunch(Graph *graph, Stream *) {
    log("graph");
    ONE_AT_A_TIME;
    for (auto &work : graph->works) work();
    return 0;
}
API int cuGraphDestroy(Graph *graph) { delete graph; return 0; }
API int cuGraphExecDestroy(Graph *graph) { delete graph; return 0; }

API int cuModuleLoadData(Module **module, const char *text) {
    log("module");
    std::string source(text), shim;
    {
        std::ifstream file(getenv("OOF_SHIM"));
        std::stringstream all;
        all << file.rdbuf();
        shim = all.str();
    }
    CHECK(!shim.empty());
    char folder[] = P_tmpdir "/fake-cuda-XXXXXX";
    CHECK(mkdtemp(folder));
    std::string base(folder), input = base + "/k.cpp", output = base + "/k.so";
    std::ofstream file(input);
    file << shim << source << "\ntemplate <class... A> constexpr int count(void (*)(A...)) { return sizeof...(A); }\n";
    for (size_t at = 0; (at = source.find("\nKERNEL ", at)) != std::string::npos;) {
        at += 8;
        std::string name = source.substr(at, source.find('(', at) - at);
        file << "extern \"C\" void on_host_" << name << "(int n, void **a) { call(" << name << ", n, a); }\n"
             << "extern \"C\" int count_" << name << "() { return count(" << name << "); }\n";
    }
    file.close();
    const char *compiler = getenv("CXX") ? getenv("CXX") : "c++";
    std::string command = std::string(compiler) + " -std=c++17 -O1 -shared -fPIC -o " + output + " " + input + " -lm";
    CHECK(system(command.c_str()) == 0);
    *module = new Module{dlopen(output.c_str(), RTLD_NOW)};
    CHECK((*module)->handle);
    CHECK(system(("rm -r " + base).c_str()) == 0);
    return 0;
}
API int cuModuleUnload(Module *module) { delete module; return 0; }
API int cuModuleGetFunction(Function **function, Module *module, const char *name) {
    std::string text(name);
    void *run = dlsym(module->handle, ("on_host_" + text).c_str());
    void *count = dlsym(module->handle, ("count_" + text).c_str());
    if (!run || !count) return 500;
    *function = new Function{(void (*)(int, void **))run, ((int (*)())count)()};
    return 0;
}
API int cuLaunchKernel(Function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned shared, Stream *stream, void **parameters, void **extra) {
    CHECK(current && gx > 0 && gy == 1 && gz == 1 && bx == 256 && by == 1 && bz == 1 && shared == 0 && !extra);
    // The driver copies the values of parameters before it returns.
    std::vector<uint64_t> values;
    for (int i = 0; i < function->parameters; i++) values.push_back(*(uint64_t *)parameters[i]);
    stream->add([=]() mutable {
        std::vector<void *> addresses;
        for (auto &value : values) addresses.push_back(&value);
        function->run(int(gx), addresses.data());
    });
    return 0;
}

// NVRTC.

struct Program {
    std::string source;
};
API int nvrtcVersion(int *major, int *minor) { *major = 12; *minor = 0; return 0; }
API int nvrtcCreateProgram(Program **program, const char *source, const char *, int headers, const char *const *, const char *const *) {
    CHECK(headers == 0);
    *program = new Program{source};
    return 0;
}
API int nvrtcCompileProgram(Program *, int count, const char *const *options) {
    log("compiled");
    CHECK(count == 1 && !strcmp(options[0], "--gpu-architecture=compute_90"));
    return 0;
}
API int nvrtcGetPTXSize(Program *program, size_t *size) { *size = program->source.size() + 1; return 0; }
API int nvrtcGetPTX(Program *program, char *text) { strcpy(text, program->source.c_str()); return 0; }
API int nvrtcDestroyProgram(Program **program) { delete *program; return 0; }

// cuFFT.

API int cufftCreate(int *handle) {
    ONE_AT_A_TIME;
    *handle = int(plans.size());
    plans.push_back(Plan());
    return 0;
}
API int cufftDestroy(int) { return 0; }
API int cufftSetAutoAllocation(int handle, int automatic) { plans[handle].own_work = automatic; return 0; }
API int cufftSetStream(int handle, Stream *stream) { plans[handle].stream = stream; return 0; }
API int cufftSetWorkArea(int handle, char *area) { plans[handle].area = area; return 0; }
API int cufftMakePlanMany(int handle, int rank, int *n, int *inembed, int istride, int idist, int *onembed, int ostride,
                          int odist, int kind, int batch, size_t *work) {
    CHECK(rank == 1 && n[0] > 0 && batch > 0 && inembed && onembed && (kind == 105 || kind == 41));
    CHECK(istride == ostride && idist == odist && current);
    Plan &plan = plans[handle];
    plan.points = n[0], plan.stride = istride, plan.distance = idist, plan.batch = batch, plan.kind = kind;
    *work = plan.work = size_t(16) * n[0] * batch;
    return 0;
}

template <class T> static int transform(int handle, std::complex<T> *in, std::complex<T> *out, int direction) {
    Plan plan = plans[handle];
    CHECK(in == out && (direction == 1 || direction == -1) && plan.stream && !plan.own_work);
    CHECK(inside(device, plan.area, plan.work) && (uintptr_t)plan.area % 256 == 0);
    size_t last = size_t(plan.points - 1) * plan.stride + size_t(plan.batch - 1) * plan.distance;
    CHECK(inside(device, in, (last + 1) * sizeof(*in)) && (uintptr_t)in % sizeof(*in) == 0);
    plan.stream->add([=] {
        // The work area is scribbled on.
        memset(plan.area, 0xff, plan.work);
        std::vector<std::complex<double>> line(plan.points), turns(plan.points);
        for (int i = 0; i < plan.points; i++) turns[i] = std::polar(1.0, direction * 2 * M_PI * i / plan.points);
        for (int b = 0; b < plan.batch; b++) {
            std::complex<T> *start = out + size_t(b) * plan.distance;
            for (int k = 0; k < plan.points; k++) {
                line[k] = 0;
                for (long i = 0; i < plan.points; i++)
                    line[k] += std::complex<double>(start[i * plan.stride]) * turns[i * k % plan.points];
            }
            for (int k = 0; k < plan.points; k++) start[size_t(k) * plan.stride] = std::complex<T>(line[k]);
        }
    });
    return 0;
}
API int cufftExecZ2Z(int handle, std::complex<double> *in, std::complex<double> *out, int direction) {
    CHECK(plans[handle].kind == 105);
    return transform(handle, in, out, direction);
}
API int cufftExecC2C(int handle, std::complex<float> *in, std::complex<float> *out, int direction) {
    CHECK(plans[handle].kind == 41);
    return transform(handle, in, out, direction);
}
