/* Runs the programs of `dnat.bpf.c` with BPF_PROG_TEST_RUN and says what CPU time they took.
 *
 *   xdp_dnat OBJECT SERVICES TRACE FRAME
 *
 * SERVICES holds pairs of struct service_key and struct service_value, TRACE as many struct arrival as the
 * program's trace has, FRAME the frame they are written over. Says "ready", then obeys lines on standard
 * input, an answer a line:
 *
 *   serve, dnat, receive   that program over the whole trace: CPU nanoseconds, packets
 *   frame PROGRAM N        packet N of the trace through it: what it returned, the frame in hexadecimal
 *   counted                packets counted by `serve`: in all services, and in the rows everything counts in
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "dnat.h"

struct record {
    struct service_key key;
    struct service_value value;
};

static void die(const char *what)
{
    fprintf(stderr, "xdp_dnat: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *file(const char *path, size_t *bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    void *at;

    if (fd < 0 || fstat(fd, &st))
        die(path);
    at = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        die(path);
    close(fd);
    *bytes = st.st_size;
    return at;
}

static unsigned long long cpu_ns(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t))
        die("clock_gettime");
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int program(struct bpf_object *object, const char *name)
{
    struct bpf_program *found = bpf_object__find_program_by_name(object, name);

    if (!found)
        die(name);
    return bpf_program__fd(found);
}

static struct bpf_map *map(struct bpf_object *object, const char *name)
{
    struct bpf_map *found = bpf_object__find_map_by_name(object, name);

    if (!found)
        die(name);
    return found;
}

/* Packets counted in all rows on all processors. */
static unsigned long long packets(struct bpf_map *map)
{
    int processors = libbpf_num_possible_cpus(), each;
    struct count *counts = calloc(processors, sizeof *counts);
    unsigned long long all = 0;
    __u32 row;

    if (!counts)
        die("memory");
    for (row = 0; row < bpf_map__max_entries(map); row++) {
        if (bpf_map_lookup_elem(bpf_map__fd(map), &row, counts))
            die("a counter");
        for (each = 0; each < processors; each++)
            all += counts[each].packets;
    }
    free(counts);
    return all;
}

int main(int argc, char **argv)
{
    static unsigned char out[4096];
    size_t services_bytes, trace_bytes, frame_bytes, at;
    struct record *services;
    void *trace, *frame, *mapped, *bss;
    struct bpf_object *object;
    char line[64], name[16];
    __u32 zero = 0;
    struct sender_key router = { .mac = ROUTER_MAC };
    int fd;

    if (argc != 5) {
        fprintf(stderr, "usage: xdp_dnat OBJECT SERVICES TRACE FRAME\n");
        return 2;
    }
    services = file(argv[2], &services_bytes);
    trace = file(argv[3], &trace_bytes);
    frame = file(argv[4], &frame_bytes);
    if (trace_bytes != TRACE * sizeof(struct arrival) || services_bytes % sizeof(struct record)) {
        fprintf(stderr, "xdp_dnat: the files have another form\n");
        return 1;
    }

    object = bpf_object__open_file(argv[1], NULL);
    if (!object)
        die(argv[1]);
    if (bpf_map__set_max_entries(map(object, "services"), services_bytes / sizeof(struct record)))
        die("services");
    if (bpf_map__set_max_entries(map(object, "service"), services_bytes / sizeof(struct record)))
        die("service");
    if (bpf_object__load(object))
        die("loading needs CAP_BPF and CAP_NET_ADMIN (root)");
    if (bpf_map_update_elem(bpf_map__fd(map(object, "senders")), &router, &zero, BPF_NOEXIST))
        die("the sender");
    fd = bpf_map__fd(map(object, "services"));
    for (at = 0; at < services_bytes / sizeof(struct record); at++)
        if (bpf_map_update_elem(fd, &services[at].key, &services[at].value, BPF_NOEXIST))
            die("a service");
    mapped = mmap(NULL, trace_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map(object, "trace")), 0);
    if (mapped == MAP_FAILED)
        die("trace");
    memcpy(mapped, trace, trace_bytes);
    bss = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map(object, ".bss")), 0);
    if (bss == MAP_FAILED)
        die(".bss");

    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = frame_bytes, .data_out = out,
                    .data_size_out = sizeof out, .repeat = TRACE);
        unsigned long long before;
        unsigned int number;

        if (sscanf(line, "frame %15s %u", name, &number) == 2) {
            run.repeat = 1;
            *(__u32 *)bss = number;
            if (bpf_prog_test_run_opts(program(object, name), &run))
                die("test run");
            printf("%u ", run.retval);
            for (at = 0; at < run.data_size_out; at++)
                printf("%02x", out[at]);
            putchar('\n');
        } else if (!strcmp(line, "counted\n")) {
            static const char *sets[] = { "reason", "interface_in", "interface_out", "server_out", "service" };
            unsigned long long all;

            for (at = 0; at < sizeof sets / sizeof *sets; at++) {
                all = packets(map(object, sets[at]));
                printf("%s%llu", at ? " " : "", all);
            }
            putchar('\n');
        } else if (sscanf(line, "%15s", name) == 1) {
            fd = program(object, name);
            *(__u32 *)bss = 0;
            before = cpu_ns();
            if (bpf_prog_test_run_opts(fd, &run))
                die("test run");
            printf("%llu %u\n", cpu_ns() - before, TRACE);
            if (run.retval != 3) {
                fprintf(stderr, "xdp_dnat: the program did not send the packet on, but returned %u\n", run.retval);
                return 1;
            }
        }
        fflush(stdout);
    }
    return 0;
}
