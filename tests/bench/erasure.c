/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the encoder and decoder beside raw ec_encode_data on the same buffers: the wrapper must
 * not cost anything. Prints GB/s of data read and the ratio. */
#include <varve/clock.h>
#include <varve/erasure.h>
#include <varve/random.h>

#include <isa-l/erasure_code.h>

#define SHARD_BYTES 65536u
#define ROUNDS 40

struct bench {
    unsigned n, m;
    uint8_t *shard[VARVE_SET_DISCS_MAX];
    unsigned char *tables;
    struct varve_encoder *encoder;
    struct varve_decoder *decoder;
};

typedef void bench_fn(struct bench *bench);

static void
run_raw(struct bench *bench)
{
    ec_encode_data((int)SHARD_BYTES, (int)bench->n, (int)bench->m, bench->tables, bench->shard,
                   bench->shard + bench->n);
}

static void
run_encoder(struct bench *bench)
{
    const uint8_t *data[VARVE_SET_DISCS_MAX];
    for (unsigned i = 0; i < bench->n; i++)
        data[i] = bench->shard[i];
    varve_encoder_run(bench->encoder, SHARD_BYTES, data, bench->shard + bench->n);
}

/* The first m data shards from the rest. */
static void
run_decoder(struct bench *bench)
{
    const uint8_t *sources[VARVE_SET_DISCS_MAX];
    for (unsigned i = 0; i < bench->n; i++)
        sources[i] = bench->shard[bench->m + i];
    varve_decoder_run(bench->decoder, SHARD_BYTES, sources, bench->shard);
}

static double
measure_once(struct bench *bench, bench_fn *run)
{
    unsigned repeat = 60u * 16u / bench->n;
    int64_t start = varve_clock_monotonic(varve_clock_system());
    for (unsigned i = 0; i < repeat; i++)
        run(bench);
    int64_t ns = varve_clock_monotonic(varve_clock_system()) - start;
    return (double)SHARD_BYTES * bench->n * repeat / (double)ns;
}

/* Best of many rounds that take turns: others use this machine too. */
static void
measure(struct bench *bench, bench_fn *const *runs, size_t count, double *ret)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            double speed = measure_once(bench, runs[i]);
            ret[i] = round == 0 || speed > ret[i] ? speed : ret[i];
        }
    }
}

static bool
bench_make(struct bench *bench, struct varve_error *err)
{
    unsigned n = bench->n, m = bench->m, have[VARVE_SET_DISCS_MAX], wanted[VARVE_SET_DISCS_MAX];
    for (unsigned i = 0; i < n + m; i++) {
        if (posix_memalign((void **)&bench->shard[i], 64, SHARD_BYTES) != 0)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "shards");
        varve_random_system()->fill(varve_random_system(), bench->shard[i], SHARD_BYTES);
    }
    for (unsigned i = 0; i < n; i++)
        have[i] = m + i;
    for (unsigned i = 0; i < m; i++)
        wanted[i] = i;
    VARVE_CLEANUP_FREE unsigned char *matrix = malloc((size_t)(n + m) * n);
    bench->tables = malloc((size_t)n * m * 32);
    if (matrix == NULL || bench->tables == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "tables");
    gf_gen_cauchy1_matrix(matrix, (int)(n + m), (int)n);
    ec_init_tables((int)n, (int)m, matrix + (size_t)n * n, bench->tables);
    return varve_encoder_new(n, m, &bench->encoder, err) &&
           varve_decoder_new(n, m, have, wanted, m, &bench->decoder, err);
}

static void
bench_done(struct bench *bench)
{
    for (unsigned i = 0; i < bench->n + bench->m; i++)
        free(bench->shard[i]);
    free(bench->tables);
    varve_encoder_free(bench->encoder);
    varve_decoder_free(bench->decoder);
}

int
main(void)
{
    static const unsigned geometries[][2] = {{10, 2}, {16, 4}, {20, 8}};
    for (size_t i = 0; i < sizeof geometries / sizeof geometries[0]; i++) {
        struct bench bench = {.n = geometries[i][0], .m = geometries[i][1]};
        struct varve_error err = {0};
        if (!bench_make(&bench, &err)) {
            (void)fprintf(stderr, "erasure: %s\n", err.text);
            return 1;
        }
        static bench_fn *const runs[] = {run_raw, run_encoder, run_decoder};
        double speeds[3];
        measure(&bench, runs, 3, speeds);
        double raw = speeds[0], encode = speeds[1], decode = speeds[2];
        printf("%u+%u  raw %.2f GB/s  encode %.2f GB/s (%.2f of raw)  decode %u lost %.2f GB/s "
               "(%.2f of raw)\n",
               bench.n, bench.m, raw, encode, encode / raw, bench.m, decode, decode / raw);
        bench_done(&bench);
    }
    return 0;
}
