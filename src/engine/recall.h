/* recall.h - entries of the recall line, shared by recall.c (discs) and degraded.c (sets). */
#ifndef VARVE_ENGINE_RECALL_H
#define VARVE_ENGINE_RECALL_H

#include "engine_internal.h"
#include "eta.h"

#include <varve/ranges.h>

enum entry_state {
    ENTRY_WAITING,  /* for a drive with its disc */
    ENTRY_SERVING,  /* a drive has it */
    ENTRY_DEGRADED, /* needs clusters from the rest of the set */
    ENTRY_GATHERING /* they are being read */
};

/* One content on its way back. Changed only by whoever serves it; `state` under the lock. */
struct entry {
    struct varve_content_id content;
    uint64_t size;
    struct varve_piece *pieces;   /* in file order */
    size_t piece_count, piece;    /* `piece`: the one that is being read */
    atomic_size_t pieces_left;    /* to be read, that one among them */
    bool *done;                   /* per piece */
    uint64_t first;               /* what the first reader waits for */
    bool reader;                  /* there is one; else a job wants it */
    uint32_t uid;                 /* of the reader */
    struct varve_sha256 *sha;     /* over the piece as far as it came in order */
    uint64_t hashed;              /* so many bytes of it */
    atomic_uint_least64_t handed; /* bytes of the file that were handed on */
    struct varve_ranges bad;      /* of the file: what the disc does not give */
    struct varve_recall *recall;  /* NULL until the first byte */
    struct varve_error failure;   /* of a degraded read; kind NONE: none */
    enum entry_state state;
    size_t library;
    struct varve_barcode barcode;
    uint64_t not_drives; /* a bit for each drive that could not read it */
    int64_t since_ns;    /* waits for its disc */
    int64_t unwanted_ns; /* nobody has wanted it since; 0: somebody does */
    struct entry *next;
};

/* When a disc was last brought for somebody. */
enum { USER_TURNS_MAX = 64 };
struct user_turn {
    bool used;
    uint32_t uid;
    int64_t since_ns;
};

struct recalls {
    struct varve_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry *entries; /* in order of arrival */
    uint64_t count;
    struct pace pace; /* under the lock, as all of this */
    uint64_t loads_seen;
    struct varve_barcode loaded[DRIVES_MAX]; /* as far as tasks and recalls brought them */
    struct user_turn users[USER_TURNS_MAX];
    size_t user_next; /* the entry that is used next */
    pthread_t thread;
    bool running;
};

enum { SERVE_CLUSTERS = 16 }; /* read at a time once a run has begun */

/* A disc in a drive that serves entries; drive NULL: only what was decoded. */
struct serving {
    struct varve_engine *engine;
    struct drive *drive;
    uint32_t *crcs;
    uint64_t crc_count;
    uint8_t *buffer;   /* SERVE_CLUSTERS of them */
    unsigned burst;    /* clusters of the next read */
    uint64_t position; /* cluster behind the last one read */
    struct bad_clusters bad;
    bool proved;       /* gave what another drive could not read */
    unsigned troubles; /* reads in a row that failed because of the drive */
};
/* Serves one entry as far as this disc reaches, and ends it or sends it on. */
void serve_one(struct serving *serving, struct entry *entry);
/* The recall has begun (else why not: it may not be needed any more). */
VARVE_MUST_CHECK bool
entry_begin(struct varve_engine *engine, struct entry *entry, struct varve_error *err);
/* Checked clusters of the piece that is being read, handed on. */
VARVE_MUST_CHECK bool entry_deliver(struct entry *entry, uint64_t cluster, unsigned count,
                                    const uint8_t *bytes, struct varve_error *err);
/* After an error: ends the entry, quietly if nobody needs it. */
void entry_give_up(struct varve_engine *engine, struct entry *entry, const struct varve_error *why);
/* After a piece whose bytes are all there: on to the next, or the end. */
void entry_piece_over(struct serving *serving, struct entry *entry);
void entry_fail(struct varve_engine *engine, struct entry *entry, const struct varve_error *why);
void entry_free(struct entry *entry);
void entry_drop(struct recalls *recalls, struct entry *entry);
void entry_set_state(struct recalls *recalls, struct entry *entry, enum entry_state state);
/* Where the current piece is to be had: from a disc in a library, or only by way of the others. The
 * state comes back because only the caller knows whether others can see the entry already. */
enum entry_state entry_locate(struct varve_engine *engine, struct entry *entry);
/* The pieces of a content in the set that has it best, in file order; malloc'd. */
VARVE_MUST_CHECK bool
content_pieces(struct varve_engine *engine, struct varve_content_id content,
               struct varve_piece **ret, size_t *ret_count, struct varve_error *err);
/* How a piece is to be had. OFFLINE: only if somebody brings a disc, which the text names. */
struct reach {
    bool degraded;  /* by way of the rest of the set */
    uint32_t loads; /* discs to be brought */
    size_t library; /* these two: not degraded */
    struct varve_barcode barcode;
};
VARVE_MUST_CHECK bool piece_reach(struct varve_engine *engine, const struct varve_piece *piece,
                                  struct reach *ret, struct varve_error *err);
/* The estimate of the recall port: seconds, or "offline: ...". */
bool recalls_eta(void *context, struct varve_content_id content, struct varve_buffer *ret,
                 struct varve_error *err);
/* The piece that is being read, and its clusters on its disc. */
const struct varve_piece *entry_piece(const struct entry *entry);
uint64_t entry_first_cluster(const struct entry *entry);
uint64_t entry_end_cluster(const struct entry *entry);
/* Between bytes of the file and clusters of the disc that holds the piece. */
uint64_t entry_cluster_of(const struct entry *entry, uint64_t offset);
void entry_bytes_of(const struct entry *entry, uint64_t cluster, unsigned count,
                    struct varve_range *ret);
/* Takes all entries that wait for the disc, in the order of addresses. */
size_t entries_take(struct recalls *recalls, const struct drive *drive,
                    const struct varve_barcode *barcode, struct entry **ret, size_t max);
/* Somebody has waited for another disc for longer than this one deserves. */
bool turn_is_over(struct varve_engine *engine, const struct drive *drive,
                  const struct varve_barcode *loaded);
/* The disc cannot serve at all: its entries go the degraded way. */
void recalls_give_up_disc(struct varve_engine *engine, const struct varve_barcode *barcode,
                          const struct varve_error *why);

/* The recall manager: serves DEGRADED entries set by set until the engine stops. */
void *degraded_thread(void *recalls);

#endif
