/* SPDX-License-Identifier: Apache-2.0 */
#include "yard.h"

#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

enum { CLUSTERS = 2 }; /* of content on a disc: what it says of itself, twice */

struct yard {
    char dir[200];
    struct varve_clock_sim clock;
    struct dice dice;
    unsigned slots, drives;
    struct varve_virtual *virtual;
    struct varve_library *library;
    uint64_t moves;
    bool *told; /* of each disc: it may have content */
    bool *spoilt;
};

static struct varve_barcode
barcode_of(unsigned disc)
{
    struct varve_barcode barcode;
    (void)snprintf(barcode.text, sizeof barcode.text, "VRV%05u", disc + 1);
    return barcode;
}

static bool
disc_of(const struct varve_barcode *barcode, unsigned *ret)
{
    unsigned number;
    if (sscanf(barcode->text, "VRV%u", &number) != 1 || number == 0)
        return false;
    *ret = number - 1;
    return true;
}

static void
fill(unsigned disc, uint8_t *ret)
{
    struct dice dice = {disc};
    dice_fill(&dice, ret, (uint64_t)CLUSTERS * VARVE_CLUSTER_BYTES);
    (void)snprintf((char *)ret, 64, "VRV%05u", disc + 1);
}

/* --- life --- */

static bool
intend(void *context, const char *library, const struct varve_barcode *barcode, uint16_t from,
       uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    struct yard *yard = context;
    (void)library, (void)barcode, (void)from, (void)to, (void)err;
    *ret_id = ++yard->moves;
    return true;
}

static bool
done(void *context, uint64_t id, struct varve_error *err)
{
    (void)context, (void)id, (void)err;
    return true;
}

static void
close_library(struct yard *yard)
{
    varve_library_free(VARVE_TAKE(yard->library));
    varve_virtual_close(VARVE_TAKE(yard->virtual));
}

static bool
open_library(struct yard *yard, struct varve_error *err)
{
    const struct varve_move_journal journal = {yard, intend, done};
    struct varve_scsi_port *drives[64];
    struct varve_library_ports ports = {
        .name = "yard", .drives = drives, .drive_count = yard->drives};
    if (!varve_virtual_open(yard->dir, &yard->clock.clock, &yard->virtual, err) ||
        !varve_virtual_changer_port(yard->virtual, &ports.changer, err))
        return false;
    for (unsigned i = 0; i < yard->drives; i++) {
        if (!varve_virtual_drive_port(yard->virtual, i, &drives[i], err))
            return false;
    }
    return varve_library_new(&ports, &journal, &yard->clock.clock, &yard->library, err);
}

bool
yard_restart(struct yard *yard, struct varve_error *err)
{
    close_library(yard);
    return open_library(yard, err);
}

static bool
burn(struct yard *yard, unsigned disc, unsigned drive, struct varve_error *err)
{
    static uint8_t bytes[CLUSTERS * VARVE_CLUSTER_BYTES];
    struct varve_drive *handle = varve_library_drive(yard->library, drive);
    yard->told[disc] = true;
    fill(disc, bytes);
    return varve_drive_burn_begin(handle, 0, CLUSTERS, err) &&
           varve_drive_burn_write(handle, bytes, CLUSTERS, err) &&
           varve_drive_burn_close(handle, NULL, NULL, err);
}

/* Images that an earlier life burned, put there without a drive. */
static bool
write_images(struct yard *yard, const bool *written, struct varve_error *err)
{
    for (unsigned disc = 0; disc < yard->slots; disc++) {
        if (!written[disc])
            continue;
        if (!yard_load(yard, disc, disc % yard->drives, err) ||
            !burn(yard, disc, disc % yard->drives, err))
            return false;
    }
    for (unsigned drive = 0; drive < yard->drives; drive++) {
        if (!yard_unload(yard, drive, err))
            return false;
    }
    return true;
}

struct yard *
yard_new(const struct yard_options *options, struct varve_error *err)
{
    struct yard *yard = calloc(1, sizeof *yard);
    const char *tmp = getenv("TMPDIR");
    if (yard == NULL)
        return NULL;
    const struct varve_virtual_options make = {.slots = options->slots,
                                               .drives = options->drives,
                                               .mail_slots = 1,
                                               .disc_bytes = UINT64_C(4) << 20};
    yard->slots = options->slots;
    yard->drives = options->drives;
    yard->dice.state = options->seed;
    yard->told = calloc(options->slots, sizeof *yard->told);
    yard->spoilt = calloc(options->slots, sizeof *yard->spoilt);
    varve_clock_sim_init(&yard->clock, INT64_C(1700000000) * VARVE_NS_PER_SECOND);
    (void)snprintf(yard->dir, sizeof yard->dir, "%.120s/varve-yard-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    if (yard->told != NULL && yard->spoilt != NULL && mkdtemp(yard->dir) != NULL &&
        varve_virtual_create(yard->dir, &make, err) && open_library(yard, err) &&
        write_images(yard, options->written, err))
        return yard;
    yard_free(yard);
    return NULL;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void
yard_free(struct yard *yard)
{
    close_library(yard);
    (void)nftw(yard->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(yard->told);
    free(yard->spoilt);
    free(yard);
}

/* --- what happens --- */

void
yard_fault(struct yard *yard)
{
    static const struct varve_virtual_fault faults[] = {
        {.opcode = 0x2A, .key = 3, .asc = 0x0C},               /* write error */
        {.opcode = 0x2A, .lost = true},                        /* a write without an answer */
        {.opcode = 0x28, .key = 3, .asc = 0x11},               /* read error */
        {.opcode = 0x28, .key = 4, .asc = 0x44},               /* internal failure */
        {.opcode = 0x5B, .key = 3, .asc = 0x0C},               /* close failed */
        {.opcode = 0x00, .key = 2, .asc = 0x04, .ascq = 0x01}, /* becoming ready */
        {.opcode = 0x00, .key = 2, .asc = 0x30},               /* incompatible medium */
        {.on_changer = true, .opcode = 0xA5, .key = 4, .asc = 0x15, .ascq = 1},
        {.on_changer = true, .opcode = 0xA5, .key = 4, .asc = 0x15, .ascq = 1, .after = true},
        {.on_changer = true, .opcode = 0xA5, .lost = true},
        {.on_changer = true, .opcode = 0xA5, .lost = true, .after = true},
        {.on_changer = true, .opcode = 0xA5, .key = 5, .asc = 0x3B, .ascq = 0x0D},
        {.on_changer = true, .opcode = 0xA5, .key = 5, .asc = 0x3B, .ascq = 0x0E},
        {.on_changer = true, .opcode = 0xB8, .key = 4, .asc = 0x44},
        {.on_changer = true, .opcode = 0x00, .key = 6, .asc = 0x28}, /* the door was open */
        {.on_changer = true, .opcode = 0x00, .key = 6, .asc = 0x29}, /* reset */
    };
    struct varve_virtual_fault fault =
        faults[dice_roll(&yard->dice, sizeof faults / sizeof faults[0])];
    struct varve_error full = {0}; /* as many wait as the library takes */
    fault.nth = 1 + (unsigned)dice_roll(&yard->dice, 6);
    fault.drive = (unsigned)dice_roll(&yard->dice, yard->drives);
    VARVE_IGNORE(varve_virtual_inject(yard->virtual, &fault, &full));
}

bool
yard_load(struct yard *yard, unsigned disc, unsigned drive, struct varve_error *err)
{
    struct varve_barcode barcode = barcode_of(disc);
    return varve_library_load(yard->library, &barcode, drive, err);
}

bool
yard_unload(struct yard *yard, unsigned drive, struct varve_error *err)
{
    return varve_library_unload(yard->library, drive, err);
}

bool
yard_burn(struct yard *yard, unsigned disc, unsigned drive, struct varve_error *err)
{
    if (burn(yard, disc, drive, err) && yard_read(yard, disc, drive, err))
        return true;
    yard->spoilt[disc] = true; /* the simulation takes another blank, as the engine does */
    return false;
}

bool
yard_read(struct yard *yard, unsigned disc, unsigned drive, struct varve_error *err)
{
    static uint8_t bytes[CLUSTERS * VARVE_CLUSTER_BYTES];
    static uint8_t wanted[CLUSTERS * VARVE_CLUSTER_BYTES];
    fill(disc, wanted);
    if (!varve_drive_read(varve_library_drive(yard->library, drive), 0, CLUSTERS, bytes, NULL, err))
        return false;
    return memcmp(bytes, wanted, sizeof bytes) == 0 ||
           varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                           "drive %u: wanted disc %u, its content begins with '%.32s'", drive,
                           disc + 1, (const char *)bytes);
}

bool
yard_drive_disc(struct yard *yard, unsigned drive, unsigned *ret)
{
    struct varve_barcode barcode;
    return varve_library_drive_disc(yard->library, drive, &barcode) && disc_of(&barcode, ret);
}

/* --- what must hold --- */

/* Faults that still wait are met here; none of them lasts. */
static bool
look(struct yard *yard, struct varve_element **ret, size_t *ret_count, struct varve_error *err)
{
    enum { LOOKS_MAX = 64 };
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        *err = (struct varve_error){0};
        if (varve_library_inventory(yard->library, true, ret, ret_count, err))
            return true;
    }
    return false;
}

static bool
check_places(struct yard *yard, struct varve_error *err)
{
    VARVE_CLEANUP_FREE unsigned *seen = calloc(yard->slots, sizeof *seen);
    VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
    size_t count;
    if (!look(yard, &elements, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        unsigned disc;
        if (!elements[i].full)
            continue;
        if (elements[i].type == VARVE_ELEMENT_TRANSPORT)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "disc '%s' hangs in the gripper",
                                   elements[i].barcode.text);
        if (disc_of(&elements[i].barcode, &disc) && disc < yard->slots)
            seen[disc]++;
    }
    for (unsigned disc = 0; disc < yard->slots; disc++) {
        if (seen[disc] != 1)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "disc %u is in %u elements",
                                   disc + 1, seen[disc]);
    }
    return true;
}

/* Nothing but its own content, and only if it was told to have some. */
static bool
check_image(struct yard *yard, unsigned disc, struct varve_error *err)
{
    static uint8_t wanted[CLUSTERS * VARVE_CLUSTER_BYTES];
    char path[300];
    VARVE_CLEANUP_BUFFER struct varve_buffer image = {0};
    struct varve_error none = {0};
    (void)snprintf(path, sizeof path, "%s/discs/VRV%05u.img", yard->dir, disc + 1);
    if (!varve_file_read(path, 1 << 24, &image, &none) || image.size == 0)
        return true; /* blank */
    fill(disc, wanted);
    if (!yard->told[disc])
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "disc %u was written and should be blank", disc + 1);
    if (image.size > sizeof wanted || memcmp(image.data, wanted, image.size) != 0)
        return varve_error_set(err, VARVE_ERROR_CORRUPT, 0,
                               "disc %u has what is not its own: it begins with '%.32s'", disc + 1,
                               (const char *)image.data);
    return image.size == sizeof wanted || yard->spoilt[disc] ||
           varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "disc %u was cut short", disc + 1);
}

bool
yard_check(struct yard *yard, struct varve_error *err)
{
    if (!check_places(yard, err))
        return false;
    for (unsigned disc = 0; disc < yard->slots; disc++) {
        if (!check_image(yard, disc, err))
            return false;
    }
    return true;
}
