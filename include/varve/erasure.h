/* erasure.h - systematic Reed-Solomon across discs: any N of N+M shards give all of them back.
 *
 * GF(2^8), polynomial 0x11D; the generator is the identity over a Cauchy matrix, element (i, j) of
 * parity row i (i = N..N+M-1) and data column j being the inverse of (i xor j): ISA-L's
 * gf_gen_cauchy1_matrix. Every square submatrix of a Cauchy matrix is invertible, so any N shards
 * decode (Blaum and Roth 1999). Pure; an object is read-only after its making and may be used by
 * several threads. Kernels by ISA-L. */
#ifndef VARVE_ERASURE_H
#define VARVE_ERASURE_H

#include <varve/error.h>
#include <varve/types.h>

struct varve_encoder;
/* 1 <= n, 0 <= m, n + m <= 255. INVALID otherwise. */
VARVE_MUST_CHECK bool
varve_encoder_new(unsigned n, unsigned m, struct varve_encoder **ret, struct varve_error *err);
void varve_encoder_free(struct varve_encoder *encoder);
VARVE_DEFINE_CLEANUP(struct varve_encoder, varve_encoder_free)
/* parity[0..m-1] from data[0..n-1], `bytes` each. */
void varve_encoder_run(const struct varve_encoder *encoder, size_t bytes,
                       const uint8_t *const *data, uint8_t *const *parity);

struct varve_decoder;
/* For shards `wanted` (data or parity) from exactly n shards `have` (distinct, none of them
 * wanted). */
VARVE_MUST_CHECK bool
varve_decoder_new(unsigned n, unsigned m, const unsigned *have, const unsigned *wanted,
                  unsigned wanted_count, struct varve_decoder **ret, struct varve_error *err);
void varve_decoder_free(struct varve_decoder *decoder);
VARVE_DEFINE_CLEANUP(struct varve_decoder, varve_decoder_free)
/* sources[i] is shard have[i]; results[i] becomes shard wanted[i]. */
void varve_decoder_run(const struct varve_decoder *decoder, size_t bytes,
                       const uint8_t *const *sources, uint8_t *const *results);

#endif
