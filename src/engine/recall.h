/* recall.h - entries of the recall line, shared by recall.c (discs) and degraded.c (sets). */
#ifndef VARVE_ENGINE_RECALL_H
#define VARVE_ENGINE_RECALL_H

#include "engine_internal.h"

enum entry_state {
    ENTRY_WAITING,  /* for a drive with its disc */
    ENTRY_SERVING,  /* a drive has it */
    ENTRY_DEGRADED, /* needs clusters from the rest of the set */
    ENTRY_GATHERING /* they are being read */
};

/* One content on its way back. Changed only by whoever serves it; `state` under the lock. */
struct entry {
    struct varve_content_id content;
    struct varve_piece *pieces;  /* in file order */
    size_t piece_count, piece;   /* `piece`: the one that is being read */
    uint64_t done;               /* bytes of it handed on */
    struct varve_sha256 *sha;    /* over them */
    struct varve_recall *recall; /* NULL until the first byte */
    enum entry_state state;
    size_t library;
    struct varve_barcode barcode;
    uint8_t *bad;     /* per cluster of the piece: seen bad; NULL: all that is left is wanted */
    uint8_t *patched; /* per cluster of the piece: in the patch file */
    int patch_fd;
    unsigned rounds; /* degraded reads of this piece so far */
    struct entry *next;
};

struct recalls {
    struct varve_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry *entries; /* in order of arrival */
    uint64_t count;
    pthread_t thread;
    bool running;
};

/* A disc in a drive that serves entries; drive NULL: only what was patched. */
struct serving {
    struct varve_engine *engine;
    struct drive *drive;
    uint32_t *crcs;
    uint64_t crc_count;
    uint8_t *buffer;
    uint64_t bad_clusters;
    unsigned troubles; /* reads in a row that failed because of the drive */
};
void serve_one(struct serving *serving, struct entry *entry);
void entry_fail(struct varve_engine *engine, struct entry *entry, const struct varve_error *why);
void entry_free(struct entry *entry);
/* The piece that is being read, and its clusters on its disc. */
const struct varve_piece *entry_piece(const struct entry *entry);
uint64_t entry_first_cluster(const struct entry *entry);
uint64_t entry_end_cluster(const struct entry *entry);
uint64_t entry_next_cluster(const struct entry *entry);
bool entry_is_patched(const struct entry *entry, uint64_t cluster);

/* The recall manager: serves DEGRADED entries set by set until the engine stops. */
void *degraded_thread(void *recalls);

#endif
