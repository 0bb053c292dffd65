/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <varve/clock.h>
#include <varve/text.h>

/* Weight of the past falls to 1/e in this time: long enough to hide a disc change's jitter. */
static const double smooth_s = 8.0;
enum { BAR_WIDTH = 20, ETA_MAX_S = 365 * 86400 };

void
progress_update(struct progress *progress, int64_t now_ns, uint64_t done)
{
    if (!progress->started || done < progress->last_done) {
        *progress = (struct progress){.started = true, .last_ns = now_ns, .last_done = done};
        return;
    }
    double seconds = (double)(now_ns - progress->last_ns) / 1e9;
    if (seconds < 0.05)
        return;
    double now_rate = (double)(done - progress->last_done) / seconds;
    if (progress->rate <= 0) {
        progress->rate = now_rate;
    } else {
        /* exp(-x) is 1/(1+x+x^2/2) to within 2 % for the steps that polling makes; no libm. */
        double x = seconds / smooth_s;
        double keep = 1.0 / (1.0 + x + x * x / 2.0);
        progress->rate = keep * progress->rate + (1.0 - keep) * now_rate;
    }
    progress->last_ns = now_ns;
    progress->last_done = done;
}

int64_t
progress_eta_s(const struct progress *progress, uint64_t done, uint64_t total)
{
    if (total == 0 || done >= total || progress->rate < 1.0)
        return -1;
    double seconds = (double)(total - done) / progress->rate;
    return seconds > (double)ETA_MAX_S ? -1 : (int64_t)(seconds + 0.5);
}

static size_t
append(char *line, size_t used, const char *text)
{
    int wrote = snprintf(line + used, PROGRESS_LINE_BYTES - used, "%s", text);
    size_t after = used + (wrote < 0 ? 0 : (size_t)wrote);
    return after < PROGRESS_LINE_BYTES ? after : PROGRESS_LINE_BYTES - 1;
}

static size_t
append_bar(char *line, const struct progress_view *view)
{
    if (view->total == 0)
        return 0;
    double part = view->done >= view->total ? 1.0 : (double)view->done / (double)view->total;
    char text[BAR_WIDTH + 16];
    int wrote = snprintf(text, sizeof text, "%3u%% ", (unsigned)(part * 100.0));
    if (view->width > 0) {
        size_t full = (size_t)(part * (double)BAR_WIDTH);
        text[wrote] = '[';
        memset(text + wrote + 1, '#', full);
        memset(text + wrote + 1 + full, ' ', BAR_WIDTH - full);
        memcpy(text + wrote + 1 + BAR_WIDTH, "] ", 3);
    }
    return append(line, 0, text);
}

static size_t
append_numbers(char *line, size_t used, const struct progress *progress,
               const struct progress_view *view)
{
    char done[VARVE_TEXT_BYTES], total[VARVE_TEXT_BYTES], text[160];
    if (view->total > 0 || view->done > 0) {
        used = append(line, used, varve_text_bytes(view->done, done));
        if (view->total > 0) {
            (void)snprintf(text, sizeof text, " of %s", varve_text_bytes(view->total, total));
            used = append(line, used, text);
        }
        if (progress->rate >= 1.0) {
            (void)snprintf(text, sizeof text, ", %s/s",
                           varve_text_bytes((uint64_t)progress->rate, done));
            used = append(line, used, text);
        }
    } else if (view->files_total > 0) {
        (void)snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 " files", view->files_done,
                       view->files_total);
        used = append(line, used, text);
    }
    int64_t eta = progress_eta_s(progress, view->done, view->total);
    if (eta >= 0) {
        (void)snprintf(text, sizeof text, ", %s to go",
                       varve_text_duration(eta * VARVE_NS_PER_SECOND, done));
        used = append(line, used, text);
    }
    return used;
}

/* Cuts at `width` columns, never inside a UTF-8 character. */
static void
cut(char *line, size_t width)
{
    if (strlen(line) <= width)
        return;
    while (width > 0 && ((unsigned char)line[width] & 0xc0) == 0x80)
        width--;
    line[width] = 0;
}

void
progress_line(const struct progress *progress, const struct progress_view *view,
              char ret[PROGRESS_LINE_BYTES])
{
    ret[0] = 0;
    size_t used = append_bar(ret, view);
    size_t before = used;
    used = append_numbers(ret, used, progress, view);
    if (view->text[0] != 0) {
        if (used > before)
            used = append(ret, used, ": ");
        (void)append(ret, used, view->text);
    }
    if (view->width > 0)
        cut(ret, view->width - 1); /* the last column would wrap */
}
