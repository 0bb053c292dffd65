/* Any N of N+M shards give all of them back, equal to what a plain GF(2^8) computes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/erasure.h>
#include <varve/random.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* An odd length: whole vectors and a tail. */
#define BYTES 103u

/* The field written from its definition, sharing nothing with ISA-L. */
static uint8_t exponents[255];
static uint8_t logarithms[256];

static int
make_tables(void **state)
{
    (void)state;
    unsigned x = 1;
    for (unsigned i = 0; i < 255; i++) {
        exponents[i] = (uint8_t)x;
        logarithms[x] = (uint8_t)i;
        x <<= 1;
        if (x & 0x100u)
            x ^= 0x11Du;
    }
    return x == 1 ? 0 : -1; /* 2 generates the field */
}

static uint8_t
multiply(uint8_t a, uint8_t b)
{
    return a == 0 || b == 0 ? 0 : exponents[(logarithms[a] + logarithms[b]) % 255u];
}

static uint8_t
invert(unsigned a)
{
    return exponents[(255u - logarithms[a]) % 255u];
}

static void
encode_plainly(unsigned n, unsigned m, size_t bytes, const uint8_t *const *data,
               uint8_t *const *parity)
{
    for (unsigned i = 0; i < m; i++) {
        memset(parity[i], 0, bytes);
        for (unsigned j = 0; j < n; j++)
            for (size_t k = 0; k < bytes; k++)
                parity[i][k] ^= multiply(invert((n + i) ^ j), data[j][k]);
    }
}

/* n + m shards of `bytes`, data random, parity by the plain field. */
struct shards {
    uint8_t *memory;
    uint8_t *shard[VARVE_SET_DISCS_MAX];
};

static void
shards_done(struct shards *shards)
{
    free(shards->memory);
}

static void
shards_make(struct shards *shards, unsigned n, unsigned m, size_t bytes,
            struct varve_random *random)
{
    shards->memory = malloc((n + m) * bytes);
    assert_non_null(shards->memory);
    random->fill(random, shards->memory, n * bytes);
    for (unsigned i = 0; i < n + m; i++)
        shards->shard[i] = shards->memory + i * bytes;
    const uint8_t *data[VARVE_SET_DISCS_MAX];
    for (unsigned i = 0; i < n; i++)
        data[i] = shards->shard[i];
    encode_plainly(n, m, bytes, data, shards->shard + n);
}

/* Decodes every lost shard from the n of `have` and compares. */
static void
check_decode(const struct shards *shards, unsigned n, unsigned m, const bool *lost,
             const unsigned *have)
{
    static uint8_t memory[VARVE_SET_DISCS_MAX][BYTES];
    unsigned wanted[VARVE_SET_DISCS_MAX] = {0}, wanted_count = 0;
    const uint8_t *sources[VARVE_SET_DISCS_MAX];
    uint8_t *results[VARVE_SET_DISCS_MAX];
    for (unsigned i = 0; i < n + m; i++) {
        if (lost[i]) {
            results[wanted_count] = memory[wanted_count];
            wanted[wanted_count++] = i;
        }
    }
    for (unsigned i = 0; i < n; i++)
        sources[i] = shards->shard[have[i]];
    struct varve_error err = {0};
    VARVE_CLEANUP(varve_decoder_free) struct varve_decoder *decoder = NULL;
    assert_true(varve_decoder_new(n, m, have, wanted, wanted_count, &decoder, &err));
    varve_decoder_run(decoder, BYTES, sources, results);
    for (unsigned i = 0; i < wanted_count; i++)
        assert_memory_equal(results[i], shards->shard[wanted[i]], BYTES);
}

/* From the first n survivors, and from the last n: parity shards take part where they can. */
static void
check_lost(const struct shards *shards, unsigned n, unsigned m, const bool *lost)
{
    unsigned have[VARVE_SET_DISCS_MAX], count = 0;
    for (unsigned i = 0; i < n + m && count < n; i++) {
        if (!lost[i])
            have[count++] = i;
    }
    assert_int_equal(count, n);
    check_decode(shards, n, m, lost, have);
    count = 0;
    for (unsigned i = n + m; i-- > 0 && count < n;) {
        if (!lost[i])
            have[count++] = i;
    }
    check_decode(shards, n, m, lost, have);
}

static void
test_every_loss_of_small_sets(void **state)
{
    (void)state;
    struct varve_random_seeded seeded;
    varve_random_seeded_init(&seeded, 1);
    unsigned patterns = 0;
    for (unsigned n = 1; n <= 8; n++) {
        for (unsigned m = 0; m <= 4; m++) {
            struct shards shards;
            shards_make(&shards, n, m, BYTES, &seeded.random);
            for (unsigned mask = 0; mask < 1u << (n + m); mask++) {
                if ((unsigned)__builtin_popcount(mask) > m)
                    continue;
                bool lost[VARVE_SET_DISCS_MAX] = {0};
                for (unsigned i = 0; i < n + m; i++)
                    lost[i] = mask >> i & 1u;
                check_lost(&shards, n, m, lost);
                patterns++;
            }
            shards_done(&shards);
        }
    }
    assert_int_equal(patterns, 3410);
}

static void
test_sampled_losses_of_large_sets(void **state)
{
    (void)state;
    static const unsigned geometries[][2] = {{9, 1},   {10, 2},    {16, 4},   {20, 10}, {64, 8},
                                             {100, 5}, {128, 16},  {251, 4},  {254, 1}, {1, 254},
                                             {60, 60}, {127, 128}, {235, 20}, {255, 0}};
    struct varve_random_seeded seeded;
    varve_random_seeded_init(&seeded, 2);
    for (size_t g = 0; g < sizeof geometries / sizeof geometries[0]; g++) {
        unsigned n = geometries[g][0], m = geometries[g][1];
        struct shards shards;
        shards_make(&shards, n, m, BYTES, &seeded.random);
        for (unsigned round = 0; round < 8; round++) {
            bool lost[VARVE_SET_DISCS_MAX] = {0};
            unsigned wanted =
                round < 2 ? m : (unsigned)varve_random_below(&seeded.random, (uint64_t)m + 1);
            for (unsigned count = 0; count < wanted;) {
                unsigned i = (unsigned)varve_random_below(&seeded.random, n + m);
                count += !lost[i];
                lost[i] = true;
            }
            check_lost(&shards, n, m, lost);
        }
        shards_done(&shards);
    }
}

static void
test_encoder_equals_the_plain_field(void **state)
{
    (void)state;
    /* Around vector widths and the block size. */
    static const size_t sizes[] = {0,  1,  15,  31,    32,    33,    63,
                                   64, 65, 127, 16383, 16384, 16385, 40000};
    static const unsigned geometries[][2] = {{1, 1}, {4, 2}, {10, 2}, {16, 4}, {5, 7}, {3, 0}};
    struct varve_random_seeded seeded;
    varve_random_seeded_init(&seeded, 3);
    for (size_t g = 0; g < sizeof geometries / sizeof geometries[0]; g++) {
        unsigned n = geometries[g][0], m = geometries[g][1];
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct shards shards;
            shards_make(&shards, n, m, sizes[s] + 1, &seeded.random);
            const uint8_t *data[VARVE_SET_DISCS_MAX];
            uint8_t *parity[VARVE_SET_DISCS_MAX];
            for (unsigned i = 0; i < n; i++)
                data[i] = shards.shard[i];
            for (unsigned i = 0; i < m; i++) {
                parity[i] = malloc(sizes[s] + 1);
                assert_non_null(parity[i]);
                parity[i][sizes[s]] = 0xA5;
            }
            struct varve_error err = {0};
            VARVE_CLEANUP(varve_encoder_free) struct varve_encoder *encoder = NULL;
            assert_true(varve_encoder_new(n, m, &encoder, &err));
            varve_encoder_run(encoder, sizes[s], data, parity);
            for (unsigned i = 0; i < m; i++) {
                assert_memory_equal(parity[i], shards.shard[n + i], sizes[s]);
                assert_int_equal(parity[i][sizes[s]], 0xA5); /* nothing beyond the end */
                free(parity[i]);
            }
            shards_done(&shards);
        }
    }
}

static size_t
read_hex(const char *hex, uint8_t *ret, size_t max)
{
    size_t count = 0;
    unsigned value;
    while (count < max && sscanf(hex + 2 * count, "%2x", &value) == 1)
        ret[count++] = (uint8_t)value;
    return count;
}

/* vector.txt is what docs/format.md quotes; it was computed by a program of its own. */
static void
test_known_answer(void **state)
{
    (void)state;
    VARVE_CLEANUP_STREAM FILE *file = fopen(VECTOR_FILE, "r");
    assert_non_null(file);
    enum { N = 4, M = 3, SIZE = 16 };
    uint8_t shard[N + M][SIZE], row[N + M][N], parity[M][SIZE], plain[M][SIZE];
    char line[256], word[16], hex[64];
    unsigned index, shards_seen = 0, rows_seen = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%15s %u %63s", word, &index, hex) != 3 || index >= N + M)
            continue;
        if (strcmp(word, "row") == 0)
            rows_seen += read_hex(hex, row[index], N) == N;
        else
            shards_seen += read_hex(hex, shard[index], SIZE) == SIZE;
    }
    assert_int_equal(shards_seen, N + M);
    assert_int_equal(rows_seen, M);
    for (unsigned i = N; i < N + M; i++)
        for (unsigned j = 0; j < N; j++)
            assert_int_equal(row[i][j], invert(i ^ j));

    const uint8_t *data[N] = {shard[0], shard[1], shard[2], shard[3]};
    uint8_t *const results[M] = {parity[0], parity[1], parity[2]};
    uint8_t *const plains[M] = {plain[0], plain[1], plain[2]};
    struct varve_error err = {0};
    VARVE_CLEANUP(varve_encoder_free) struct varve_encoder *encoder = NULL;
    assert_true(varve_encoder_new(N, M, &encoder, &err));
    varve_encoder_run(encoder, SIZE, data, results);
    encode_plainly(N, M, SIZE, data, plains);
    for (unsigned i = 0; i < M; i++) {
        assert_memory_equal(parity[i], shard[N + i], SIZE);
        assert_memory_equal(plain[i], shard[N + i], SIZE);
    }
}

static void
test_impossible_geometry_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned n, m;
        bool ok;
    } cases[] = {{1, 0, true},    {255, 0, true},         {254, 1, true},
                 {1, 254, true},  {0, 1, false},          {0, 0, false},
                 {255, 1, false}, {256, 0, false},        {128, 128, false},
                 {1, 255, false}, {UINT32_MAX, 2, false}, {2, UINT32_MAX, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        VARVE_CLEANUP(varve_encoder_free) struct varve_encoder *encoder = NULL;
        struct varve_error err = {0};
        assert_int_equal(varve_encoder_new(cases[i].n, cases[i].m, &encoder, &err), cases[i].ok);
        assert_int_equal(err.kind, cases[i].ok ? VARVE_ERROR_NONE : VARVE_ERROR_INVALID);
        assert_int_equal(encoder != NULL, cases[i].ok);
    }
    VARVE_CLEANUP(varve_encoder_free) struct varve_encoder *encoder = NULL;
    struct varve_error err = {0};
    assert_false(varve_encoder_new(250, 6, &encoder, &err));
    assert_string_equal(err.text,
                        "a set of 250+6 discs is impossible: 1 to 255 in all, data first");
}

static void
test_impossible_decodings_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned have[3], wanted[3], wanted_count;
        const char *text; /* NULL: fine */
    } cases[] = {
        {{0, 1, 2}, {3, 4}, 2, NULL},
        {{4, 3, 0}, {2, 1}, 2, NULL},
        {{0, 1, 2}, {0}, 0, NULL},
        {{0, 1, 1}, {3}, 1, "shard 1 is given twice"},
        {{0, 1, 5}, {3}, 1, "shard 5 is not one of 3+2"},
        {{0, 1, 2}, {2}, 1, "shard 2 is wanted, but is given or not one of 3+2"},
        {{0, 1, 2}, {7}, 1, "shard 7 is wanted, but is given or not one of 3+2"},
        {{0, 1, 2}, {3, 4, 3}, 3, "3 shards are wanted, 3+2 can give 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        VARVE_CLEANUP(varve_decoder_free) struct varve_decoder *decoder = NULL;
        struct varve_error err = {0};
        bool ok = varve_decoder_new(3, 2, cases[i].have, cases[i].wanted, cases[i].wanted_count,
                                    &decoder, &err);
        assert_int_equal(ok, cases[i].text == NULL);
        assert_string_equal(err.text, ok ? "" : cases[i].text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_loss_of_small_sets),
        cmocka_unit_test(test_sampled_losses_of_large_sets),
        cmocka_unit_test(test_encoder_equals_the_plain_field),
        cmocka_unit_test(test_known_answer),
        cmocka_unit_test(test_impossible_geometry_is_refused),
        cmocka_unit_test(test_impossible_decodings_are_refused),
    };
    return cmocka_run_group_tests(tests, make_tables, NULL);
}
