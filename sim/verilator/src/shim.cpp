// C ABI over the verilated card: whole frames in and out, clocks inside.
//
// The card is in a harness whose registers drive its streams. What is set here before a clock edge is
// on the card's streams in the clock behind it; until the next edge nothing changes, so a clock
// is one evaluation of the model (and one of the falling edge, at which nothing happens).
//
// ports.h is made from the geometry: SN_PORTS, SN_BUS_BYTES, SN_READS_APART, SN_EACH_PORT(X) and SN_TRACE.
#include "Vseqnic_core.h"
#include "ports.h"
#include "verilated.h"
#if SN_TRACE == 1
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#elif SN_TRACE == 2
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace {

// Verilated signals of any width are little-endian words: bytes can be copied in and out.
template <class T> void put(T& signal, const void* bytes, size_t n) {
    std::memset(static_cast<void*>(&signal), 0, sizeof(T));
    std::memcpy(static_cast<void*>(&signal), bytes, n < sizeof(T) ? n : sizeof(T));
}
template <class T> void get(const T& signal, void* bytes, size_t n) {
    std::memset(bytes, 0, n);
    std::memcpy(bytes, static_cast<const void*>(&signal), n < sizeof(T) ? n : sizeof(T));
}

constexpr unsigned kBytes = SN_BUS_BYTES;
constexpr unsigned kPorts = SN_PORTS + 1;  // the host's comes last
constexpr unsigned kMeta = 32;             // bytes kept of tuser
constexpr unsigned kItemWords = 3;         // of an item of a snapshot

struct Frame {
    uint32_t port;
    uint8_t user[kMeta];
    uint64_t first_clock;
    uint64_t last_clock;
    std::vector<uint8_t> bytes;
};

struct Input {  // a frame that was taken; part of the ABI
    uint64_t tag;  // the first 8 bytes of tuser
    uint64_t first_clock;
    uint64_t last_clock;
};

struct Random {  // xorshift64*, so that runs repeat
    uint64_t state;
    bool percent(unsigned p) {
        if (p == 0) return false;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (state * 0x2545f4914f6cdd1dull >> 33) % 100 < p;
    }
};

struct Sim {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vseqnic_core> top;
#if SN_TRACE
    std::unique_ptr<Trace> trace;
#endif
    uint64_t clock = 0;
    bool ordered = true;
    unsigned idle_in = 0, stall_out = 0;  // percent of clocks
    unsigned stall_port[kPorts] = {};     // of one output, if more than stall_out
    bool record = false;                  // keep when inputs are taken
    std::deque<Input> taken;
    std::vector<std::array<uint64_t, kItemWords>> items;  // of a snapshot
    Random random{0x9e3779b97f4a7c15ull};

    std::deque<Frame> in[kPorts];
    size_t at[kPorts] = {};       // bytes of in[p].front() already taken
    bool offered[kPorts] = {};    // a beat is on the bus and must stay
    bool ready[kPorts] = {};      // the output is ready in this clock
    std::deque<uint32_t> turn;    // ports in order of arrival, when ordered
    Frame building[kPorts];
    bool open[kPorts] = {};
    std::deque<Frame> out;
    uint64_t waiting = 0;         // frames pushed, not yet taken
    std::string fault;

    explicit Sim(const char* wave) {
        context->randReset(0);
#if SN_TRACE
        if (wave && *wave) context->traceEverOn(true);
#endif
        top.reset(new Vseqnic_core{context.get()});
#if SN_TRACE
        if (wave && *wave) {
            trace.reset(new Trace);
            top->trace(trace.get(), 99);
            trace->open(wave);
        }
#else
        (void)wave;
#endif
        top->clk = 0;
        top->rst = 1;
        quiet();
        for (int i = 0; i < 8; ++i) tick();
        top->rst = 0;
        tick();
    }
    ~Sim() {
#if SN_TRACE
        if (trace) trace->close();
#endif
        top->final();
    }

    void quiet() {
        top->cfg_write = 0;
        top->cfg_read = 0;
        top->snapshot_ready = 0;
        const uint8_t zero[64] = {};
        uint32_t p = 0;
#define X(name)                           \
    top->s_axis_##name##_tvalid = 0;      \
    put(top->s_axis_##name##_tdata, zero, kBytes); \
    top->m_axis_##name##_tready = ready[p] = true;      \
    ++p;
        SN_EACH_PORT(X)
#undef X
    }

    void tick() {
        top->clk = 1;
        top->eval();
#if SN_TRACE
        if (trace) trace->dump(static_cast<vluint64_t>(clock * 2));
#endif
        top->clk = 0;
        top->eval();
#if SN_TRACE
        if (trace) trace->dump(static_cast<vluint64_t>(clock * 2 + 1));
#endif
        ++clock;
    }

    // Puts the next beat of port p on its bus for the next clock, or leaves what is offered there
    // (AXI4-Stream 2.2.1).
    template <class D, class K, class U, class B>
    void drive(uint32_t p, D& data, K& keep, U& user, B& last, CData& valid) {
        if (offered[p]) return;
        bool may = !in[p].empty() && (!ordered || turn.front() == p) && !random.percent(idle_in);
        if (!may) {
            valid = 0;
            return;
        }
        const Frame& f = in[p].front();
        size_t n = f.bytes.size() - at[p];
        if (n > kBytes) n = kBytes;
        put(data, f.bytes.data() + at[p], n);
        uint8_t mask[8];
        uint64_t ones = n >= 64 ? ~0ull : (1ull << n) - 1;
        std::memcpy(mask, &ones, 8);
        put(keep, mask, (kBytes + 7) / 8);
        put(user, f.user, kMeta);
        last = at[p] + n == f.bytes.size();
        valid = 1;
        offered[p] = true;
    }

    template <class D, class K, class U>
    void take(uint32_t p, const D& data, const K& keep, const U& user, bool last) {
        uint64_t mask = 0;
        get(keep, &mask, 8);
        Frame& f = building[p];
        if (!open[p]) {
            open[p] = true;
            f = Frame{};
            f.port = p;
            f.first_clock = clock;
        }
        get(user, f.user, kMeta);
        size_t n = mask == ~0ull ? 64 : static_cast<size_t>(__builtin_ctzll(~mask));
        if (mask != (n >= 64 ? ~0ull : (1ull << n) - 1) || n == 0 || (!last && n != kBytes))
            fault = "output " + std::to_string(p) + ": tkeep is not contiguous or a beat before the last is not full";
        uint8_t bytes[64];
        get(data, bytes, kBytes);
        f.bytes.insert(f.bytes.end(), bytes, bytes + n);
        if (last) {
            f.last_clock = clock;
            open[p] = false;
            out.push_back(std::move(f));
        }
    }

    void note(const Frame& f) {
        Input i{0, f.first_clock, clock};
        std::memcpy(&i.tag, f.user, sizeof i.tag);
        taken.push_back(i);
    }

    void step() {
        uint32_t p = 0;
        if (top->snapshot_ready && top->snapshot_valid) {
            items.emplace_back();
            get(top->snapshot_data, items.back().data(), kItemWords * 8);
        }
#define X(name)                                                                                       \
    if (offered[p] && top->s_axis_##name##_tready) {                                                  \
        offered[p] = false;                                                                           \
        if (at[p] == 0) in[p].front().first_clock = clock;                                            \
        at[p] += kBytes;                                                                              \
        if (at[p] >= in[p].front().bytes.size()) {                                                    \
            if (record) note(in[p].front());                                                          \
            in[p].pop_front();                                                                        \
            at[p] = 0;                                                                                \
            --waiting;                                                                                \
            if (ordered) turn.pop_front();                                                            \
        }                                                                                             \
    }                                                                                                 \
    if (ready[p] && top->m_axis_##name##_tvalid) {                                                    \
        take(p, top->m_axis_##name##_tdata, top->m_axis_##name##_tkeep, top->m_axis_##name##_tuser,   \
             top->m_axis_##name##_tlast);                                                             \
    }                                                                                                 \
    ++p;
        SN_EACH_PORT(X)
#undef X
        p = 0;
#define X(name)                                                                                       \
    drive(p, top->s_axis_##name##_tdata, top->s_axis_##name##_tkeep, top->s_axis_##name##_tuser,      \
          top->s_axis_##name##_tlast, top->s_axis_##name##_tvalid);                                   \
    ready[p] = !random.percent(std::max(stall_out, stall_port[p]));                                   \
    top->m_axis_##name##_tready = ready[p];                                                           \
    ++p;
        SN_EACH_PORT(X)
#undef X
        tick();
    }
};

}  // namespace

extern "C" {

struct sn_frame {
    uint32_t port;
    uint32_t length;
    const uint8_t* bytes;
    const uint8_t* user;
    uint64_t first_clock;
    uint64_t last_clock;
};

void* sn_new(const char* wave) { return new Sim(wave); }
void sn_free(void* h) { delete static_cast<Sim*>(h); }
uint32_t sn_ports() { return SN_PORTS; }
uint32_t sn_bus_bytes() { return SN_BUS_BYTES; }
uint64_t sn_clock(void* h) { return static_cast<Sim*>(h)->clock; }
uint64_t sn_waiting(void* h) { return static_cast<Sim*>(h)->waiting; }
const char* sn_fault(void* h) {
    auto& s = *static_cast<Sim*>(h);
    return s.fault.empty() ? nullptr : s.fault.c_str();
}

void sn_pressure(void* h, uint32_t ordered, uint32_t idle_in, uint32_t stall_out, uint64_t seed) {
    auto& s = *static_cast<Sim*>(h);
    s.ordered = ordered != 0;
    s.idle_in = idle_in;
    s.stall_out = stall_out;
    s.random.state = seed | 1;
}

// Percent of clocks in which one output is not ready, where that is more than sn_pressure's.
void sn_stall(void* h, uint32_t port, uint32_t percent) {
    static_cast<Sim*>(h)->stall_port[port] = percent;
}

// Whether the clocks in which inputs are taken are kept for sn_inputs.
void sn_record(void* h, uint32_t on) {
    auto& s = *static_cast<Sim*>(h);
    s.record = on != 0;
    s.taken.clear();
}

// Hands out up to `most` records of frames taken, in the order of their last beats; returns how many.
uint64_t sn_inputs(void* h, Input* to, uint64_t most) {
    auto& s = *static_cast<Sim*>(h);
    uint64_t n = std::min<uint64_t>(most, s.taken.size());
    std::copy_n(s.taken.begin(), n, to);
    s.taken.erase(s.taken.begin(), s.taken.begin() + static_cast<std::ptrdiff_t>(n));
    return n;
}

// One row a clock; traffic goes on.
void sn_write(void* h, uint32_t table, uint32_t n, const uint32_t* rows, const uint64_t* words, uint32_t words_per_row) {
    auto& s = *static_cast<Sim*>(h);
    for (uint32_t i = 0; i < n; ++i) {
        s.top->cfg_write = 1;
        s.top->cfg_table = static_cast<CData>(table);
        s.top->cfg_row = rows[i];
        put(s.top->cfg_wdata, words + static_cast<size_t>(i) * words_per_row, words_per_row * 8);
        s.step();
    }
    s.top->cfg_write = 0;
}

// Rows as close together as the card takes them; answers in order, 8 words a row. Returns the rows answered.
uint32_t sn_read(void* h, uint32_t table, uint32_t n, const uint32_t* rows, uint64_t* words, uint32_t patience) {
    auto& s = *static_cast<Sim*>(h);
    uint32_t asked = 0, got = 0, quiet = 0;
    uint32_t turn = 0;
    while (got < n && quiet < patience) {
        s.top->cfg_read = turn++ % SN_READS_APART == 0 && asked < n;
        if (s.top->cfg_read) {
            s.top->cfg_table = static_cast<CData>(table);
            s.top->cfg_row = rows[asked++];
        }
        s.step();
        ++quiet;
        if (s.top->cfg_rvalid) {
            get(s.top->cfg_rdata, words + static_cast<size_t>(got) * 8, 64);
            ++got;
            quiet = 0;
        }
    }
    s.top->cfg_read = 0;
    return got;
}

// Whether items of a snapshot are taken; traffic goes on either way.
void sn_take_items(void* h, uint32_t on) { static_cast<Sim*>(h)->top->snapshot_ready = on != 0; }

// Hands out up to `most` items taken, three words each; returns how many.
uint64_t sn_items(void* h, uint64_t* to, uint64_t most) {
    auto& s = *static_cast<Sim*>(h);
    uint64_t n = std::min<uint64_t>(most, s.items.size());
    for (uint64_t i = 0; i < n; ++i) std::copy(s.items[i].begin(), s.items[i].end(), to + i * kItemWords);
    s.items.erase(s.items.begin(), s.items.begin() + static_cast<std::ptrdiff_t>(n));
    return n;
}

void sn_push(void* h, uint32_t port, const uint8_t* user, const uint8_t* bytes, uint32_t length) {
    auto& s = *static_cast<Sim*>(h);
    Frame f{};
    f.port = port;
    std::memcpy(f.user, user, kMeta);
    f.bytes.assign(bytes, bytes + length);
    s.in[port].push_back(std::move(f));
    if (s.ordered) s.turn.push_back(port);
    ++s.waiting;
}

// Runs `clocks` clocks; 0: until everything has come out or nothing has moved for `patience` clocks.
// Returns 1 when nothing is inside any more.
uint32_t sn_run(void* h, uint64_t clocks, uint64_t patience) {
    auto& s = *static_cast<Sim*>(h);
    if (clocks) {
        for (uint64_t i = 0; i < clocks; ++i) s.step();
    } else {
        // A card that is busy for ever without a beat moving hangs just as well as a silent one.
        uint64_t beat_clock = s.clock;
        size_t seen_out = s.out.size();
        uint64_t seen_wait = s.waiting;
        while ((s.waiting || s.top->busy) && s.clock - beat_clock < patience) {
            s.step();
            if (s.out.size() != seen_out || s.waiting != seen_wait) {
                seen_out = s.out.size();
                seen_wait = s.waiting;
                beat_clock = s.clock;
            }
        }
    }
    return !s.waiting && !s.top->busy;
}

// Runs until fewer than `most` frames wait at the inputs (or `patience` clocks pass without a change).
uint32_t sn_run_below(void* h, uint64_t most, uint64_t patience) {
    auto& s = *static_cast<Sim*>(h);
    uint64_t since = s.clock, seen = s.waiting;
    while (s.waiting >= most && s.clock - since < patience) {
        s.step();
        if (s.waiting != seen) {
            seen = s.waiting;
            since = s.clock;
        }
    }
    return s.waiting < most;
}

uint32_t sn_front(void* h, sn_frame* frame) {
    auto& s = *static_cast<Sim*>(h);
    if (s.out.empty()) return 0;
    const Frame& f = s.out.front();
    *frame = sn_frame{f.port, static_cast<uint32_t>(f.bytes.size()), f.bytes.data(), f.user, f.first_clock, f.last_clock};
    return 1;
}
void sn_pop(void* h) { static_cast<Sim*>(h)->out.pop_front(); }

}  // extern "C"
