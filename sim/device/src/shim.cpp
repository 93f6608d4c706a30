// C ABI over the verilated card in a host: registers, host memory, interrupts and whole frames; clocks inside.
//
// The card is in a harness whose registers drive its inputs (all but clk and rst). What is set here before a clock
// edge is on the card's inputs in the clock behind it. This side of AXI is always ready, so a word that is
// valid behind an edge moves with the next one.
//
// ports.h is made from the geometry: SN_PORTS, SN_BUS_BYTES, SN_EACH_PORT(X) and SN_TRACE.
#include "Vseqnic_card.h"
#include "ports.h"
#include "verilated.h"
#if SN_TRACE == 1
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#elif SN_TRACE == 2
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#endif

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
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
constexpr unsigned kPorts = SN_PORTS;

struct Frame {
    uint32_t port;
    std::vector<uint8_t> bytes;
};

// Host memory, as the other side of the border gives it: 1 if the transfer is allowed.
using ReadHost = uint32_t (*)(void* host, uint64_t address, uint8_t* to, uint32_t bytes);
using WriteHost = uint32_t (*)(void* host, uint64_t address, const uint8_t* from, uint32_t bytes);

struct Burst {
    uint64_t address;
    uint32_t left;
    bool refused;
};

struct Card {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vseqnic_card> top;
#if SN_TRACE
    std::unique_ptr<Trace> trace;
#endif
    uint64_t clock = 0;
    uint64_t now = 0;       // ns
    uint32_t step_ns = 4;   // of a clock

    // Who answers transfers; only set while the other side is in a call that may lead to some.
    void* host_context = nullptr;
    ReadHost read_host = nullptr;
    WriteHost write_host = nullptr;
    std::deque<Burst> writes;
    std::deque<std::vector<uint8_t>> words;
    unsigned answers = 0;       // writes done, not yet answered
    std::deque<bool> refused;   // of each of them
    std::deque<Burst> reads[2];
    unsigned turn = 0;
    std::deque<uint32_t> vectors;

    std::deque<Frame> in[kPorts];
    size_t at[kPorts] = {};     // bytes of in[p].front() already taken
    bool offered[kPorts] = {};  // a beat is on the bus and must stay
    Frame building[kPorts];
    std::deque<Frame> out;
    uint64_t waiting = 0;       // frames pushed, not yet taken

    Card(const char* wave, const uint8_t* sha) {
        context->randReset(0);
#if SN_TRACE
        if (wave && *wave) context->traceEverOn(true);
#endif
        top.reset(new Vseqnic_card{context.get()});
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
        put(top->source_sha, sha, 20);
        top->m_axi_awready = top->m_axi_wready = top->m_axi_arready = top->irq_ready = 1;
        top->s_axil_bready = top->s_axil_rready = 1;
#define X(name) top->m_axis_##name##_tready = 1;
        SN_EACH_PORT(X)
#undef X
        for (int i = 0; i < 8; ++i) tick();
        top->rst = 0;
        for (int i = 0; i < 4; ++i) tick();
    }
    ~Card() {
#if SN_TRACE
        if (trace) trace->close();
#endif
        top->final();
    }

    void tick() {
        top->now = now;
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
        now += step_ns;
    }

    void host() {
        if (top->m_axi_awvalid) writes.push_back({top->m_axi_awaddr, top->m_axi_awlen + 1u, false});
        if (top->m_axi_wvalid) {
            std::vector<uint8_t> word(kBytes);
            get(top->m_axi_wdata, word.data(), kBytes);
            words.push_back(std::move(word));
        }
        while (!writes.empty() && !words.empty()) {
            Burst& b = writes.front();
            if (!write_host(host_context, b.address, words.front().data(), kBytes)) b.refused = true;
            words.pop_front();
            b.address += kBytes;
            if (--b.left == 0) {
                refused.push_back(b.refused);
                writes.pop_front();
            }
        }
        top->m_axi_bvalid = !refused.empty();
        if (!refused.empty()) {
            top->m_axi_bresp = refused.front() ? 2 : 0;
            refused.pop_front();
        }
        if (top->m_axi_arvalid)
            reads[top->m_axi_arid].push_back({top->m_axi_araddr, top->m_axi_arlen + 1u, false});
        if (reads[turn].empty()) turn ^= 1;
        top->m_axi_rvalid = !reads[turn].empty();
        if (!reads[turn].empty()) {
            Burst& b = reads[turn].front();
            uint8_t word[64] = {};
            bool allowed = read_host(host_context, b.address, word, kBytes);
            put(top->m_axi_rdata, word, kBytes);
            top->m_axi_rresp = allowed ? 0 : 2;
            top->m_axi_rid = turn;
            b.address += kBytes;
            top->m_axi_rlast = --b.left == 0;
            if (b.left == 0) reads[turn].pop_front();
        }
        if (top->irq_valid) vectors.push_back(top->irq_vector);
    }

    // Puts the next beat of port p on its bus for the next clock, or leaves what is offered there.
    template <class D, class K, class B> void drive(uint32_t p, D& data, K& keep, B& last, CData& valid) {
        if (offered[p]) return;
        if (in[p].empty()) {
            valid = 0;
            return;
        }
        const Frame& f = in[p].front();
        size_t n = f.bytes.size() - at[p];
        if (n > kBytes) n = kBytes;
        put(data, f.bytes.data() + at[p], n);
        uint64_t ones = n >= 64 ? ~0ull : (1ull << n) - 1;
        put(keep, &ones, (kBytes + 7) / 8);
        last = at[p] + n == f.bytes.size();
        valid = 1;
        offered[p] = true;
    }

    template <class D, class K, class U> void take(uint32_t p, const D& data, const K& keep, const U& user, bool last) {
        uint64_t mask = 0;
        get(keep, &mask, 8);
        size_t n = mask == ~0ull ? 64 : static_cast<size_t>(__builtin_ctzll(~mask));
        uint8_t bytes[64];
        get(data, bytes, kBytes);
        Frame& f = building[p];
        f.bytes.insert(f.bytes.end(), bytes, bytes + n);
        if (last) {
            // The error mark is the sideband's highest bit: a MAC would spoil the FCS, nobody would take the frame.
            uint8_t side[32];
            get(user, side, sizeof side);
            bool error = (side[(SN_USER_BITS - 1) / 8] >> ((SN_USER_BITS - 1) % 8)) & 1;
            f.port = p;
            if (!error) out.push_back(std::move(f));
            f = Frame{};
        }
    }

    void step() {
        host();
        uint32_t p = 0;
#define X(name)                                                                                             \
    if (offered[p] && top->s_axis_##name##_tready) {                                                        \
        offered[p] = false;                                                                                 \
        at[p] += kBytes;                                                                                    \
        if (at[p] >= in[p].front().bytes.size()) {                                                          \
            in[p].pop_front();                                                                              \
            at[p] = 0;                                                                                      \
            --waiting;                                                                                      \
        }                                                                                                   \
    }                                                                                                       \
    if (top->m_axis_##name##_tvalid)                                                                        \
        take(p, top->m_axis_##name##_tdata, top->m_axis_##name##_tkeep, top->m_axis_##name##_tuser,         \
             top->m_axis_##name##_tlast);                                                                   \
    ++p;
        SN_EACH_PORT(X)
#undef X
        p = 0;
#define X(name)                                                                                             \
    drive(p, top->s_axis_##name##_tdata, top->s_axis_##name##_tkeep, top->s_axis_##name##_tlast,            \
          top->s_axis_##name##_tvalid);                                                                     \
    ++p;
        SN_EACH_PORT(X)
#undef X
        tick();
    }

    bool busy() const {
        return top->busy || waiting || !writes.empty() || !words.empty() || !refused.empty() ||
               !reads[0].empty() || !reads[1].empty();
    }
};

Card& card(void* h) { return *static_cast<Card*>(h); }

}  // namespace

extern "C" {

void* sc_new(const char* wave, const uint8_t* sha) { return new Card(wave, sha); }
void sc_free(void* h) { delete static_cast<Card*>(h); }
uint32_t sc_ports() { return SN_PORTS; }
uint64_t sc_clock(void* h) { return card(h).clock; }

// The time of the next clock, and of a clock.
void sc_time(void* h, uint64_t now, uint32_t step_ns) {
    if (now > card(h).now) card(h).now = now;
    card(h).step_ns = step_ns;
}

// Which ports have a link, a bit a port.
void sc_link(void* h, uint32_t up) { card(h).top->link = up; }

// Whom the card's transfers go to in the calls that follow.
void sc_host(void* h, void* context, ReadHost read, WriteHost write) {
    auto& c = card(h);
    c.host_context = context;
    c.read_host = read;
    c.write_host = write;
}

// Register accesses: clocks go by until they are answered. 0: no answer within `patience` clocks.
uint32_t sc_read(void* h, uint32_t address, uint32_t* value, uint32_t patience) {
    auto& t = *card(h).top;
    t.s_axil_arvalid = 1;
    t.s_axil_araddr = address;
    bool taken = false;
    for (uint32_t i = 0; i < patience; ++i) {
        card(h).step();
        if (!taken && t.s_axil_arready) {
            taken = true;
            t.s_axil_arvalid = 0;
        }
        if (t.s_axil_rvalid) {
            *value = t.s_axil_rdata;
            card(h).step();
            return 1;
        }
    }
    t.s_axil_arvalid = 0;
    return 0;
}

uint32_t sc_write(void* h, uint32_t address, uint32_t value, uint32_t patience) {
    auto& t = *card(h).top;
    t.s_axil_awvalid = t.s_axil_wvalid = 1;
    t.s_axil_awaddr = address;
    t.s_axil_wdata = value;
    t.s_axil_wstrb = 15;
    for (uint32_t i = 0; i < patience; ++i) {
        card(h).step();
        if (t.s_axil_awvalid && t.s_axil_awready) t.s_axil_awvalid = t.s_axil_wvalid = 0;
        if (t.s_axil_bvalid) {
            card(h).step();
            return 1;
        }
    }
    t.s_axil_awvalid = t.s_axil_wvalid = 0;
    return 0;
}

void sc_flr(void* h) {
    card(h).top->flr = 1;
    card(h).step();
    card(h).top->flr = 0;
    card(h).step();
}

void sc_push(void* h, uint32_t port, const uint8_t* bytes, uint32_t length) {
    auto& c = card(h);
    c.in[port].push_back({port, std::vector<uint8_t>(bytes, bytes + length)});
    ++c.waiting;
}
uint64_t sc_waiting(void* h) { return card(h).waiting; }

// Runs until nothing is going on, `most` clocks at most. Returns 1 when nothing is.
uint32_t sc_run(void* h, uint64_t most) {
    auto& c = card(h);
    unsigned calm = 0;
    for (uint64_t i = 0; i < most && calm < 4; ++i) {
        c.step();
        calm = c.busy() ? 0 : calm + 1;
    }
    return calm >= 4;
}

// The next frame that left; 0 when there is none.
uint32_t sc_front(void* h, uint32_t* port, const uint8_t** bytes, uint32_t* length) {
    auto& c = card(h);
    if (c.out.empty()) return 0;
    *port = c.out.front().port;
    *bytes = c.out.front().bytes.data();
    *length = static_cast<uint32_t>(c.out.front().bytes.size());
    return 1;
}
void sc_pop(void* h) { card(h).out.pop_front(); }

// The next interrupt; 0 when there is none.
uint32_t sc_vector(void* h, uint32_t* vector) {
    auto& c = card(h);
    if (c.vectors.empty()) return 0;
    *vector = c.vectors.front();
    c.vectors.pop_front();
    return 1;
}

}  // extern "C"
