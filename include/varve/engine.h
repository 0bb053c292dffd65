/* engine.h - an archive at work: catalog, tiers, libraries and the jobs that move files between
 * them.
 *
 * One engine per archive directory and per machine (locked). Any thread unless said otherwise. Long
 * work is a *job*: the call returns its number at once; varve_engine_job() tells how far it is;
 * jobs that a crash interrupts go on after the next start from the rows in the catalog (design:
 * every transition is written before the act that it announces). */
#ifndef VARVE_ENGINE_H
#define VARVE_ENGINE_H

#include <varve/config.h>
#include <varve/health.h>
#include <varve/library.h>
#include <varve/vfs.h>

struct varve_engine;

/* What tools/ plugs in: how to reach the hardware that the config names. */
struct varve_engine_ports {
    struct varve_clock *clock;
    struct varve_random *random;
    void *context;
    /* SCSI ports of a configured library; the arrays are malloc'd and taken. */
    bool (*open_library)(void *context, const struct varve_config *config, size_t library_index,
                         struct varve_library_ports *ret, struct varve_error *err);
};

/* --- making and opening --- */
struct varve_init_options {
    const char *dir;
    const char *name;      /* NULL: last part of dir */
    const char *ssd, *hdd; /* NULL: dir/ssd, dir/hdd; "" : no such tier */
    const char *library;   /* "virtual", "scsi" or NULL for none */
    const char *changer;   /* of a SCSI library: places as in ports.h, as are its drives */
    const char *const *drive_places;
    size_t drive_place_count;
    uint64_t disc_bytes; /* 0: not said */
    unsigned slots, drives;
    unsigned data_discs, parity_discs;
};
/* `varve init`, but for the virtual library, which tools/ makes: config, catalog, tier directories.
 * EXISTS/INVALID change nothing. */
VARVE_MUST_CHECK bool
varve_engine_init(const struct varve_init_options *options, struct varve_clock *clock,
                  struct varve_random *random, struct varve_error *err);
/* Opens and locks; BUSY names the process that has it. Nothing runs yet: for offline verbs. */
VARVE_MUST_CHECK bool varve_engine_open(const char *dir, const struct varve_engine_ports *ports,
                                        struct varve_engine **ret, struct varve_error *err);
/* Starts threads and takes up what the last run left. */
VARVE_MUST_CHECK bool varve_engine_start(struct varve_engine *engine, struct varve_error *err);
/* Stops jobs at the next safe point, flushes, closes. NULL is fine. */
void varve_engine_close(struct varve_engine *engine);
VARVE_DEFINE_CLEANUP(struct varve_engine, varve_engine_close)

struct varve_vfs *varve_engine_vfs(struct varve_engine *engine);
struct varve_catalog *
varve_engine_catalog(struct varve_engine *engine); /* for read-only listings by tools */
const struct varve_config *varve_engine_config(struct varve_engine *engine);

/* --- jobs --- */
enum varve_job_state { VARVE_JOB_QUEUED, VARVE_JOB_RUNNING, VARVE_JOB_DONE, VARVE_JOB_FAILED };
struct varve_job {
    uint64_t id;
    char kind[16];  /* "archive", "burn", "recall", "release", "migrate", "verify", "scrub",
                       "policy", "check" */
    char text[160]; /* what it does now, for people: "burning disc 3 of 6 (VRV00012)" */
    enum varve_job_state state;
    uint64_t done, total; /* bytes; total 0: unknown */
    uint64_t files_done, files_total, files_failed;
    int64_t started_ns, finished_ns; /* realtime */
    struct varve_error error;        /* of FAILED; the first one if files failed */
};
VARVE_MUST_CHECK bool varve_engine_job(struct varve_engine *engine, uint64_t id,
                                       struct varve_job *ret, struct varve_error *err);
/* Newest first, running and the last 100 finished. */
size_t varve_engine_jobs(struct varve_engine *engine, struct varve_job *ret, size_t max);
/* Blocks until the job is over. */
VARVE_MUST_CHECK bool varve_engine_job_wait(struct varve_engine *engine, uint64_t id,
                                            struct varve_job *ret, struct varve_error *err);

/* --- verbs: paths are inside the archive ("/a/b"), directories count with all below --- */
struct varve_path_list {
    const char *const *paths;
    size_t count;
};
/* Puts the files in line for discs. `now`: the set is closed and burned at once, and the job ends
 * when all are sealed; else it ends when they are in line. */
VARVE_MUST_CHECK bool
varve_engine_archive(struct varve_engine *engine, const struct varve_path_list *paths, bool now,
                     uint64_t *ret_job, struct varve_error *err);
/* Closes the open set and burns it; the job ends when everything that was in line is sealed. */
VARVE_MUST_CHECK bool
varve_engine_flush(struct varve_engine *engine, uint64_t *ret_job, struct varve_error *err);
/* Drops resident copies of premigrated files; others are counted as failed with the reason. */
VARVE_MUST_CHECK bool
varve_engine_release(struct varve_engine *engine, const struct varve_path_list *paths,
                     uint64_t *ret_job, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_engine_recall(struct varve_engine *engine, const struct varve_path_list *paths,
                    uint64_t *ret_job, struct varve_error *err);
/* until_ns 0 unpins, INT64_MAX pins for ever. */
VARVE_MUST_CHECK bool
varve_engine_pin(struct varve_engine *engine, const struct varve_path_list *paths, int64_t until_ns,
                 uint64_t *ret_files, struct varve_error *err);

/* One rule's effect in a policy run. */
struct varve_policy_effect {
    char rule[64];
    bool active;
    char reason[96]; /* why it is or is not active now */
    uint64_t files, bytes;
};
/* Evaluates all rules now. dry_run: only counts; effects come back at once (malloc'd). Else a job
 * does it. */
VARVE_MUST_CHECK bool varve_engine_policy_dry_run(struct varve_engine *engine, const char *rule,
                                                  struct varve_policy_effect **ret,
                                                  size_t *ret_count, struct varve_error *err);
VARVE_MUST_CHECK bool varve_engine_policy_run(struct varve_engine *engine, const char *rule,
                                              uint64_t *ret_job, struct varve_error *err);

/* Reads whole discs back and compares (`barcode` NULL: every sealed disc). Grades and states go to
 * the catalog. */
VARVE_MUST_CHECK bool varve_engine_verify(struct varve_engine *engine, const char *barcode,
                                          uint64_t *ret_job, struct varve_error *err);
/* Rebuilds lost, failed and suspect discs of a set onto blanks. */
VARVE_MUST_CHECK bool varve_engine_set_repair(struct varve_engine *engine, struct varve_set_id set,
                                              uint64_t *ret_job, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_engine_disc_retire(struct varve_engine *engine, const char *barcode, struct varve_error *err);

/* --- libraries --- */
size_t varve_engine_library_count(struct varve_engine *engine);
const char *varve_engine_library_name(struct varve_engine *engine, size_t index);
/* Never waits. A library that could not be opened is OFFLINE, and opened by itself when it is
 * there: its discs are where they were, recalls of them fail with OFFLINE, burns wait. */
void varve_engine_library_state(struct varve_engine *engine, size_t index,
                                struct varve_library_state *ret);
/* As varve_library_inventory; by name, NULL: the first. Also brings the catalog's discs up to date.
 */
VARVE_MUST_CHECK bool
varve_engine_inventory(struct varve_engine *engine, const char *library, bool refresh,
                       struct varve_element **ret, size_t *ret_count, struct varve_error *err);
/* A device of the library came: one that is not open is tried at once. Does not wait. */
void varve_engine_library_retry(struct varve_engine *engine, const char *library);
enum varve_library_action {
    VARVE_LIBRARY_LOAD,   /* barcode into drive */
    VARVE_LIBRARY_UNLOAD, /* drive */
    VARVE_LIBRARY_EXPORT, /* barcode to a mail slot */
    VARVE_LIBRARY_IMPORT, /* all mail slots */
    VARVE_LIBRARY_UNLOCK, /* stops moves, lets door and mail slots be opened */
    VARVE_LIBRARY_RESUME, /* ends that and maintenance, opens what is offline; inventory */
    VARVE_LIBRARY_ACCEPT, /* the disc in element `drive`, or all (UINT_MAX), is no longer
                             quarantined */
};
/* BUSY while a job has the drive. A library that is not open is tried first: NOT_READY. */
VARVE_MUST_CHECK bool
varve_engine_library_act(struct varve_engine *engine, const char *library,
                         enum varve_library_action action, const char *barcode, unsigned drive,
                         struct varve_error *err);

/* --- libraries without a robot: what the person is asked for, and answers --- */
struct varve_engine_request {
    char library[64];
    struct varve_barcode barcode;
    int drive;        /* that waits for it now; -1: none yet, it comes later */
    const char *what; /* "recall", "burn", "verify"; static */
    bool blank;       /* any fresh blank will do and gets this label */
    char shelf[96];   /* where it belongs */
    char magazine[64];
    struct varve_barcode out; /* what is to be taken out of the drive; "" nothing */
    char problem[200];        /* what is wrong with the disc that came last; "" nothing */
    int64_t since_ns;         /* realtime; 0: not asked for yet */
    char text[640];           /* all of that as one sentence; "" while not asked for */
};
/* In the order of a walk along the shelves. `library` NULL: of all manual libraries. malloc'd. */
VARVE_MUST_CHECK bool varve_engine_requests(struct varve_engine *engine, const char *library,
                                            struct varve_engine_request **ret, size_t *ret_count,
                                            struct varve_error *err);
struct varve_engine_seen {
    bool waiting;                 /* a drive waits and looks now; the rest is not known yet */
    struct varve_barcode barcode; /* of what is in the drive; "" if it has no label */
    char text[160];               /* else what it is */
};
/* The person has put a disc into the drive, asked for or not. `library` NULL: the first manual one.
 * A disc that was away is back with that. */
VARVE_MUST_CHECK bool
varve_engine_inserted(struct varve_engine *engine, const char *library, unsigned drive,
                      struct varve_engine_seen *ret, struct varve_error *err);
/* The disc that is asked for cannot be found: it counts as lost, and the rest of its set serves. */
VARVE_MUST_CHECK bool
varve_engine_refuse(struct varve_engine *engine, const char *barcode, const char *why,
                    const char *who, struct varve_error *err);
bool varve_engine_library_is_manual(struct varve_engine *engine, const char *library);
struct varve_new_blanks {
    const char *library; /* NULL: the first manual one */
    unsigned count;
    uint64_t bytes;    /* of each; 0: as the configuration says, or as a drive will */
    const char *shelf; /* NULL: not said */
    const char *who;
};
#define VARVE_NEW_BLANKS_MAX 1000u
/* Fresh blanks are at hand for a manual library; *ret is malloc'd and has `count` labels for them,
 * not used before. */
VARVE_MUST_CHECK bool
varve_engine_register_blanks(struct varve_engine *engine, const struct varve_new_blanks *blanks,
                             struct varve_barcode **ret, struct varve_error *err);

/* --- where people keep discs --- */
struct varve_disc_change {
    const char *const *barcodes;
    size_t count;
    const char *magazine; /* all of this one, too; NULL: none */
    const char *text;     /* PLACED: shelf; MAGAZINE: its name, "" none; CHECKED_OUT: where to */
    const char *who;
};
#define VARVE_DISC_CHANGE_MAX 16384u
/* One of PLACED, MAGAZINE, CHECKED_OUT, CHECKED_IN for all of the discs, or for none: the error
 * names the first that is in the way. What is checked out is OFFLINE: nobody is asked for it, and
 * who needs it is told where it is. What is checked in is at hand again if there is a manual
 * library. */
VARVE_MUST_CHECK bool
varve_engine_disc_change(struct varve_engine *engine, enum varve_disc_deed deed,
                         const struct varve_disc_change *change, size_t *ret_count,
                         struct varve_error *err);
/* --- drives --- */
struct varve_engine_drive {
    struct varve_drive_row row;
    char serial[33];
    struct varve_barcode disc; /* in it; "": none */
    bool busy;
    const char *work; /* "recall", "burn", "verify", "" while it rests; static */
};
/* Of all libraries, in the order of the configuration. */
size_t varve_engine_drives(struct varve_engine *engine, struct varve_engine_drive *ret, size_t max);
/* Gives the drive no more work; what it does it ends. `library` NULL: the first; `reason` NULL:
 * none was told. */
VARVE_MUST_CHECK bool
varve_engine_drive_retire(struct varve_engine *engine, const char *library, unsigned drive,
                          const char *reason, struct varve_error *err);
/* Puts it into service again and forgets what was held against it. */
VARVE_MUST_CHECK bool varve_engine_drive_clear(struct varve_engine *engine, const char *library,
                                               unsigned drive, struct varve_error *err);
/* Forgets what was held against the disc; one that was set aside unwritten counts as blank again
 * (and proves it before it is burned). A suspect one stays that until it is verified. */
VARVE_MUST_CHECK bool
varve_engine_disc_clear(struct varve_engine *engine, const char *barcode, struct varve_error *err);

/* --- state --- */
struct varve_engine_recall {
    struct varve_content_id content;
    char path[256]; /* cut where it is longer */
    uint64_t bytes, done;
    char disc[VARVE_BARCODE_BYTES]; /* "": the rest of the set serves */
    const char *state;              /* "waiting", "reading", "decoding"; static */
    int64_t eta_s;
};
#define VARVE_STATUS_WARNINGS_MAX 24
struct varve_engine_status {
    char name[64];
    struct varve_uuid archive;
    int64_t started_ns;
    struct varve_catalog_totals totals;
    struct varve_tier_usage usage[3]; /* by enum varve_tier; zero where there is no such tier */
    uint64_t jobs_running, jobs_queued;
    uint64_t recalls_waiting;
    struct varve_engine_recall recalls[16]; /* those that asked first */
    size_t recall_count;
    uint64_t drives_by_service[3]; /* by enum varve_service */
    unsigned warnings_count;
    char warnings[VARVE_STATUS_WARNINGS_MAX][320]; /* what an operator should look at */
};
VARVE_MUST_CHECK bool varve_engine_status(struct varve_engine *engine,
                                          struct varve_engine_status *ret, struct varve_error *err);

/* --- check and rebuild --- */
struct varve_check_report {
    uint64_t contents, discs, sets, findings, repaired;
};
/* Cross-checks catalog, tiers and libraries; one call of `each` per finding. repair: removes
 * orphans and finishes what is safe to finish. Reads no disc content. On a running or a merely
 * opened engine. */
VARVE_MUST_CHECK bool
varve_engine_check(struct varve_engine *engine, bool repair, varve_catalog_finding_fn *each,
                   void *context, struct varve_check_report *ret, struct varve_error *err);

struct varve_rebuild_options {
    const char
        *dir; /* has varve.conf; its catalog.sqlite must be missing or is kept beside as .old */
    const char *const
        *images; /* files or devices; count 0: every disc of the libraries of the config */
    size_t image_count;
    void (*progress)(void *context, const char *text, uint64_t done, uint64_t total);
    void *context;
};
struct varve_rebuild_report {
    uint64_t discs, sets, inodes, contents;
    uint64_t missing_discs;  /* members of sets that were not at hand */
    uint64_t repaired_discs; /* members whose manifest had to be decoded from parity */
    uint64_t lost_files;     /* known by name only: no disc at hand has them */
    uint64_t adopted;        /* resident copies found on the tiers and taken over */
};
/* `varve rebuild`: a new catalog from discs. Offline. */
VARVE_MUST_CHECK bool
varve_engine_rebuild(const struct varve_rebuild_options *options,
                     const struct varve_engine_ports *ports, struct varve_rebuild_report *ret,
                     struct varve_error *err);

#endif
