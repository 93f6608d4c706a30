// Builds libcuckoo's map from a file of keys and says what CPU time the inserts took.
//
//   libcuckoo KEYS BYTES
//
// KEYS holds keys of BYTES bytes, 6 or 17. Says "ready", then answers every line on standard input with CPU
// nanoseconds and keys of one build. The table is made with room for all keys; making, checking and freeing it
// are not counted.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <libcuckoo/cuckoohash_map.hh>
#include <string>
#include <vector>

static unsigned long long cpu_ns()
{
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

template <size_t Bytes> struct Hash {
    size_t operator()(const std::array<uint8_t, Bytes> &key) const
    {
        uint64_t words[(Bytes + 7) / 8] = {}, sum = 0;
        std::memcpy(words, key.data(), Bytes);
        for (uint64_t word : words)
            sum = (sum << 29 | sum >> 35) ^ word * 0x9e3779b97f4a7c15;
        return (sum ^ sum >> 32) * 0xff51afd7ed558ccd;
    }
};

template <size_t Bytes> static int serve(const std::vector<char> &file)
{
    using Key = std::array<uint8_t, Bytes>;
    std::vector<Key> keys(file.size() / Bytes);
    std::memcpy(keys.data(), file.data(), keys.size() * Bytes);
    std::puts("ready");
    std::fflush(stdout);
    char line[64];
    while (std::fgets(line, sizeof line, stdin)) {
        libcuckoo::cuckoohash_map<Key, uint64_t, Hash<Bytes>> table(keys.size());
        const auto before = cpu_ns();
        for (size_t i = 0; i < keys.size(); i++)
            table.insert(keys[i], i);
        const auto took = cpu_ns() - before;
        for (size_t i = 0; i < keys.size(); i++) {
            uint64_t value;
            if (!table.find(keys[i], value) || value != i) {
                std::fprintf(stderr, "key %zu is not found\n", i);
                return 1;
            }
        }
        std::printf("%llu %zu\n", took, keys.size());
        std::fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: libcuckoo KEYS BYTES\n");
        return 2;
    }
    std::ifstream in(argv[1], std::ios::binary);
    const std::vector<char> file{std::istreambuf_iterator<char>(in), {}};
    switch (std::atoi(argv[2])) {
    case 6: return serve<6>(file);
    case 17: return serve<17>(file);
    }
    std::fprintf(stderr, "libcuckoo: keys of 6 or 17 bytes\n");
    return 2;
}
