/* random.h - randomness as a port (INV-11), and UUIDs made from it. Any thread. */
#ifndef VARVE_RANDOM_H
#define VARVE_RANDOM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct varve_random {
    void (*fill)(struct varve_random *random, void *bytes, size_t count);
};

/* getrandom(2); static, never freed. */
struct varve_random *varve_random_system(void);

/* A seeded generator (SplitMix64, Steele et al. 2014): the same seed gives the same bytes. Not for
 * secrets. */
struct varve_random_seeded {
    struct varve_random random;
    pthread_mutex_t lock;
    uint64_t state;
};
void varve_random_seeded_init(struct varve_random_seeded *seeded, uint64_t seed);

/* Uniform in [0, bound); 0 if bound is 0. */
uint64_t varve_random_below(struct varve_random *random, uint64_t bound);

#define VARVE_UUID_TEXT_BYTES 37 /* 36 characters and NUL */
struct varve_uuid {
    uint8_t bytes[16];
};
/* A random UUID (RFC 9562, version 4). */
struct varve_uuid varve_uuid_new(struct varve_random *random);
void varve_uuid_format(const struct varve_uuid *uuid, char ret[VARVE_UUID_TEXT_BYTES]);
bool varve_uuid_parse(const char *text, struct varve_uuid *ret);
bool varve_uuid_equal(const struct varve_uuid *a, const struct varve_uuid *b);

#endif
