/* schedule.h - which drive of a library takes which disc next: pure, no I/O, no lock.
 *
 * One library, one arm. The caller (dispatch.c, and the simulation) describes what waits and what
 * the drives do, and carries out the one pair that comes back; then it asks again. The rules, first
 * to last:
 *
 * 1. A disc in a drive serves all that wait for it, as long as it has its turn, and stays a moment
 *    longer for the next read of somebody who reads one file after another (anticipation: Iyer and
 *    Druschel, SOSP 2001). A disc that another drive works with is nobody's.
 * 2. Recalls before burns before checks; `recall_drives` of the drives do nothing but recalls. A
 *    class of which nothing has begun for its patience comes first once, so that no class starves;
 *    within a class who has waited longest comes first, so that no task does.
 * 3. Of the free drives: one that the disc is in, then one that burned the fewest discs of the same
 *    set in a row, then the one for which the arm works least: an empty one, the nearest one, one
 *    whose disc was not wanted lately. A disc leaves a drive only when the drive is needed. */
#ifndef VARVE_ENGINE_SCHEDULE_H
#define VARVE_ENGINE_SCHEDULE_H

#include <varve/types.h>

/* Recalls come before burns, burns before checks. */
enum task_class { TASK_RECALL, TASK_BURN, TASK_VERIFY };
enum { TASK_CLASSES = 3, SCHEDULE_DRIVES_MAX = 64 };

/* Something that waits for a disc in a drive. */
struct schedule_task {
    enum task_class class;
    struct varve_barcode disc;
    uint16_t element;    /* where the disc is; 0: not known */
    bool forced;         /* by hand: its drive may be out of service, and is emptied for it */
    bool reader;         /* recalls: somebody waits; not a job */
    unsigned crowd;      /* recalls: so many more wait for the same disc */
    int64_t since_ns;    /* it waits */
    int64_t turn_ns;     /* recalls: a disc was last brought for its user; INT64_MIN: not lately */
    uint64_t not_drives; /* a bit for each drive that will not do */
    uint64_t group;      /* burns: the set; 0: none */
};

struct schedule_drive {
    uint16_t element;
    bool usable; /* in service */
    bool busy;
    enum task_class class;        /* what it does, while busy */
    bool holds;                   /* a disc is in it */
    struct varve_barcode disc;    /* ... which */
    uint16_t home;                /* ... and where it came from; 0: not known */
    struct varve_barcode working; /* while busy: the disc it works with, on its way perhaps */
    int64_t turn_ns;              /* since when the disc reads for recalls */
    int64_t served_ns;            /* when it last gave a reader something; INT64_MIN: it did not */
    uint64_t group;               /* of the disc burned last ... */
    unsigned group_count;         /* ... and how many of that set in a row */
};

/* What the arm needs from one element to another, in ns. */
struct schedule_cost {
    const void *context;
    double (*move_ns)(const void *context, uint16_t from, uint16_t to);
};

struct schedule {
    const struct schedule_task *tasks;
    size_t task_count;
    const struct schedule_drive *drives;
    unsigned drive_count;              /* at most SCHEDULE_DRIVES_MAX */
    unsigned recall_drives;            /* kept for recalls; one drive is left for the rest */
    int64_t now_ns;                    /* monotonic, as all times here */
    double load_ns;                    /* what a load takes here, lately */
    int64_t began_ns[TASK_CLASSES];    /* when work of a class last began; INT64_MIN: never */
    int64_t patience_ns[TASK_CLASSES]; /* rule 2; of recalls: not used */
    struct schedule_cost cost;
};
/* What a class of lower rank waits at most while recalls take every drive that it might have. */
#define SCHEDULE_PATIENCE_BURN_NS (INT64_C(1800) * 1000000000)
#define SCHEDULE_PATIENCE_VERIFY_NS (INT64_C(6) * 3600 * 1000000000)

struct schedule_choice {
    size_t task;
    unsigned drive;
    int64_t again_ns; /* nothing now, but then, if nothing changes; INT64_MAX: never */
};
/* False: nothing can begin now. */
bool schedule_next(const struct schedule *schedule, struct schedule_choice *ret);

/* How many drives may do other work than recalls at a time. */
unsigned schedule_capacity(const struct schedule *schedule);
/* Whether the disc in a drive has had its turn: others go first, if there are any. */
bool schedule_turn_is_over(int64_t turn_ns, int64_t now_ns, double load_ns);

#endif
