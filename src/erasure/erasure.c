/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/erasure.h>

#include <assert.h>
#include <isa-l/erasure_code.h>
#include <string.h>

/* ISA-L expands every coefficient to a 32-byte table. */
#define TABLE_BYTES 32u
/* ISA-L counts bytes in an int, and reads all sources once for every few results: blocks that stay
 * in the cache make the second and later readings cheap. */
#define BLOCK_BYTES (16u * 1024u)

/* Both directions are the same thing: results = coefficients * sources. */
struct product {
    unsigned sources, results;
    unsigned char *tables; /* TABLE_BYTES for each of results * sources */
};

struct varve_encoder {
    struct product product;
};
struct varve_decoder {
    struct product product;
};

/* Takes a matrix of results * sources coefficients. NULL tables: out of memory. */
static struct product
make_product(unsigned sources, unsigned results, unsigned char *coefficients)
{
    struct product product = {.sources = sources, .results = results};
    size_t count = (size_t)sources * results;
    product.tables = calloc(count + 1, TABLE_BYTES); /* + 1: m = 0 is not a failed allocation */
    if (product.tables != NULL && count > 0)
        ec_init_tables((int)sources, (int)results, coefficients, product.tables);
    return product;
}

/* Several threads may run one product: ISA-L takes the tables as non-const and only reads them. */
static void
run_product(const struct product *product, size_t bytes, const uint8_t *const *sources,
            uint8_t *const *results)
{
    unsigned char *from[VARVE_SET_DISCS_MAX];
    unsigned char *to[VARVE_SET_DISCS_MAX];
    for (size_t done = 0; done < bytes && product->results > 0; done += BLOCK_BYTES) {
        size_t left = bytes - done;
        for (unsigned i = 0; i < product->sources; i++)
            from[i] = (unsigned char *)(uintptr_t)(sources[i] + done); /* read, never written */
        for (unsigned i = 0; i < product->results; i++)
            to[i] = results[i] + done;
        ec_encode_data((int)(left < BLOCK_BYTES ? left : BLOCK_BYTES), (int)product->sources,
                       (int)product->results, product->tables, from, to);
    }
}

/* Element of parity row `row` (n..n+m-1) and data column `column` (0..n-1): row != column. */
static unsigned char
coefficient(unsigned row, unsigned column)
{
    return gf_inv((unsigned char)(row ^ column));
}

static bool
check_geometry(unsigned n, unsigned m, struct varve_error *err)
{
    if (n < 1 || n > VARVE_SET_DISCS_MAX || m > VARVE_SET_DISCS_MAX - n)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "a set of %u+%u discs is impossible: 1 to %u in all, data first", n,
                               m, VARVE_SET_DISCS_MAX);
    return true;
}

bool
varve_encoder_new(unsigned n, unsigned m, struct varve_encoder **ret, struct varve_error *err)
{
    if (!check_geometry(n, m, err))
        return false;
    VARVE_CLEANUP_FREE unsigned char *matrix = malloc((size_t)(n + m) * n);
    VARVE_CLEANUP(varve_encoder_free) struct varve_encoder *encoder = calloc(1, sizeof *encoder);
    if (matrix == NULL || encoder == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "encoder of %u+%u", n, m);
    gf_gen_cauchy1_matrix(matrix, (int)(n + m), (int)n);
    encoder->product = make_product(n, m, matrix + (size_t)n * n);
    if (encoder->product.tables == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "encoder of %u+%u", n, m);
    *ret = VARVE_TAKE(encoder);
    return true;
}

void
varve_encoder_free(struct varve_encoder *encoder)
{
    if (encoder == NULL)
        return;
    free(encoder->product.tables);
    free(encoder);
}

void
varve_encoder_run(const struct varve_encoder *encoder, size_t bytes, const uint8_t *const *data,
                  uint8_t *const *parity)
{
    run_product(&encoder->product, bytes, data, parity);
}

/* Where each shard is: its place among `have`, or -1; and what is left to solve. */
struct pattern {
    unsigned n, m;
    const unsigned *have;
    int place[VARVE_SET_DISCS_MAX];
    unsigned missing[VARVE_SET_DISCS_MAX]; /* data shards not in `have` ... */
    unsigned parity[VARVE_SET_DISCS_MAX];  /* ... as many as parity shards are in it */
    unsigned missing_count;
};

static bool
read_pattern(struct pattern *pattern, struct varve_error *err)
{
    unsigned total = pattern->n + pattern->m;
    for (unsigned i = 0; i < VARVE_SET_DISCS_MAX; i++)
        pattern->place[i] = -1;
    for (unsigned i = 0; i < pattern->n; i++) {
        unsigned shard = pattern->have[i];
        if (shard >= total)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "shard %u is not one of %u+%u",
                                   shard, pattern->n, pattern->m);
        if (pattern->place[shard] >= 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0, "shard %u is given twice", shard);
        pattern->place[shard] = (int)i;
    }
    unsigned parity_count = 0;
    for (unsigned shard = 0; shard < total; shard++) {
        if (shard < pattern->n && pattern->place[shard] < 0)
            pattern->missing[pattern->missing_count++] = shard;
        if (shard >= pattern->n && pattern->place[shard] >= 0)
            pattern->parity[parity_count++] = shard;
    }
    /* n distinct shards are there, so as many parity shards as data shards are missing. */
    assert(parity_count == pattern->missing_count);
    return true;
}

/* `solved` gets one row of n coefficients (by place in `have`) for each missing data shard: the
 * parity rows, with the known data moved to the other side, times the inverse of the square of the
 * unknown ones. Only e * e is inverted (e missing shards), not n * n. */
static bool
solve_missing(const struct pattern *pattern, unsigned char *solved)
{
    unsigned e = pattern->missing_count, n = pattern->n;
    VARVE_CLEANUP_FREE unsigned char *square = malloc((size_t)e * e + 1);
    VARVE_CLEANUP_FREE unsigned char *inverse = malloc((size_t)e * e + 1);
    if (square == NULL || inverse == NULL)
        return false;
    for (unsigned i = 0; i < e; i++)
        for (unsigned j = 0; j < e; j++)
            square[i * e + j] = coefficient(pattern->parity[i], pattern->missing[j]);
    int singular = e > 0 ? gf_invert_matrix(square, inverse, (int)e) : 0;
    assert(singular == 0); /* every square submatrix of a Cauchy matrix is invertible */

    for (unsigned i = 0; i < e; i++) {
        unsigned char *row = solved + (size_t)i * n;
        for (unsigned k = 0; k < e; k++) {
            unsigned char factor = inverse[i * e + k];
            row[pattern->place[pattern->parity[k]]] = factor;
            for (unsigned shard = 0; shard < n; shard++) {
                if (pattern->place[shard] >= 0)
                    row[pattern->place[shard]] ^=
                        gf_mul(factor, coefficient(pattern->parity[k], shard));
            }
        }
    }
    return true;
}

/* A parity shard is the encoding of all data; missing data are replaced by what solves them. */
static void
substitute_parity(const struct pattern *pattern, unsigned shard, const unsigned char *solved,
                  unsigned char *row)
{
    for (unsigned column = 0; column < pattern->n; column++) {
        if (pattern->place[column] >= 0)
            row[pattern->place[column]] ^= coefficient(shard, column);
    }
    for (unsigned i = 0; i < pattern->missing_count; i++) {
        unsigned char factor = coefficient(shard, pattern->missing[i]);
        for (unsigned k = 0; k < pattern->n; k++)
            row[k] ^= gf_mul(factor, solved[(size_t)i * pattern->n + k]);
    }
}

static bool
fill_rows(const struct pattern *pattern, const unsigned *wanted, unsigned wanted_count,
          const unsigned char *solved, unsigned char *rows, struct varve_error *err)
{
    for (unsigned w = 0; w < wanted_count; w++) {
        unsigned shard = wanted[w];
        unsigned char *row = rows + (size_t)w * pattern->n;
        if (shard >= pattern->n + pattern->m || pattern->place[shard] >= 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "shard %u is wanted, but is given or not one of %u+%u", shard,
                                   pattern->n, pattern->m);
        if (shard >= pattern->n)
            substitute_parity(pattern, shard, solved, row);
        for (unsigned i = 0; i < pattern->missing_count; i++) {
            if (pattern->missing[i] == shard)
                memcpy(row, solved + (size_t)i * pattern->n, pattern->n);
        }
    }
    return true;
}

bool
varve_decoder_new(unsigned n, unsigned m, const unsigned *have, const unsigned *wanted,
                  unsigned wanted_count, struct varve_decoder **ret, struct varve_error *err)
{
    if (!check_geometry(n, m, err))
        return false;
    if (wanted_count > m)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "%u shards are wanted, %u+%u can give %u", wanted_count, n, m, m);
    struct pattern pattern = {.n = n, .m = m, .have = have};
    if (!read_pattern(&pattern, err))
        return false;
    VARVE_CLEANUP_FREE unsigned char *solved = calloc((size_t)pattern.missing_count + 1, n);
    VARVE_CLEANUP_FREE unsigned char *rows = calloc((size_t)wanted_count + 1, n);
    VARVE_CLEANUP(varve_decoder_free) struct varve_decoder *decoder = calloc(1, sizeof *decoder);
    if (solved == NULL || rows == NULL || decoder == NULL || !solve_missing(&pattern, solved))
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "decoder of %u+%u", n, m);
    if (!fill_rows(&pattern, wanted, wanted_count, solved, rows, err))
        return false;
    decoder->product = make_product(n, wanted_count, rows);
    if (decoder->product.tables == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "decoder of %u+%u", n, m);
    *ret = VARVE_TAKE(decoder);
    return true;
}

void
varve_decoder_free(struct varve_decoder *decoder)
{
    if (decoder == NULL)
        return;
    free(decoder->product.tables);
    free(decoder);
}

void
varve_decoder_run(const struct varve_decoder *decoder, size_t bytes, const uint8_t *const *sources,
                  uint8_t *const *results)
{
    run_product(&decoder->product, bytes, sources, results);
}
