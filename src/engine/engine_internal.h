/* engine_internal.h - what the files of the engine share. Nothing here leaves the folder.
 *
 * Threads: one per job (job.c), one per drive (drives.c), the recall manager (recall.c) and the
 * ticker (ticker.c). Lock order: pipeline -> tasks -> recalls -> jobs; none is held while calling
 * vfs, a drive or the catalog, except `pipeline`, which one set worker holds for as long as it
 * makes sets, and `opening`, before all of these, while the drives of a library that is there now
 * are added. */
#ifndef VARVE_ENGINE_INTERNAL_H
#define VARVE_ENGINE_INTERNAL_H

#include <stdatomic.h>
#include <varve/disc.h>
#include <varve/engine.h>
#include <varve/erasure.h>
#include <varve/file.h>
#include <varve/health.h>
#include <varve/log.h>
#include <varve/policy.h>

#include "opening.h"
#include "schedule.h"

enum {
    JOBS_RUNNING_MAX = 32, /* threads of jobs; more wait in line */
    JOBS_KEPT_MAX = 132,   /* rows remembered, running and finished */
    DRIVES_MAX = 256,      /* of all libraries together; SCHEDULE_DRIVES_MAX of one */
    PLANNING_MAX = 2048,   /* tasks of one library that are looked at together */
    LIBRARIES_MAX = 16,
    BURN_ATTEMPTS_MAX = 3, /* blanks tried for one position of a set */
    BURN_BATCH_CLUSTERS = 16,
    PAGE_ROWS = 256,         /* rows read from the catalog at a time */
    SET_FILES_MAX = 4000000, /* files planned into one set: bounds memory */
};

/* --- jobs (job.c) --- */
struct job;
typedef bool
job_fn(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err);
typedef void job_free_fn(void *context);
/* Runs `run` on a thread of its own; `release` frees the context afterwards, whatever happens.
 * Takes the context in any case. */
VARVE_MUST_CHECK bool
job_start(struct varve_engine *engine, const char *kind, job_fn *run, void *context,
          job_free_fn *release, uint64_t *ret_id, struct varve_error *err);
void job_text(struct job *job, const char *format, ...) VARVE_PRINTF(2, 3);
void job_total(struct job *job, uint64_t bytes, uint64_t files);
void job_add(struct job *job, uint64_t bytes, uint64_t files);
/* Adds to the totals: work found on the way. */
void job_grow(struct job *job, uint64_t bytes, uint64_t files);
/* A file that could not be done; the first error is the job's. */
void job_file_failed(struct job *job, const struct varve_error *why);
void jobs_stop(struct varve_engine *engine); /* waits until all have ended */
void jobs_done(struct varve_engine *engine);
bool stopping(const struct varve_engine *engine);
/* CANCELLED if the engine stops: for loops. */
bool go_on(const struct varve_engine *engine, struct varve_error *err);

/* --- libraries and drives (drives.c) --- */
/* Until something was measured: a changer's way and a drive's spin-up. */
#define LOAD_GUESS_NS (60.0 * (double)VARVE_NS_PER_SECOND)
/* Work for one disc in one drive, in the line of its library. schedule.h says which comes first. */
enum task_state { TASK_WAITING, TASK_RUNNING, TASK_OVER };
struct drive;
struct task {
    enum task_class class;
    size_t library;
    struct varve_barcode barcode;
    bool has_drive; /* only this drive will do, even one that is out of service: by hand */
    bool no_disc;   /* ... whatever is in it; `barcode` is "" */
    char shelf[96]; /* of a manual library's disc, for the order of the walk */
    unsigned drive;
    bool reader;         /* of TASK_RECALL: somebody waits; not a job */
    uint64_t not_drives; /* a bit for each drive of the library that will not do, if others will */
    uint64_t group;      /* of TASK_BURN: its set */
    /* The disc is in the drive and ready. */
    bool (*run)(struct varve_engine *engine, struct task *task, struct drive *drive,
                struct varve_error *err);
    void *context;
    struct job *job; /* may be NULL */
    enum task_state state;
    bool ok;
    bool disc_arrived; /* false: the error is about bringing the disc, not about the work */
    unsigned ran_in;   /* the drive that it was given to */
    int64_t since_ns;  /* waits */
    struct varve_error error;
    struct task *next;
};
struct drive {
    struct varve_engine *engine;
    size_t library;
    unsigned number; /* in its library */
    bool busy;
    enum task_class class;     /* what it does, while busy */
    struct varve_barcode disc; /* while busy: what it works with, in it, on its way or out for a
                                  reload */
    /* What dispatch.c gave it and its thread has not begun yet. */
    bool assigned;
    struct task *task;    /* NULL: recalls of the disc */
    struct drive *holder; /* the disc is taken out of this one first; NULL: of none */

    int64_t yielded_ns;         /* manual libraries: when it last made way for a recall */
    int64_t turn_ns;            /* since when it reads the disc for recalls */
    int64_t served_ns;          /* when that last gave a reader something; INT64_MIN: it did not */
    uint64_t group;             /* the set of the disc burned last ... */
    unsigned group_count;       /* ... and how many of that set in a row */
    struct varve_drive_row row; /* under `tasks`, but for its id, which never changes */
    unsigned good_works;        /* in a row: discs that did well in it; under `tasks` */
    pthread_t thread;
    bool running;
};
struct manual;
struct library {
    /* NULL: not opened yet. Once it is there it stays until the engine closes. */
    struct varve_library *_Atomic library;
    struct varve_engine *engine;
    char name[64];
    bool has_no_robot;
    struct manual *manual; /* then, once it is there (manual.h) */
    struct opening opening;
    char walk[96];          /* then: the shelf that the last disc came from; under `tasks` */
    unsigned recall_drives; /* kept for recalls, so that a reader waits for no burn */
    bool no_burning;
    /* Under `tasks`: */
    struct task *tasks;             /* that wait, in order of arrival */
    bool stale;                     /* something changed since it was planned for last */
    int64_t again_ns;               /* plan again then, even if nothing does */
    int64_t began_ns[TASK_CLASSES]; /* when work of each class last began */
    double load_ns;                 /* what a load takes here, lately */
    uint64_t loads;
    atomic_uint_fast64_t readings_seen; /* inventories that the rows of discs know of */
    uint64_t readings_tried;            /* a job was started for: the ticker's */
};
VARVE_MUST_CHECK bool drive_start(struct drive *drive, struct varve_error *err);
VARVE_MUST_CHECK bool drives_start(struct varve_engine *engine, struct varve_error *err);
void drives_stop(struct varve_engine *engine);
/* Puts the task in line; it belongs to the caller, who must wait for it. */
void task_submit(struct varve_engine *engine, struct task *task);
/* Waits until it is over; what has not begun when the engine stops ends as CANCELLED. */
bool task_wait(struct varve_engine *engine, struct task *task, struct varve_error *err);
struct varve_drive *drive_handle(struct drive *drive);
struct varve_library *drive_library(struct drive *drive);
/* Something changed that drives may wait for: recalls, say. */
void drives_wake(struct varve_engine *engine);
/* The same, with `tasks` held. */
void drives_wake_locked(struct varve_engine *engine);
/* With `tasks` held: gives drives of the library what they do next, as long as there is something
 * (dispatch.c). Costs nothing while nothing changed. */
void dispatch(struct varve_engine *engine, size_t library);
/* Ends a task that nobody will run. */
void task_end(struct task *task, const struct varve_error *why);
void drive_load_took(struct drive *drive, int64_t ns);

/* --- health (health.c) --- */
/* What is known of the drive. */
VARVE_MUST_CHECK bool health_open(struct drive *drive, struct varve_error *err);
/* A piece of work is over: counters since `before` go to the drive and to the disc. */
void health_count(struct drive *drive, const struct varve_drive_health *before, bool loaded);
/* Something went wrong with the disc in the drive. True: the disc is to blame, as two drives agree;
 * false: not known yet, or the drive is, which may be out of service now. */
bool health_bad(struct drive *drive, const struct varve_barcode *disc, enum varve_incident_act act,
                const char *text);
/* The disc was read whole, or burned and read back, and is fine. */
void health_good(struct drive *drive, const struct varve_barcode *disc);
/* With `tasks` held: a bit for each drive of the library that is in service. */
uint64_t drives_usable(const struct varve_engine *engine, size_t library);
/* The library has a drive in service that is none of these. */
bool health_others_usable(struct varve_engine *engine, size_t library, uint64_t not_drives);

/* --- elements of libraries (elements.c) --- */
/* For struct varve_move_journal; the context is the engine. */
bool
elements_remember(void *context, const char *library, const struct varve_element_record *records,
                  size_t count, struct varve_error *err);
bool elements_records(void *context, const char *library, struct varve_element_record **ret,
                      size_t *ret_count, struct varve_error *err);
/* Sets the disc in an element aside that must not be used. *ret_usable: nothing is wrong with it.
 */
VARVE_MUST_CHECK bool
element_note(struct varve_engine *engine, const char *library, const struct varve_element *element,
             bool *ret_usable, struct varve_error *err);
/* Logs what libraries tell; after a new inventory brings the rows of discs up to date and looks at
 * discs without a bar code, in a job. */
void elements_tick(struct varve_engine *engine, int64_t now);
/* Nobody waits for doors and counting any more: the engine stops. */
void elements_interrupt(struct varve_engine *engine);
/* UNLOCK, RESUME and ACCEPT. */
VARVE_MUST_CHECK bool
elements_act(struct varve_engine *engine, size_t library, enum varve_library_action action,
             int32_t address, struct varve_error *err);

/* --- inventory (inventory.c) --- */
/* Reads the inventory and brings the disc rows up to date: new discs, lost ones, those that came
 * back. */
VARVE_MUST_CHECK bool
inventory_update(struct varve_engine *engine, size_t library, bool refresh,
                 struct varve_element **ret, size_t *ret_count, struct varve_error *err);
/* The same of a library that nobody else sees yet. */
VARVE_MUST_CHECK bool inventory_take(struct varve_engine *engine, size_t library,
                                     struct varve_library *handle, struct varve_error *err);
bool library_index(const struct varve_engine *engine, const char *name, size_t *ret,
                   struct varve_error *err);
/* A blank disc, not in use, of any library with drives; NO_SPACE says what there is. placement.h
 * says of which. Marks it as BURNING for (set, index), durable, before it returns. */
VARVE_MUST_CHECK bool
blank_take(struct varve_engine *engine, const struct varve_set *set, uint32_t index,
           struct varve_disc_row *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
blanks_count(struct varve_engine *engine, uint64_t *ret, struct varve_error *err);
/* Clusters of a blank: as a drive said, of the first blank that is known or can be looked at. */
VARVE_MUST_CHECK bool
blank_capacity(struct varve_engine *engine, uint64_t *ret_clusters, struct varve_error *err);
/* The disc that holds position `index` of a set: SEALED first, else the best there is. NOT_FOUND if
 * none. */
VARVE_MUST_CHECK bool set_disc(struct varve_engine *engine, struct varve_set_id set, uint32_t index,
                               struct varve_disc_row *ret, struct varve_error *err);
/* DEGRADED or SEALED after what is known of its discs now. */
VARVE_MUST_CHECK bool
set_regrade(struct varve_engine *engine, struct varve_set_id set, struct varve_error *err);
VARVE_MUST_CHECK bool
disc_mark(struct varve_engine *engine, const struct varve_barcode *barcode,
          enum varve_disc_state state, const char *why, struct varve_error *err);

/* --- files of a set in the archive's folder (setfiles.c) --- */
/* sets/<uuid>/disc-NNN.jsonl and .crc; staging/<uuid>-pNNN. */
char *set_dir(const struct varve_engine *engine, const struct varve_set *set);
char *set_file(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
               const char *suffix);
char *parity_file(const struct varve_engine *engine, const struct varve_set *set, uint32_t index);
VARVE_MUST_CHECK bool
manifest_save(const char *path, const struct varve_manifest *manifest, struct varve_error *err);
VARVE_MUST_CHECK bool
manifest_load(const char *path, struct varve_manifest **ret, struct varve_error *err);
VARVE_MUST_CHECK bool
crcs_save(const char *path, const uint32_t *crcs, uint64_t count, struct varve_error *err);
/* malloc'd. */
VARVE_MUST_CHECK bool
crcs_load(const char *path, uint32_t **ret, uint64_t *ret_count, struct varve_error *err);
VARVE_MUST_CHECK bool
parity_digest_save(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
                   const struct varve_digest *digest, struct varve_error *err);
VARVE_MUST_CHECK bool
parity_digest_load(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
                   struct varve_digest *ret, struct varve_error *err);
/* Maps of all data discs of the set. */
VARVE_MUST_CHECK bool maps_save(const struct varve_engine *engine, const struct varve_set *set,
                                const struct varve_disc_map *maps, struct varve_error *err);
VARVE_MUST_CHECK bool maps_load(const struct varve_engine *engine, const struct varve_set *set,
                                struct varve_disc_map *ret, struct varve_error *err);
struct varve_uuid member_uuid(const struct varve_uuid *set, uint32_t index);
void
set_files_remove(const struct varve_engine *engine, const struct varve_set *set, bool keep_crcs);

/* --- images of a set (images.c) --- */
/* Where an image's bytes come from: one per image and thread. */
struct content_reader {
    struct varve_engine *engine;
    const struct varve_manifest *manifest; /* data discs */
    size_t record;                         /* whose file is open */
    int fd;
    bool open;
    struct varve_content_id failed; /* the content whose reading failed last */
};
struct set_images {
    struct varve_set set;
    uint32_t count; /* data + parity */
    struct varve_image **images;
};
void identity_fill(const struct varve_engine *engine, const struct varve_set *set, uint32_t index,
                   struct varve_disc_identity *ret);
/* From the saved manifests, and when the set is BURNING or later, learned. Without parity images
 * while PLANNED. */
VARVE_MUST_CHECK bool set_images_load(struct varve_engine *engine, const struct varve_set *set,
                                      struct set_images **ret, struct varve_error *err);
/* Makes the parity images once the data images are learned. */
VARVE_MUST_CHECK bool set_images_add_parity(struct varve_engine *engine, struct set_images *images,
                                            struct varve_error *err);
void set_images_free(struct set_images *images);
VARVE_DEFINE_CLEANUP(struct set_images, set_images_free)
void content_reader_init(struct content_reader *reader, struct varve_engine *engine,
                         const struct varve_manifest *manifest);
void content_reader_done(struct content_reader *reader);
struct varve_content_id content_reader_failed(const struct content_reader *reader);
bool content_reader_read(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
                         struct varve_error *err);
/* Reads a staged parity file: context is the int * of its descriptor. */
bool parity_read(void *context, size_t record, uint64_t offset, uint8_t *ret, size_t size,
                 struct varve_error *err);

/* --- the way of a set (plan.c, layout.c, prepare.c, burn.c, seal.c, pipeline.c) --- */
struct plan_item {
    uint64_t ino;
    struct varve_content_id content;
    uint64_t size;
    char *path; /* owned */
    uint32_t names;
    uint32_t xattr_bytes;
    bool keep_together; /* with the rest of its directory, by its rule */
};
/* Pure: which disc every item goes to. Items are sorted by path; files that do not fit any more
 * stay (disc = UINT32_MAX). */
struct plan_slice {
    size_t item;
    uint32_t disc;
    uint32_t part, parts;
    uint64_t offset, bytes;
};
struct plan {
    struct plan_slice *slices;
    size_t count, capacity;
    uint32_t discs;  /* used */
    size_t left_out; /* items that wait for the next set */
};
struct plan_limits {
    uint64_t clusters_max; /* of a data image */
    uint32_t discs_max;
    struct varve_image_cost
        first_extra; /* what disc 0 carries besides: records of changed inodes */
};
VARVE_MUST_CHECK bool
plan_make(const struct plan_item *items, size_t count, const struct plan_limits *limits,
          struct plan *ret, struct varve_error *err);
void plan_done(struct plan *plan);

/* Records from the catalog (records.c). */
VARVE_MUST_CHECK bool
record_from_inode(struct varve_engine *engine, const struct varve_inode *inode,
                  struct varve_record *ret, struct varve_error *err);

/* Closes one set of what is in line and makes it PLANNED; *ret_made false: nothing is in line (or
 * nothing that is not open). */
VARVE_MUST_CHECK bool set_plan(struct varve_engine *engine, struct job *job, struct varve_set *ret,
                               bool *ret_made, struct varve_error *err);
/* These take a set as far as its state in `images` says, and bring that and the catalog forward.
 * *ret_culprit: the content that could not be read, if that was why it failed. */
VARVE_MUST_CHECK bool
set_prepare(struct varve_engine *engine, struct job *job, struct set_images *images,
            struct varve_content_id *ret_culprit, struct varve_error *err);
VARVE_MUST_CHECK bool set_burn(struct varve_engine *engine, struct job *job,
                               struct set_images *images, struct varve_error *err);
/* One position from a staged image: of a repaired disc. */
VARVE_MUST_CHECK bool
disc_burn_raw(struct varve_engine *engine, struct job *job, const struct varve_set *set,
              uint32_t index, int raw_fd, const uint32_t *crcs, uint64_t clusters,
              struct varve_error *err);
VARVE_MUST_CHECK bool
set_seal(struct varve_engine *engine, struct set_images *images, struct varve_error *err);
/* All that is in line: plan, prepare, burn, seal, until nothing is left. First finishes sets of
 * earlier runs. */
VARVE_MUST_CHECK bool
pipeline_run(struct varve_engine *engine, struct job *job, struct varve_error *err);
bool pipeline_resume_job(struct varve_engine *engine, struct job *job, void *context,
                         struct varve_error *err);
/* Goes on with the set that the last run did not finish. */
VARVE_MUST_CHECK bool pipeline_recover(struct varve_engine *engine, struct varve_error *err);
/* Undoes what a crash left between freezing and planning. Holding `pipeline`. */
VARVE_MUST_CHECK bool pipeline_thaw_stranded(struct varve_engine *engine, struct varve_error *err);
/* Goes on with repairs that the last run began: sealed sets with a disc half-way in the library, or
 * (NULL) in any that is there (repair.c). */
VARVE_MUST_CHECK bool
repairs_resume(struct varve_engine *engine, const char *library, struct varve_error *err);

/* Clusters that did not match: how many, the first and the last. */
struct bad_clusters {
    uint64_t count, first, last;
};
/* Reads a disc back whole against its CRCs (verify.c); it is in the drive. */
VARVE_MUST_CHECK bool disc_read_back(struct varve_engine *engine, struct drive *drive,
                                     struct job *job, const uint32_t *crcs, uint64_t clusters,
                                     struct bad_clusters *ret_bad, struct varve_error *err);
/* "2 of 128 clusters do not match (LBA 320 to 383)"; returns `ret`. */
const char *
bad_clusters_text(const struct bad_clusters *bad, uint64_t clusters, char ret[VARVE_REASON_BYTES]);
/* The connection to the drive was lost (scsi.h): neither it nor the disc is to blame. */
bool is_out_of_reach(const struct varve_error *why);
/* The disc or the drive is to blame for such an error; which of them is not said. */
bool is_disc_or_drive(const struct varve_error *why);
/* Warns of a disc whose reading since it was loaded took retries or much time (reading.c). */
void reading_tell(struct drive *drive);
/* Proves that the disc in the drive is image `uuid` (INV-5): by its anchor. */
VARVE_MUST_CHECK bool
disc_prove(struct drive *drive, const struct varve_uuid *uuid, struct varve_error *err);
/* The drive, not the disc in it, is the reason. */
bool is_drive_trouble(const struct varve_error *why);
/* A drive with a disc as a cluster source. */
struct drive_source {
    struct varve_cluster_source source;
    struct varve_drive *drive;
};
VARVE_MUST_CHECK bool
drive_source_open(struct drive_source *source, struct varve_drive *drive, struct varve_error *err);
/* Proves that the disc in the drive is the one of the row (INV-5) and gives its CRCs: from the
 * archive's folder, else (and then kept there) from the disc. malloc'd. */
VARVE_MUST_CHECK bool
disc_tables(struct varve_engine *engine, struct drive *drive, const struct varve_disc_row *row,
            uint32_t **ret, uint64_t *ret_count, struct varve_error *err);
/* CRCs of member `index` as this disc knows them; unknown ones from `old` (of an earlier disc),
 * else, of the disc itself, from what is read: its last clusters hold the table, which only parity
 * discs cover. `ret` has room for `count`, all 0. */
VARVE_MUST_CHECK bool
crcs_from_disc(struct varve_disc *disc, const struct varve_cluster_source *source, uint32_t index,
               const uint32_t *old, uint64_t old_count, uint32_t *ret, uint64_t count,
               struct varve_error *err);
/* CRCs of a disc of a set: from the archive's folder, else unknown (NOT_FOUND). */
VARVE_MUST_CHECK bool
disc_crcs(struct varve_engine *engine, struct varve_set_id set, uint32_t index, uint32_t **ret,
          uint64_t *ret_count, struct varve_error *err);

/* --- recalls (recall.c, gather.c) --- */
struct recalls;
VARVE_MUST_CHECK bool recalls_start(struct varve_engine *engine, struct varve_error *err);
/* Ends all recalls; no more are taken. Freed after the last job, which may still ask. */
void recalls_stop(struct varve_engine *engine);
void recalls_free(struct varve_engine *engine);
/* What recalls wait for in a library: one task a disc, those that asked first if there are more
 * than `max`. `user` of each is whose turn it would be. */
size_t
recalls_collect(struct varve_engine *engine, size_t library, struct schedule_task *ret, size_t max);
/* A drive begins with this one of them. */
void recalls_note_turn(struct varve_engine *engine, const struct schedule_task *task);
/* No drive of the library is in service: the rest of the sets has to serve. */
void recalls_give_up_library(struct varve_engine *engine, size_t library);
/* A recall waits for the disc that the drive works with: whoever has it there for long serves in
 * between. */
bool recalls_wait_for(struct varve_engine *engine, const struct drive *drive);
/* The drive could not bring or read the disc: another shall try. False: there is none in service.
 */
bool recalls_try_elsewhere(struct varve_engine *engine, const struct drive *drive,
                           const struct varve_barcode *barcode);
/* Serves all that wait for the disc, which is in the drive (or could not be brought: `failure`). */
void recalls_serve(struct varve_engine *engine, struct drive *drive,
                   const struct varve_barcode *barcode, const struct varve_error *failure);
uint64_t recalls_waiting(struct varve_engine *engine);
/* Those that asked first. */
size_t recalls_list(struct varve_engine *engine, struct varve_engine_recall *ret, size_t max);
/* A disc was brought in so much time. */
void recalls_note_load(struct varve_engine *engine, int64_t ns);
/* What the drive holds now (NULL: nothing), for estimates: asking the library could take as long as
 * a move. */
void recalls_note_drive(const struct drive *drive, const struct varve_barcode *barcode);

/* Clusters of one set member got back from the other discs, in a staging file. */
struct gather_want {
    uint32_t index;
    uint64_t cluster;
};
/* Decodes `count` wanted clusters of a set (sorted by cluster) and hands each out. Loads the discs
 * it needs. */
typedef bool gather_fn(void *context, const struct gather_want *want, const uint8_t *bytes,
                       struct varve_error *err);
VARVE_MUST_CHECK bool gather_run(struct varve_engine *engine, const struct varve_set *set,
                                 const struct gather_want *wants, size_t count, struct job *job,
                                 gather_fn *each, void *context, struct varve_error *err);

/* --- heads (heads.c) --- */
/* Drops heads when there are too many for `head_total` or the tier is above its high mark. */
void heads_trim(struct varve_engine *engine);
/* Pure: what a tier so full takes off the heads, in percent; and in bytes. */
unsigned heads_share_to_drop(unsigned percent_used, unsigned high_percent);
uint64_t heads_to_free(uint64_t bytes, uint64_t total, unsigned share);
/* Heads without a row and rows without their head: told, or removed with `repair`. */
typedef void heads_finding_fn(void *context, const char *text);
VARVE_MUST_CHECK bool
heads_compare(struct varve_engine *engine, bool repair, heads_finding_fn *each, void *context,
              uint64_t *ret_repaired, struct varve_error *err);

/* --- the rest --- */
/* What the configuration says of readers, with numbers for names (readers.c). */
VARVE_MUST_CHECK bool readers_make(const struct varve_config *config,
                                   struct varve_reader_rules *ret, struct varve_error *err);
void readers_done(struct varve_reader_rules *rules);
/* Calls `each` for every inode below the paths (paths.c). */
typedef bool inode_fn(struct varve_engine *engine, const struct varve_inode *inode, void *context,
                      struct varve_error *err);
VARVE_MUST_CHECK bool paths_walk(struct varve_engine *engine, const struct varve_path_list *paths,
                                 inode_fn *each, void *context, struct varve_error *err);
struct path_copy {
    char **paths;
    size_t count;
};
VARVE_MUST_CHECK bool
path_copy_make(struct varve_engine *engine, const struct varve_path_list *paths,
               struct path_copy *ret, struct varve_error *err);
void path_copy_done(struct path_copy *copy);

/* Startup sweep: backing files that no content names (sweep in check.c). */
bool
sweep_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err);

/* Takes a content out of the line; not being there is fine. */
VARVE_MUST_CHECK bool
request_drop(struct varve_engine *engine, struct varve_content_id content, struct varve_error *err);
/* An engine that has opened nothing yet (engine.c); NULL on error. varve_engine_close() ends it at
 * any stage. */
struct varve_engine *
engine_new(const char *dir, const struct varve_engine_ports *ports, struct varve_error *err);
VARVE_MUST_CHECK bool engine_lock(struct varve_engine *engine, struct varve_error *err);
/* The tiers of the configuration, numbered by the catalog (engine.c). */
VARVE_MUST_CHECK bool
tiers_open(const struct varve_config *config, struct varve_catalog *catalog,
           const struct varve_uuid *archive, struct varve_store **ret, struct varve_error *err);
/* Removes manifests and staged parity of a set that is sealed; CRCs, digests and maps stay
 * (setfiles.c). */
void set_files_trim(const struct varve_engine *engine, const struct varve_set *set);
/* Drops the resident copy if that is safe (INV-1, INV-2): pinned files, and contents of a set that
 * is not whole, stay. BUSY or INVALID say why (verbs.c). */
VARVE_MUST_CHECK bool release_content(struct varve_engine *engine, const struct varve_inode *inode,
                                      const struct varve_content *content, struct varve_error *err);
/* Puts a content in line for a set (verbs.c). */
VARVE_MUST_CHECK bool
request_content(struct varve_engine *engine, struct varve_content_id content, const char *rule,
                unsigned n, unsigned m, struct varve_error *err);
/* Catalog of a new archive (init.c). */
VARVE_MUST_CHECK bool
catalog_make(const char *path, const char *name, const struct varve_uuid *uuid,
             struct varve_clock *clock, struct varve_error *err);
bool policy_is_urgent(struct varve_engine *engine);
VARVE_MUST_CHECK bool ticker_start(struct varve_engine *engine, struct varve_error *err);
void ticker_stop(struct varve_engine *engine);
VARVE_MUST_CHECK bool policy_job_start(struct varve_engine *engine, const char *rule,
                                       uint64_t *ret_job, struct varve_error *err);

struct varve_engine {
    char *dir;
    int lock_fd;
    struct varve_engine_ports ports;
    struct varve_clock *clock;
    struct varve_random *random;
    struct varve_config *config;
    struct varve_policy *policy;
    struct varve_reader_rules readers;
    struct varve_catalog *catalog;
    struct varve_store *store;
    struct varve_vfs *vfs;
    struct varve_uuid uuid;
    char name[64];
    int64_t started_ns;

    uint64_t file_limit; /* backing files from here on belong to this run: no sweep touches them */
    atomic_bool stopping;
    bool started;
    bool clean_start;  /* the last run ended in order: it left no backing file without a name */
    atomic_bool swept; /* nor did one before it */

    pthread_mutex_t jobs_lock;
    pthread_cond_t jobs_changed;
    struct job *jobs; /* newest first */
    uint64_t job_last;
    unsigned jobs_running;

    struct library libraries[LIBRARIES_MAX];
    size_t library_count;
    struct drive drives[DRIVES_MAX];
    atomic_size_t drive_count; /* grows when a library is opened, never shrinks */
    pthread_mutex_t opening_lock;
    pthread_cond_t opening_changed;
    bool drives_run;  /* under `opening_lock`: drives start as they are added */
    atomic_bool came; /* a library, since the ticker looked last */
    pthread_mutex_t tasks_lock;
    pthread_cond_t tasks_changed;
    struct schedule_task *planning; /* room for one library's view, under `tasks` */
    struct task **planning_tasks;   /* of each: the task; NULL: recalls */

    pthread_mutex_t pipeline;
    bool replan; /* under `pipeline`: a set was given up, its files are in line again */
    pthread_mutex_t blanks_lock; /* one blank is given out at a time */
    struct recalls *recalls;
    pthread_t ticker;
    bool ticker_running;
    pthread_mutex_t ticker_lock;
    pthread_cond_t ticker_wake;
    atomic_bool policy_running, pipeline_queued, look_queued;
    int64_t look_retry_ns; /* the ticker's */
    int64_t policy_last_ns;
    struct varve_vfs_losses losses; /* that were told */
    int64_t pipeline_retry_ns;      /* not before: the last automatic run failed */
    pthread_mutex_t warning_lock;
    char warning[200]; /* of the last background failure; "" none */
};

void warning_set(struct varve_engine *engine, const char *format, ...) VARVE_PRINTF(2, 3);

#endif
