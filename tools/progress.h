/* progress.h - how fast a job is and how long it will take, and the line that shows it. Pure: time
 * is a parameter. One thread. */
#ifndef VARVE_TOOLS_PROGRESS_H
#define VARVE_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool started;
    int64_t last_ns;
    uint64_t last_done;
    double rate; /* bytes a second, smoothed; 0: unknown yet */
};
/* Takes the state at `now_ns`. A `done` that went back (a disc is burned again) begins anew. */
void progress_update(struct progress *progress, int64_t now_ns, uint64_t done);
/* Seconds to go, or -1 if nobody can say. */
int64_t progress_eta_s(const struct progress *progress, uint64_t done, uint64_t total);

struct progress_view {
    const char *text; /* of the job */
    uint64_t done, total;
    uint64_t files_done, files_total;
    size_t width; /* of the terminal; 0: no bar, for logs */
};
#define PROGRESS_LINE_BYTES 512
/* " 42% [########            ] 1.2 GiB of 2.9 GiB, 35.1 MiB/s, 48s to go: burning disc 1 of 6". */
void progress_line(const struct progress *progress, const struct progress_view *view,
                   char ret[PROGRESS_LINE_BYTES]);

#endif
