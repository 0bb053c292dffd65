/* model.h - what the archive must hold, in memory, and the acts that change both alike.
 *
 * One thread. die() ends the program with the seed and the step; the folder stays for a look. */
#ifndef VARVE_TEST_SIM_MODEL_H
#define VARVE_TEST_SIM_MODEL_H

#include "engine_bench.h"

enum { FILES_MAX = 40, DIRS_MAX = 8, NAMES_MAX = 90 };

struct model_file {
    uint64_t ino; /* 0: free */
    uint8_t *bytes;
    uint64_t size;
    unsigned links;
};
struct model_dir {
    uint64_t ino; /* 0: free; [0] is the root */
    unsigned parent;
};
struct model_name {
    bool used, is_dir;
    unsigned dir, target; /* indices of dirs, of files or dirs */
    char name[24];
};
struct sim {
    struct bench bench;
    struct dice dice;
    uint64_t seed;
    unsigned step;
    const char *act;
    uint64_t disc_bytes;
    struct model_file files[FILES_MAX];
    struct model_dir dirs[DIRS_MAX];
    struct model_name names[NAMES_MAX];
    unsigned name_last;
    bool faults;     /* injected since the library was opened: anything may fail once */
    bool damaged;    /* discs were damaged at some time */
    unsigned waited; /* reads that came from discs */
    uint64_t jobs[8];
    size_t job_count;
    struct discs *discs;
};

void die(struct sim *sim, const char *format, ...) VARVE_PRINTF(2, 3) __attribute__((noreturn));
uint64_t roll(struct sim *sim, uint64_t sides);

/* An index of a used name, file or directory (not the root); -1: there is none. */
int pick_name(struct sim *sim);
int pick_file(struct sim *sim);
unsigned pick_dir(struct sim *sim); /* the root too */
/* "/d1/n3" of a name, "/" for -1. */
void path_of(const struct sim *sim, int name, char *ret, size_t size);

/* Acts. Each does nothing where it is not possible. */
void act_create(struct sim *sim);
void act_overwrite(struct sim *sim);
void act_truncate(struct sim *sim);
void act_rename(struct sim *sim);
void act_delete(struct sim *sim);
void act_link(struct sim *sim);
void act_make_dir(struct sim *sim);
void act_peek(struct sim *sim);

/* Names, sizes, link counts of everything; bytes of resident files and of a few others. */
void model_check(struct sim *sim);
/* Every byte of every file. */
void model_check_all(struct sim *sim);
void model_done(struct sim *sim);
/* Close and open; jobs that run are cut off. */
void reopen(struct sim *sim);

#endif
