/* SPDX-License-Identifier: Apache-2.0 */
/* waiting.h - one who waits for bytes and what he was told; an engine that only counts. */
#ifndef VARVE_TEST_VFS_WAITING_H
#define VARVE_TEST_VFS_WAITING_H

#include "fixture.h"

#define ROOT VARVE_ROOT_INO
#define TEXT "0123456789abcdef"

struct told {
    unsigned count;
    struct varve_error err; /* kind NONE: ready */
};
void be_told(void *context, const struct varve_error *err);

struct port {
    unsigned asked;
    unsigned forgotten;
    struct varve_content_id last;
    struct varve_recall_wish wish; /* the last one */
    uint64_t offset;
    bool refuse;
    struct fixture *recall_now; /* brings the bytes back before it returns */
};
void plug(struct fixture *f, struct port *port);
/* A file with TEXT in it that is on discs only. */
uint64_t migrated_file(struct fixture *f, struct varve_content *ret);
/* Gives the ticket. */
uint64_t await(struct fixture *f, uint64_t ino, uint64_t offset, uint64_t size, struct told *told);

#endif
