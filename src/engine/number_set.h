/* number_set.h - a set of numbers that are mostly close together, such as those of backing files:
 * at most 4 bytes for each, and never more than a bit for each number between. Zero-initialise,
 * then number_set_done(). One thread. */
#ifndef VARVE_ENGINE_NUMBER_SET_H
#define VARVE_ENGINE_NUMBER_SET_H

#include <stdint.h>
#include <varve/error.h>

struct number_chunk; /* 65,536 numbers */
struct number_set {
    struct number_chunk *chunks; /* ascending */
    size_t count, capacity;
};
/* NOMEM; the set is as before then. */
VARVE_MUST_CHECK bool
number_set_add(struct number_set *set, uint64_t number, struct varve_error *err);
bool number_set_has(const struct number_set *set, uint64_t number);
void number_set_done(struct number_set *set);

#endif
