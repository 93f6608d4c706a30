/* Builds DPDK's rte_hash from a file of keys and says what CPU time the inserts took.
 *
 *   rte_hash KEYS BYTES ENTRIES
 *
 * KEYS holds keys of BYTES bytes, ENTRIES is the size of the table. Says "ready", then answers every line
 * on standard input with CPU nanoseconds and keys of one build. Making, checking and freeing the table are
 * not counted. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_memory.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static unsigned long long cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Without reserved huge pages DPDK's memory is in small ones: ask for large ones, as our side does. */
static int large_pages(const struct rte_memseg_list *list, void *arg)
{
    (void)arg;
    madvise(list->base_va, list->len, MADV_HUGEPAGE);
    return 0;
}

int main(int argc, char **argv)
{
    char *eal[] = {"rte_hash", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-l", "0", "-m", "1024",
                   "--log-level", "3", NULL};
    struct rte_hash_parameters parameters = {.name = "keys", .hash_func = rte_hash_crc};
    unsigned char *keys;
    struct stat st;
    size_t count, i;
    char line[64];
    int fd;

    if (argc != 4) {
        fprintf(stderr, "usage: rte_hash KEYS BYTES ENTRIES\n");
        return 2;
    }
    parameters.key_len = atoi(argv[2]);
    parameters.entries = atoi(argv[3]);
    fd = open(argv[1], O_RDONLY);
    if (fd < 0 || fstat(fd, &st)) {
        perror(argv[1]);
        return 1;
    }
    keys = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (keys == MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    count = st.st_size / parameters.key_len;
    if (rte_eal_init(sizeof eal / sizeof *eal - 1, eal) < 0) {
        fprintf(stderr, "rte_eal_init: %s\n", rte_strerror(rte_errno));
        return 1;
    }
    rte_memseg_list_walk(large_pages, NULL);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        struct rte_hash *table = rte_hash_create(&parameters);
        unsigned long long before, took;
        size_t found = 0;

        if (!table) {
            fprintf(stderr, "rte_hash_create: %s\n", rte_strerror(rte_errno));
            return 1;
        }
        before = cpu_ns();
        for (i = 0; i < count; i++)
            if (rte_hash_add_key_data(table, keys + i * parameters.key_len, (void *)(i + 1))) {
                fprintf(stderr, "key %zu of %zu has no place\n", i, count);
                return 1;
            }
        took = cpu_ns() - before;
        for (i = 0; i < count; i++) {
            void *data;

            found += rte_hash_lookup_data(table, keys + i * parameters.key_len, &data) >= 0 && data == (void *)(i + 1);
        }
        if (found != count) {
            fprintf(stderr, "%zu of %zu keys are found\n", found, count);
            return 1;
        }
        rte_hash_free(table);
        printf("%llu %zu\n", took, count);
        fflush(stdout);
    }
    return 0;
}
