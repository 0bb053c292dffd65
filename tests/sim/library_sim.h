/* library_sim.h - the simulation of libraries: its state, and what its files share. One thread. */
#ifndef VARVE_TEST_SIM_LIBRARY_SIM_H
#define VARVE_TEST_SIM_LIBRARY_SIM_H

#include "blame.h"
#include "traffic.h"
#include "yard.h"

enum { CHANGERS_MAX = 4, DRIVES = 24, EVENTS_MAX = 4096, VIEW_MAX = 4096, INCIDENTS_MAX = 4096 };

/* Of a carousel or gantry with tray drives. */
static const struct model {
    int64_t spin_ns; /* from the tray to ready */
    int64_t tray_ns; /* open, close */
} model = {30 * SECOND, 4 * SECOND};

enum disc_state { DISC_BLANK, DISC_WRITTEN, DISC_FAILED };
struct drive {
    struct schedule_drive view;
    struct job *job;
    unsigned disc; /* in it, if view.holds */
    int64_t until_ns;
    bool failed; /* the work under way will turn out to */
};
struct changer {
    unsigned number;
    struct varve_geometry geometry;
    struct drive drives[DRIVES];
    enum disc_state *discs;
    int64_t arm_free_ns;
    double load_ns;
    uint64_t loads, moves;
    int64_t began_ns[TASK_CLASSES];
    int64_t again_ns;
    unsigned next_blank; /* for discs that failed */
    struct yard *yard;
    struct varve_incident incidents[INCIDENTS_MAX];
    size_t incident_count;
};
struct sim {
    struct traffic_options options;
    struct traffic traffic;
    struct changer changers[CHANGERS_MAX];
    struct dice dice;
    bool fifo;
    int64_t now_ns;
    size_t asked;      /* jobs that were */
    size_t over, lost; /* done; given up, because no disc or drive would do */
    struct schedule_task view[VIEW_MAX];
    struct job *view_jobs[VIEW_MAX];
};

void die(struct sim *sim, const char *format, ...) VARVE_PRINTF(2, 3) __attribute__((noreturn));

/* --- library_events.c --- */
/* The next moment at which something happens; false: never. */
bool next_moment(struct sim *sim, int64_t *ret);
/* All that happens at this moment. */
void step(struct sim *sim);
/* Drives hold what they hold in the virtual library, whatever went wrong. */
void look_at_drives(struct sim *sim, struct changer *changer);

/* --- library_report.c --- */
/* What must hold; each dies where it does not: burns begin now and then, however many recalls there
 * are; nobody was overtaken by too many; every disc is where and what it should be. */
void check_patience(struct sim *sim, const struct changer *changer);
void check_order(struct sim *sim);
void check_yards(struct sim *sim);
/* What a run came to. */
struct outcome {
    uint32_t digest; /* of all that happened */
    double utilisation, recall_p99_s;
};

void report(const struct sim *sim, struct outcome *ret);

#endif
