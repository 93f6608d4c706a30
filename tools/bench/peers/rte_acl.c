/* Builds DPDK's rte_acl from a file of rules and looks packets up in it.
 *
 *   rte_acl RULES PACKETS 4|6
 *
 * RULES and PACKETS hold the structures below. Says "ready", then answers lines on standard input:
 *
 *   build         CPU nanoseconds of one rte_acl_build, rules, bytes of the structure packets are looked up in
 *   lookup        CPU nanoseconds, packets
 *   answers FILE  writes a number for each packet: place of the first rule that holds it from 1, 0 for none
 *
 * Adding rules to the context and freeing it are not counted. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Ports and protocol as the machine has them, addresses as on the wire; those of IPv4 are the first four bytes. */
struct written_rule {
    uint8_t protocol, protocol_mask, client_bits, server_bits;
    uint8_t client[16], server[16];
    uint16_t client_first, client_last, first, last;
};

/* Everything as on the wire. */
struct packet {
    uint8_t protocol, unused[3];
    uint8_t client[16], server[16];
    uint16_t client_port, port;
};

enum { MOST_FIELDS = 11, AT_ONCE = 64 };
RTE_ACL_RULE_DEF(acl_rule, MOST_FIELDS);

static struct rte_acl_field_def fields[MOST_FIELDS];
static int field_count, words;

static unsigned long long cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void field(uint8_t type, uint8_t size, uint8_t input, uint32_t offset)
{
    fields[field_count] = (struct rte_acl_field_def){
        .type = type, .size = size, .field_index = field_count, .input_index = input, .offset = offset};
    field_count++;
}

/* One byte, then four at a time; the ports share a word. */
static void define(void)
{
    int i;

    field(RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, offsetof(struct packet, protocol));
    for (i = 0; i < words; i++)
        field(RTE_ACL_FIELD_TYPE_MASK, 4, 1 + i, offsetof(struct packet, client) + 4 * i);
    for (i = 0; i < words; i++)
        field(RTE_ACL_FIELD_TYPE_MASK, 4, 1 + words + i, offsetof(struct packet, server) + 4 * i);
    field(RTE_ACL_FIELD_TYPE_RANGE, 2, 1 + 2 * words, offsetof(struct packet, client_port));
    field(RTE_ACL_FIELD_TYPE_RANGE, 2, 1 + 2 * words, offsetof(struct packet, port));
}

static void prefix(struct rte_acl_field *field, const uint8_t *address, int bits)
{
    int i;

    for (i = 0; i < words; i++) {
        const uint8_t *word = address + 4 * i;
        int here = bits - 32 * i;

        field[i].value.u32 = (uint32_t)word[0] << 24 | word[1] << 16 | word[2] << 8 | word[3];
        field[i].mask_range.u32 = here < 0 ? 0 : here > 32 ? 32 : here;
    }
}

static struct acl_rule rule(const struct written_rule *w, size_t place)
{
    struct acl_rule r;

    memset(&r, 0, sizeof r);
    r.data.category_mask = 1;
    r.data.priority = RTE_ACL_MAX_PRIORITY - place;
    r.data.userdata = place + 1;
    r.field[0].value.u8 = w->protocol;
    r.field[0].mask_range.u8 = w->protocol_mask;
    prefix(r.field + 1, w->client, w->client_bits);
    prefix(r.field + 1 + words, w->server, w->server_bits);
    r.field[1 + 2 * words].value.u16 = w->client_first;
    r.field[1 + 2 * words].mask_range.u16 = w->client_last;
    r.field[2 + 2 * words].value.u16 = w->first;
    r.field[2 + 2 * words].mask_range.u16 = w->last;
    return r;
}

static void *mapped(const char *path, size_t *bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    void *found;

    if (fd < 0 || fstat(fd, &st)) {
        perror(path);
        exit(1);
    }
    found = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (found == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    *bytes = st.st_size;
    return found;
}

static size_t allocated(void)
{
    struct rte_malloc_socket_stats stats;

    memset(&stats, 0, sizeof stats);
    rte_malloc_get_socket_stats(0, &stats);
    return stats.heap_allocsz_bytes;
}

static void check(int failed, const char *what)
{
    if (failed) {
        fprintf(stderr, "%s: %s\n", what, rte_strerror(failed < 0 ? -failed : rte_errno));
        exit(1);
    }
}

static void look_up(struct rte_acl_ctx *context, const struct packet *packets, size_t count, uint32_t *answers)
{
    const uint8_t *data[AT_ONCE];
    size_t i, j;

    for (i = 0; i < count; i += AT_ONCE) {
        size_t here = count - i < AT_ONCE ? count - i : AT_ONCE;

        for (j = 0; j < here; j++)
            data[j] = (const uint8_t *)(packets + i + j);
        check(rte_acl_classify(context, data, answers + i, here, 1), "rte_acl_classify");
    }
}

int main(int argc, char **argv)
{
    char *eal[] = {"rte_acl", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-l", "0", "-m", "2048",
                   "--log-level", "3", NULL};
    struct rte_acl_param parameters = {.name = "rules"};
    struct rte_acl_config config = {.num_categories = 1};
    struct rte_acl_ctx *context = NULL;
    struct written_rule *written;
    struct packet *packets;
    size_t rules, count, i;
    uint32_t *answers;
    char line[512];

    if (argc != 4) {
        fprintf(stderr, "usage: rte_acl RULES PACKETS 4|6\n");
        return 2;
    }
    words = argv[3][0] == '6' ? 4 : 1;
    written = mapped(argv[1], &rules);
    packets = mapped(argv[2], &count);
    rules /= sizeof *written;
    count /= sizeof *packets;
    answers = calloc(count, sizeof *answers);
    define();
    parameters.rule_size = RTE_ACL_RULE_SZ(field_count);
    parameters.max_rule_num = rules;
    config.num_fields = field_count;
    memcpy(config.defs, fields, sizeof *fields * field_count);
    if (!answers || rte_eal_init(sizeof eal / sizeof *eal - 1, eal) < 0) {
        fprintf(stderr, "rte_eal_init: %s\n", rte_strerror(rte_errno));
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        unsigned long long before;

        line[strcspn(line, "\n")] = 0;
        if (!strcmp(line, "build")) {
            unsigned char *list = malloc(rules * parameters.rule_size);
            size_t bytes;

            rte_acl_free(context);
            context = rte_acl_create(&parameters);
            check(!context || !list, "rte_acl_create");
            for (i = 0; i < rules; i++) {
                struct acl_rule r = rule(written + i, i);

                memcpy(list + i * parameters.rule_size, &r, parameters.rule_size);
            }
            check(rte_acl_add_rules(context, (struct rte_acl_rule *)list, rules), "rte_acl_add_rules");
            free(list);
            bytes = allocated();
            before = cpu_ns();
            check(rte_acl_build(context, &config), "rte_acl_build");
            printf("%llu %zu %zu\n", cpu_ns() - before, rules, allocated() - bytes);
        } else if (!context) {
            fprintf(stderr, "`%s` before `build`\n", line);
            return 1;
        } else if (!strcmp(line, "lookup")) {
            before = cpu_ns();
            look_up(context, packets, count, answers);
            printf("%llu %zu\n", cpu_ns() - before, count);
        } else if (!strncmp(line, "answers ", 8)) {
            FILE *file = fopen(line + 8, "wb");

            look_up(context, packets, count, answers);
            if (!file || fwrite(answers, sizeof *answers, count, file) != count || fclose(file)) {
                perror(line + 8);
                return 1;
            }
            puts("written");
        } else {
            fprintf(stderr, "no request is called `%s`\n", line);
            return 1;
        }
        fflush(stdout);
    }
    return 0;
}
