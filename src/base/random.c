/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/cleanup.h>
#include <varve/random.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static void
system_fill(struct varve_random *random, void *bytes, size_t count)
{
    (void)random;
    uint8_t *out = bytes;
    while (count > 0) {
        ssize_t got = getrandom(out, count, 0);
        if (got < 0 && errno != EINTR)
            abort(); /* the kernel has always been able to, since 3.17 */
        if (got > 0) {
            out += got;
            count -= (size_t)got;
        }
    }
}

struct varve_random *
varve_random_system(void)
{
    static struct varve_random random = {system_fill};
    return &random;
}

static uint64_t
splitmix_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void
seeded_fill(struct varve_random *random, void *bytes, size_t count)
{
    struct varve_random_seeded *seeded =
        (struct varve_random_seeded *)((char *)random -
                                       offsetof(struct varve_random_seeded, random));
    VARVE_LOCKED(&seeded->lock);
    uint8_t *out = bytes;
    for (size_t i = 0; i < count; i += 8) {
        uint64_t word = splitmix_next(&seeded->state);
        memcpy(&out[i], &word, count - i < 8 ? count - i : 8);
    }
}

void
varve_random_seeded_init(struct varve_random_seeded *seeded, uint64_t seed)
{
    *seeded = (struct varve_random_seeded){.random = {seeded_fill}, .state = seed};
    (void)pthread_mutex_init(&seeded->lock, NULL);
}

uint64_t
varve_random_below(struct varve_random *random, uint64_t bound)
{
    if (bound == 0)
        return 0;
    uint64_t word;
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound; /* rejection keeps it uniform */
    do {
        random->fill(random, &word, sizeof word);
    } while (word >= limit);
    return word % bound;
}

struct varve_uuid
varve_uuid_new(struct varve_random *random)
{
    struct varve_uuid uuid;
    random->fill(random, uuid.bytes, sizeof uuid.bytes);
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0F) | 0x40);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3F) | 0x80);
    return uuid;
}

void
varve_uuid_format(const struct varve_uuid *uuid, char ret[VARVE_UUID_TEXT_BYTES])
{
    char *out = ret;
    for (size_t i = 0; i < sizeof uuid->bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        (void)snprintf(out, 3, "%02x", uuid->bytes[i]);
        out += 2;
    }
}

bool
varve_uuid_parse(const char *text, struct varve_uuid *ret)
{
    struct varve_uuid uuid;
    if (strnlen(text, VARVE_UUID_TEXT_BYTES) != VARVE_UUID_TEXT_BYTES - 1)
        return false;
    const char *in = text;
    for (size_t i = 0; i < sizeof uuid.bytes; i++) {
        unsigned int value;
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *in++ != '-')
            return false;
        if (strspn(in, "0123456789abcdefABCDEF") < 2 || sscanf(in, "%2x", &value) != 1)
            return false;
        uuid.bytes[i] = (uint8_t)value;
        in += 2;
    }
    *ret = uuid;
    return true;
}

bool
varve_uuid_equal(const struct varve_uuid *a, const struct varve_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
