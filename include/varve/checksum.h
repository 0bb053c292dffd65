/* checksum.h - CRC32C for clusters, SHA-256 for files. Any thread; a varve_sha256 belongs to one at
 * a time.
 *
 * CRC32C: Castagnoli polynomial 0x1EDC6F41, reflected, initial value and final xor 0xFFFFFFFF (RFC
 * 3720 B.4; "123456789" gives 0xE3069283), by ISA-L. SHA-256: FIPS 180-4, by OpenSSL. */
#ifndef VARVE_CHECKSUM_H
#define VARVE_CHECKSUM_H

#include <stdint.h>
#include <varve/error.h>

#define VARVE_SHA256_BYTES 32
#define VARVE_SHA256_HEX_BYTES 65 /* 64 digits and NUL */

struct varve_digest {
    uint8_t bytes[VARVE_SHA256_BYTES];
};

/* CRC32C of `size` bytes, continuing from `crc` (0 at the start). */
uint32_t varve_crc32c(uint32_t crc, const void *bytes, size_t size);

struct varve_sha256;
VARVE_MUST_CHECK bool varve_sha256_new(struct varve_sha256 **ret, struct varve_error *err);
void varve_sha256_free(struct varve_sha256 *sha);
VARVE_DEFINE_CLEANUP(struct varve_sha256, varve_sha256_free)
void varve_sha256_reset(struct varve_sha256 *sha);
void varve_sha256_update(struct varve_sha256 *sha, const void *bytes, size_t size);
/* Gives the digest; reset before the next use. */
void varve_sha256_final(struct varve_sha256 *sha, struct varve_digest *ret);
/* Of all bytes at once. */
void varve_sha256_of(const void *bytes, size_t size, struct varve_digest *ret);

/* Lower-case hex, as sha256sum prints it. */
void varve_digest_format(const struct varve_digest *digest, char ret[VARVE_SHA256_HEX_BYTES]);
bool varve_digest_parse(const char *hex, struct varve_digest *ret);
bool varve_digest_equal(const struct varve_digest *a, const struct varve_digest *b);

#endif
