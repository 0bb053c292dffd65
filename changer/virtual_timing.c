/* SPDX-License-Identifier: Apache-2.0 */
/* How long what takes: the numbers of library.json, and what they make of a command. */
#include "virtual_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* Without a timing: commands that are answered "becoming ready" after a disc came in, and while the
 * robot counts. */
#define SPIN_UP_COMMANDS 2
#define INVENTORY_COMMANDS 2
/* Retries of a marginal spot, whether or not anything else takes time. */
#define SLOW_NS (2 * VARVE_NS_PER_SECOND)
#define MS_MAX (24u * 3600u * 1000u)
#define TIMES_MAX 100u
#define SPEEDUP_MAX 1000000u
#define BUFFER_BYTES_MAX (1u << 30)

#define X(name, word) word,
static const char *const spins[] = {VARVE_VIRTUAL_SPINS(X)};
#undef X
static const char *const geometries[] = {"carousel", "gantry"};

void
varve_virtual_timing_usual(struct varve_virtual_timing *ret)
{
    *ret = (struct varve_virtual_timing){
        .geometry = VARVE_GEOMETRY_CAROUSEL,
        .column = 20,
        .grip_ns = 6 * VARVE_NS_PER_SECOND,
        .step_ns = 40 * VARVE_NS_PER_MS,
        .spin_up_ns = 25 * VARVE_NS_PER_SECOND,
        .seek_ns = 350 * VARVE_NS_PER_MS,
        .close_ns = 60 * VARVE_NS_PER_SECOND,
        .inventory_ns = 60 * VARVE_NS_PER_SECOND,
        .write_times = 6,
        .read_times = 8,
        .buffer_bytes = 4u << 20,
        .spin = VARVE_VIRTUAL_SPIN_ZCLV,
    };
}

uint64_t
varve_virtual_rate(enum varve_virtual_spin spin, unsigned rate_max, uint32_t sector,
                   uint32_t sectors)
{
    double part = sectors > 0 ? (double)sector / sectors : 0;
    double inner = 24.0 * 24.0, outer = 58.0 * 58.0;
    double radius = sqrt(inner + (part < 1 ? part : 1) * (outer - inner)); /* tracks lie evenly */
    switch (spin) {
    case VARVE_VIRTUAL_SPIN_CLV:
        return rate_max;
    case VARVE_VIRTUAL_SPIN_ZCLV: /* 6x: 4x from 24 mm, 5x from 33 mm, 6x from 42 mm */
        return radius < 33   ? rate_max * UINT64_C(4) / 6
               : radius < 42 ? rate_max * UINT64_C(5) / 6
                             : rate_max;
    case VARVE_VIRTUAL_SPIN_CAV:
        break;
    }
    return (uint64_t)(rate_max * radius / 58.0);
}

void
varve_virtual_geometry(const struct varve_virtual *library, struct varve_geometry *ret)
{
    const struct varve_virtual_timing *timing = &library->timing;
    *ret = (struct varve_geometry){
        .kind = timing->geometry,
        .slot_first = VIRTUAL_SLOT_FIRST,
        .drive_first = VIRTUAL_DRIVE_FIRST,
        .slots = library->slots,
        .drives = library->drive_count,
        .column = timing->column,
        .grip_ns = timing->grip_ns,
        .step_ns = timing->step_ns,
    };
}

/* --- what a command takes --- */

static int64_t
scaled(const struct varve_virtual *library, int64_t ns)
{
    return library->timing.speedup > 0 ? ns / library->timing.speedup : 0;
}

int64_t
virtual_now(const struct varve_virtual *library)
{
    return varve_clock_monotonic(library->clock);
}

/* The empty way to the disc, then the way with it. */
int64_t
virtual_move_ns(struct varve_virtual *library, uint16_t from, uint16_t to)
{
    struct varve_geometry geometry;
    varve_virtual_geometry(library, &geometry);
    if (library->timing.speedup == 0)
        return 0;
    int64_t there = varve_geometry_move_ns(&geometry, library->arm_at, from) - geometry.grip_ns;
    if (from == to) /* POSITION TO ELEMENT */
        return scaled(library, there);
    return scaled(library, there + varve_geometry_move_ns(&geometry, from, to));
}

static int64_t
transfer_ns(const struct virtual_drive *drive, unsigned times, uint32_t lba, uint64_t bytes)
{
    const struct varve_virtual *library = drive->device.library;
    unsigned rim = times * drive->disc.media->single_speed;
    uint64_t rate = varve_virtual_rate(library->timing.spin, rim, lba, drive->disc.capacity) * 1000;
    return rate > 0 ? scaled(library, (int64_t)((double)bytes * 1e9 / (double)rate)) : 0;
}

static int64_t
seek_ns(const struct virtual_drive *drive, uint32_t lba)
{
    const struct varve_virtual *library = drive->device.library;
    double way = lba > drive->head ? lba - drive->head : drive->head - lba;
    double all = drive->disc.capacity > 0 ? drive->disc.capacity : 1;
    return scaled(library, (int64_t)((double)library->timing.seek_ns * sqrt(way / all)));
}

static unsigned
count_slow(const struct virtual_drive *drive, uint32_t lba, uint32_t count)
{
    unsigned found = 0;
    for (unsigned i = 0; i < drive->disc.defect_count; i++) {
        const struct virtual_defect *one = &drive->disc.defects[i];
        found += one->kind == VIRTUAL_DEFECT_SLOW && one->first < (uint64_t)lba + count &&
                         one->last >= lba
                     ? 1
                     : 0;
    }
    return found;
}

void
virtual_begin_inventory(struct varve_virtual *library)
{
    if (virtual_takes_time(library))
        library->inventory_until_ns =
            virtual_now(library) + scaled(library, library->timing.inventory_ns);
    else
        library->inventory = INVENTORY_COMMANDS;
}

void
virtual_begin_spin_up(struct virtual_drive *drive)
{
    const struct varve_virtual *library = drive->device.library;
    if (virtual_takes_time(library))
        drive->ready_at_ns = virtual_now(library) + scaled(library, library->timing.spin_up_ns);
    else
        drive->becoming_ready = SPIN_UP_COMMANDS;
}

void
virtual_spend_read(struct virtual_drive *drive, uint32_t lba, uint32_t count)
{
    const struct varve_virtual *library = drive->device.library;
    int64_t slow = SLOW_NS / (virtual_takes_time(library) ? library->timing.speedup : 1);
    drive->owed_ns += count_slow(drive, lba, count) * slow;
    if (!virtual_takes_time(library))
        return;
    drive->owed_ns += seek_ns(drive, lba) + transfer_ns(drive, library->timing.read_times, lba,
                                                        (uint64_t)count * VARVE_SECTOR_BYTES);
    drive->head = lba + count;
}

/* The drive takes the bytes at once while its buffer has room. */
void
virtual_spend_write(struct virtual_drive *drive, uint32_t lba, uint32_t count)
{
    const struct varve_virtual *library = drive->device.library;
    unsigned times = library->timing.write_times;
    if (!virtual_takes_time(library))
        return;
    int64_t now = virtual_now(library);
    int64_t begin = drive->burned_at_ns > now ? drive->burned_at_ns : now;
    drive->burned_at_ns =
        begin + transfer_ns(drive, times, lba, (uint64_t)count * VARVE_SECTOR_BYTES);
    drive->head = lba + count;
    int64_t room = transfer_ns(drive, times, lba, library->timing.buffer_bytes);
    if (drive->burned_at_ns - now > room)
        drive->owed_ns += drive->burned_at_ns - now - room;
}

static void
operate_until(struct virtual_drive *drive, int64_t until_ns, uint8_t ascq, bool immediate)
{
    int64_t now = virtual_now(drive->device.library);
    if (until_ns <= now)
        return;
    if (!immediate) {
        drive->owed_ns += until_ns - now;
        return;
    }
    drive->began_ns = now;
    drive->done_at_ns = until_ns;
    drive->closing_ascq = ascq;
}

void
virtual_spend_flush(struct virtual_drive *drive, bool immediate)
{
    operate_until(drive, drive->burned_at_ns, 0x08, immediate);
}

void
virtual_spend_operation(struct virtual_drive *drive, uint8_t ascq, bool immediate)
{
    const struct varve_virtual *library = drive->device.library;
    if (virtual_takes_time(library)) {
        int64_t now = virtual_now(library);
        int64_t begin = drive->burned_at_ns > now ? drive->burned_at_ns : now;
        operate_until(drive, begin + scaled(library, library->timing.close_ns), ascq, immediate);
    } else if (immediate) {
        drive->closing = VIRTUAL_CLOSING_COMMANDS;
        drive->closing_ascq = ascq;
    }
}

bool
virtual_is_operating(struct virtual_drive *drive, struct virtual_sense *ret)
{
    *ret = (struct virtual_sense){
        .key = 2, .asc = 0x04, .ascq = drive->closing_ascq, .has_progress = true};
    if (drive->closing > 0) {
        ret->progress = (uint16_t)(65535 / drive->closing);
        drive->closing--;
        return true;
    }
    if (drive->done_at_ns == 0)
        return false;
    int64_t now = virtual_now(drive->device.library);
    if (now >= drive->done_at_ns) {
        drive->done_at_ns = 0;
        return false;
    }
    double part = (double)(now - drive->began_ns) / (double)(drive->done_at_ns - drive->began_ns);
    ret->progress = (uint16_t)(part * 65535);
    return true;
}

uint32_t
virtual_buffer_free(const struct virtual_drive *drive)
{
    const struct varve_virtual *library = drive->device.library;
    uint32_t all = library->timing.buffer_bytes;
    int64_t left = drive->burned_at_ns - virtual_now(library);
    int64_t room = transfer_ns(drive, library->timing.write_times, drive->head, all);
    if (left <= 0 || room <= 0)
        return all;
    return left >= room ? 0 : all - (uint32_t)((double)left / (double)room * all);
}

/* --- library.json --- */

void
virtual_timing_print(struct varve_buffer *out, const struct varve_virtual_timing *t)
{
    varve_buffer_printf(
        out,
        "  \"timing\": {\"speedup\": %u, \"geometry\": \"%s\", \"column\": %u, \"grip_ms\": "
        "%" PRId64 ", \"step_ms\": %" PRId64 ",\n    \"spin_up_ms\": %" PRId64
        ", \"seek_ms\": %" PRId64 ", \"close_ms\": %" PRId64 ", \"inventory_ms\": %" PRId64
        ",\n    \"write_times\": %u, \"read_times\": %u, \"buffer_bytes\": %" PRIu32
        ", \"spin\": \"%s\"},\n",
        t->speedup, geometries[t->geometry], t->column, t->grip_ns / VARVE_NS_PER_MS,
        t->step_ns / VARVE_NS_PER_MS, t->spin_up_ns / VARVE_NS_PER_MS, t->seek_ns / VARVE_NS_PER_MS,
        t->close_ns / VARVE_NS_PER_MS, t->inventory_ns / VARVE_NS_PER_MS, t->write_times,
        t->read_times, t->buffer_bytes, spins[t->spin]);
}

static bool
find_word(const char *const *list, size_t count, const char *word, unsigned *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], word) == 0) {
            *ret = (unsigned)i;
            return true;
        }
    }
    return false;
}

bool
varve_virtual_spin_parse(const char *word, enum varve_virtual_spin *ret)
{
    unsigned found;
    if (!find_word(spins, sizeof spins / sizeof spins[0], word, &found))
        return false;
    *ret = (enum varve_virtual_spin)found;
    return true;
}

bool
varve_virtual_geometry_parse(const char *word, enum varve_geometry_kind *ret)
{
    unsigned found;
    if (!find_word(geometries, sizeof geometries / sizeof geometries[0], word, &found))
        return false;
    *ret = (enum varve_geometry_kind)found;
    return true;
}

struct timing_field {
    const char *key;
    uint64_t min, max;
    int64_t *ns; /* in ms, or */
    uint32_t *number;
};

static bool
take_field(const json_t *object, const struct timing_field *field, struct varve_error *err)
{
    const json_t *value = json_object_get(object, field->key);
    json_int_t number = json_integer_value(value);
    if (value == NULL)
        return true;
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < field->min ||
        (uint64_t)number > field->max)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"timing\": \"%s\" must be a number from %" PRIu64 " to %" PRIu64,
                               field->key, field->min, field->max);
    if (field->ns != NULL)
        *field->ns = number * VARVE_NS_PER_MS;
    else
        *field->number = (uint32_t)number;
    return true;
}

static bool
take_words(const json_t *object, struct varve_virtual_timing *t, struct varve_error *err)
{
    const json_t *geometry = json_object_get(object, "geometry");
    const json_t *spin = json_object_get(object, "spin");
    if (geometry != NULL &&
        (!json_is_string(geometry) ||
         !varve_virtual_geometry_parse(json_string_value(geometry), &t->geometry)))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"timing\": \"geometry\" must be \"carousel\" or \"gantry\"");
    if (spin != NULL &&
        (!json_is_string(spin) || !varve_virtual_spin_parse(json_string_value(spin), &t->spin)))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"timing\": \"spin\" must be \"clv\", \"zclv\" or \"cav\"");
    return true;
}

bool
virtual_timing_parse(const void *json, struct varve_virtual_timing *ret, struct varve_error *err)
{
    const json_t *object = json;
    struct varve_virtual_timing t;
    varve_virtual_timing_usual(&t);
    const struct timing_field fields[] = {
        {"speedup", 0, SPEEDUP_MAX, NULL, &t.speedup},
        {"column", 1, VIRTUAL_SLOT_MAX, NULL, &t.column},
        {"grip_ms", 0, MS_MAX, &t.grip_ns, NULL},
        {"step_ms", 0, MS_MAX, &t.step_ns, NULL},
        {"spin_up_ms", 0, MS_MAX, &t.spin_up_ns, NULL},
        {"seek_ms", 0, MS_MAX, &t.seek_ns, NULL},
        {"close_ms", 0, MS_MAX, &t.close_ns, NULL},
        {"inventory_ms", 0, MS_MAX, &t.inventory_ns, NULL},
        {"write_times", 1, TIMES_MAX, NULL, &t.write_times},
        {"read_times", 1, TIMES_MAX, NULL, &t.read_times},
        {"buffer_bytes", 65536, BUFFER_BYTES_MAX, NULL, &t.buffer_bytes},
    };
    if (object != NULL && !json_is_object(object))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "\"timing\" must be an object");
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (!take_field(object, &fields[i], err))
            return false;
    }
    if (!take_words(object, &t, err))
        return false;
    *ret = t;
    return true;
}

bool
virtual_timing_check(const struct varve_virtual_timing *t, struct varve_error *err)
{
    if (t->column >= 1 && t->speedup <= SPEEDUP_MAX && t->write_times >= 1 && t->read_times >= 1 &&
        t->write_times <= TIMES_MAX && t->read_times <= TIMES_MAX && t->buffer_bytes >= 65536 &&
        t->buffer_bytes <= BUFFER_BYTES_MAX)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "timing: the column must be at least 1, speeds 1 to %u times, the "
                           "buffer 64 KiB to 1 GiB, the speedup at most %u",
                           TIMES_MAX, SPEEDUP_MAX);
}
