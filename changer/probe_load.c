/* SPDX-License-Identifier: Apache-2.0 */
/* Load-and-look (reference 1.7, 5): a disc goes into a drive element, and whichever drive then has
 * one is that element. */
#include <varve/probe.h>

#include <stdarg.h>
#include <string.h>

#include "changer.h"
#include "mmc_codec.h"

#define APPEAR_SECONDS 120 /* until a drive has noticed its disc (reference 6, fault 18) */
#define ATTENTIONS_MAX 10u

enum sight { SIGHT_UNKNOWN, SIGHT_EMPTY, SIGHT_DISC };

struct loader {
    const struct varve_probe_loading *loading;
    struct varve_probe *probe;
    struct varve_changer changer;
    struct varve_smc_list inventory;
    enum sight *before; /* of each drive */
};

static void tell(const struct loader *loader, const char *format, ...) VARVE_PRINTF(2, 3);
static void
tell(const struct loader *loader, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (loader->loading->tell != NULL)
        loader->loading->tell(loader->loading->context, text);
}

/* The catalog that journals moves belongs to archives; whatever interrupts the probe, the next
 * start of a daemon reads the inventory and finds the disc in the drive (INV-7). */
static bool
intend(void *context, const char *library, const struct varve_barcode *barcode, uint16_t from,
       uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    (void)context, (void)library, (void)barcode, (void)from, (void)to, (void)err;
    *ret_id = 0;
    return true;
}
static bool
done(void *context, uint64_t id, struct varve_error *err)
{
    (void)context, (void)id, (void)err;
    return true;
}

/* TEST UNIT READY. A disc that is dirty, unknown or still spinning up is a disc. */
static enum sight
look_into(const struct varve_probe_drive *drive, struct varve_clock *clock)
{
    struct varve_scsi_device device = {.port = drive->port, .clock = clock};
    for (unsigned i = 0; drive->port != NULL && i < ATTENTIONS_MAX; i++) {
        struct varve_scsi_command command;
        struct varve_scsi_sense sense;
        struct varve_error unused = {0}; /* a drive that does not answer is not the one */
        varve_smc_encode_test_unit_ready(&command);
        if (!varve_scsi_once(&device, &command, &sense, &unused))
            return SIGHT_UNKNOWN;
        if (varve_scsi_is_good(&command, &sense))
            return SIGHT_DISC;
        if (sense.valid && sense.key == 6)
            continue;
        if (sense.valid && sense.key == 2 && sense.asc == 0x3a)
            return SIGHT_EMPTY;
        bool disc = sense.valid && ((sense.key == 2 && (sense.asc == 0x30 || sense.asc == 0x04)) ||
                                    sense.key == 3);
        return disc ? SIGHT_DISC : SIGHT_UNKNOWN;
    }
    return SIGHT_UNKNOWN;
}

static bool
is_proven_elsewhere(const struct varve_probe *probe, size_t drive)
{
    for (size_t i = 0; i < probe->element_count; i++) {
        if (probe->elements[i].drive == (int)drive && varve_proof_holds(probe->elements[i].proof))
            return true;
    }
    return false;
}

static void
note_before(struct loader *loader)
{
    for (size_t i = 0; i < loader->loading->drive_count; i++)
        loader->before[i] = is_proven_elsewhere(loader->probe, i)
                                ? SIGHT_UNKNOWN
                                : look_into(&loader->loading->drives[i], loader->loading->clock);
}

/* Drives that were empty and now have a disc: their number, *ret the last. */
static unsigned
count_appeared(const struct loader *loader, int *ret)
{
    unsigned count = 0;
    for (size_t i = 0; i < loader->loading->drive_count; i++) {
        if (loader->before[i] == SIGHT_EMPTY &&
            look_into(&loader->loading->drives[i], loader->loading->clock) == SIGHT_DISC) {
            *ret = (int)i;
            count++;
        }
    }
    return count;
}

/* Twice the same, so that an operator who closes a tray at this moment is noticed. */
static bool
find_appeared(const struct loader *loader, int *ret, char why[VARVE_PROBE_WHY_BYTES])
{
    struct varve_scsi_wait wait;
    varve_scsi_wait_begin(&wait, loader->loading->clock, APPEAR_SECONDS * VARVE_NS_PER_SECOND);
    int first = -1, second = -1;
    unsigned count;
    while ((count = count_appeared(loader, &first)) == 0 && varve_scsi_wait_nap(&wait)) {
    }
    if (count == 0) {
        (void)snprintf(why, VARVE_PROBE_WHY_BYTES,
                       "no drive that can be asked saw the disc within %u s", APPEAR_SECONDS);
        return false;
    }
    varve_clock_sleep(loader->loading->clock, VARVE_NS_PER_SECOND);
    if (count > 1 || count_appeared(loader, &second) != 1 || first != second) {
        (void)snprintf(why, VARVE_PROBE_WHY_BYTES,
                       "more than one drive got a disc at that moment: try again");
        return false;
    }
    *ret = first;
    return true;
}

/* A tray that is locked does not open: cdrom_id locks it whenever a medium comes (reference 10.1).
 * Some robots wait for the tray to be opened by the drive. */
static void
release(const struct varve_probe_drive *drive, struct varve_clock *clock, bool eject)
{
    if (drive->port == NULL)
        return;
    struct varve_scsi_device device = {
        .port = drive->port, .clock = clock, .ready_ns = 60 * VARVE_NS_PER_SECOND};
    struct varve_scsi_command command;
    struct varve_error unused = {0}; /* the move tells whether it helped */
    varve_smc_encode_prevent(&command, false);
    VARVE_IGNORE(varve_scsi_run(&device, &command, &unused));
    if (!eject)
        return;
    varve_mmc_encode_start_stop(&command, VARVE_MMC_EJECT);
    VARVE_IGNORE(varve_scsi_run(&device, &command, &unused));
}

static void
release_all(const struct loader *loader, int drive, bool eject)
{
    for (size_t i = 0; i < loader->loading->drive_count; i++) {
        /* Which one it is may be unknown: then none of the others may have its tray opened. */
        if (drive == (int)i || (drive < 0 && !eject))
            release(&loader->loading->drives[i], loader->loading->clock, eject);
    }
}

static bool
bring_back(struct loader *loader, const struct varve_changer_move *there, int drive,
           struct varve_error *err)
{
    const struct varve_changer_move back = {
        .barcode = there->barcode, .from = there->to, .to = there->from};
    struct varve_changer_ends ends;
    struct varve_error first = {0};
    release_all(loader, drive, false);
    if (varve_changer_move(&loader->changer, &back, &ends, &first))
        return true;
    release_all(loader, drive, true);
    if (ends.known && ends.from.element.full &&
        varve_changer_move(&loader->changer, &back, &ends, err))
        return true;
    *err = first;
    (void)varve_error_wrap(err, "bring disc '%s' back to slot %u", there->barcode.text,
                           there->from);
    return varve_error_hint(err,
                            "it is in drive element %u: bring it home by hand or with "
                            "`mtx`, then probe again",
                            there->to);
}

static bool
try_element(struct loader *loader, struct varve_probe_element *element,
            const struct varve_element *slot, struct varve_error *err)
{
    const struct varve_changer_move move = {
        .barcode = slot->barcode, .from = slot->address, .to = element->address};
    struct varve_changer_ends ends;
    struct varve_error failed = {0};
    note_before(loader);
    tell(loader, "disc '%s': from slot %u to drive element %u", slot->barcode.text, slot->address,
         element->address);
    if (!varve_changer_move(&loader->changer, &move, &ends, &failed)) {
        (void)snprintf(element->why, sizeof element->why, "%.*s", (int)sizeof element->why - 1,
                       failed.text);
        *err = failed;
        return ends.known && ends.from.element.full; /* still in its slot: go on with the next */
    }
    int drive = -1;
    bool found = find_appeared(loader, &drive, element->why);
    if (!bring_back(loader, &move, drive, err))
        return false;
    element->drive = found ? drive : -1;
    element->proof = found ? VARVE_PROOF_LOADED : VARVE_PROOF_NONE;
    if (found)
        element->why[0] = 0;
    tell(loader, "drive element %u: %s%s", element->address, found ? "it is drive " : "",
         found ? loader->loading->drives[drive].serial : element->why);
    return true;
}

/* The pairs of the pass before were likely at most; the drive that showed itself is taken away from
 * whoever was thought to be it. */
static void
drop_others(struct varve_probe *probe, const struct varve_probe_element *proven)
{
    for (size_t i = 0; i < probe->element_count; i++) {
        struct varve_probe_element *other = &probe->elements[i];
        if (other == proven || other->drive != proven->drive || varve_proof_holds(other->proof))
            continue;
        other->drive = -1;
        other->proof = VARVE_PROOF_NONE;
        (void)snprintf(other->why, sizeof other->why, "its likely drive is in element %u",
                       proven->address);
    }
}

/* Not a cleaning disc (their labels begin so by custom): it would be used up. */
static bool
is_usable(const struct varve_element *element)
{
    return element->type == VARVE_ELEMENT_SLOT && element->full && !element->exception &&
           strncmp(element->barcode.text, "CLN", 3) != 0;
}

static const struct varve_element *
find_disc(const struct loader *loader)
{
    for (size_t i = 0; i < loader->inventory.count; i++) {
        if (is_usable(&loader->inventory.elements[i].element))
            return &loader->inventory.elements[i].element;
    }
    return NULL;
}

static bool
load_all(struct loader *loader, struct varve_error *err)
{
    if (!varve_changer_inventory(&loader->changer, &loader->inventory, err))
        return false;
    const struct varve_element *slot = find_disc(loader);
    for (size_t i = 0; i < loader->probe->element_count; i++) {
        struct varve_probe_element *element = &loader->probe->elements[i];
        if (varve_proof_holds(element->proof))
            continue;
        if (slot == NULL || element->full) {
            (void)snprintf(element->why, sizeof element->why, "%s",
                           element->full ? "holds a disc: unload it first, then probe again"
                                         : "no slot has a disc to load and look with");
            continue;
        }
        if (!try_element(loader, element, slot, err))
            return varve_error_wrap(err, "drive element %u", element->address);
        if (varve_proof_holds(element->proof))
            drop_others(loader->probe, element);
    }
    return true;
}

bool
varve_probe_load(const struct varve_probe_loading *loading, struct varve_probe *probe,
                 struct varve_error *err)
{
    const struct varve_changer_setup setup = {.name = "probe",
                                              .port = loading->changer,
                                              .clock = loading->clock,
                                              .journal = {.intend = intend, .done = done}};
    struct loader loader = {.loading = loading, .probe = probe};
    VARVE_CLEANUP_FREE enum sight *before = calloc(loading->drive_count + 1, sizeof *before);
    if (before == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "load and look");
    loader.before = before;
    bool ok = varve_changer_init(&loader.changer, &setup, err) && load_all(&loader, err);
    varve_changer_done(&loader.changer);
    varve_smc_list_done(&loader.inventory);
    return ok;
}
