/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/checksum.h>

#include <assert.h>
#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <string.h>

uint32_t
varve_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    /* ISA-L leaves both inversions to the caller and takes an int; its prototype lacks a const. */
    unsigned char *cursor = (unsigned char *)(uintptr_t)bytes;
    crc = ~crc;
    while (size > 0) {
        int step = size > 1 << 30 ? 1 << 30 : (int)size;
        crc = crc32_iscsi(cursor, step, crc);
        cursor += step;
        size -= (size_t)step;
    }
    return ~crc;
}

struct varve_sha256 {
    EVP_MD_CTX *context;
};

bool
varve_sha256_new(struct varve_sha256 **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_sha256_free) struct varve_sha256 *sha = calloc(1, sizeof *sha);
    if (sha == NULL || (sha->context = EVP_MD_CTX_new()) == NULL ||
        EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "start SHA-256");
    *ret = VARVE_TAKE(sha);
    return true;
}

void
varve_sha256_free(struct varve_sha256 *sha)
{
    if (sha == NULL)
        return;
    EVP_MD_CTX_free(sha->context);
    free(sha);
}

/* OpenSSL's digest calls fail only on wrong use once the context exists: a bug here, hence assert.
 */
static void
check(int result)
{
    assert(result == 1);
    (void)result;
}

void
varve_sha256_reset(struct varve_sha256 *sha)
{
    check(EVP_DigestInit_ex(sha->context, NULL, NULL));
}

void
varve_sha256_update(struct varve_sha256 *sha, const void *bytes, size_t size)
{
    check(EVP_DigestUpdate(sha->context, bytes, size));
}

void
varve_sha256_final(struct varve_sha256 *sha, struct varve_digest *ret)
{
    unsigned int length = 0;
    check(EVP_DigestFinal_ex(sha->context, ret->bytes, &length));
    assert(length == sizeof ret->bytes);
}

void
varve_sha256_of(const void *bytes, size_t size, struct varve_digest *ret)
{
    unsigned int length = 0;
    check(EVP_Digest(bytes, size, ret->bytes, &length, EVP_sha256(), NULL));
    assert(length == sizeof ret->bytes);
}

void
varve_digest_format(const struct varve_digest *digest, char ret[VARVE_SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof digest->bytes; i++) {
        ret[2 * i] = digits[digest->bytes[i] >> 4];
        ret[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    ret[VARVE_SHA256_HEX_BYTES - 1] = 0;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool
varve_digest_parse(const char *hex, struct varve_digest *ret)
{
    struct varve_digest digest;
    if (strnlen(hex, VARVE_SHA256_HEX_BYTES) != VARVE_SHA256_HEX_BYTES - 1)
        return false;
    for (size_t i = 0; i < sizeof digest.bytes; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret = digest;
    return true;
}

bool
varve_digest_equal(const struct varve_digest *a, const struct varve_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
