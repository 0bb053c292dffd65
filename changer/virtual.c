/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a virtual library: made, opened, filled with discs, closed. */
#include "virtual_internal.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>
#include <varve/random.h>

#define DISC_BYTES_MIN (UINT64_C(4) << 20)
#define DISC_BYTES_MAX ((uint64_t)0xffffffe0u * VARVE_SECTOR_BYTES)
#define PREFIX_CHARS_MAX 15u

static void
init_locks(struct varve_virtual *library)
{
    (void)pthread_mutex_init(&library->lock, NULL); /* cannot fail on Linux */
    (void)pthread_mutex_init(&library->rules_lock, NULL);
    (void)pthread_mutex_init(&library->changer.nexus_lock, NULL);
}

struct varve_virtual *
virtual_new(const char *dir)
{
    struct varve_virtual *library = calloc(1, sizeof *library);
    if (library == NULL)
        return NULL;
    library->folder_lock = -1;
    init_locks(library);
    library->changer.library = library;
    library->dir = strdup(dir);
    if (library->dir != NULL)
        return library;
    varve_virtual_close(library);
    return NULL;
}

static void
assert_closed(const struct virtual_device *device)
{
    for (unsigned i = 0; i < VIRTUAL_NEXUS_MAX; i++)
        assert(!device->nexus[i].is_open);
}

void
varve_virtual_close(struct varve_virtual *library)
{
    if (library == NULL)
        return;
    assert_closed(&library->changer);
    for (unsigned i = 0; library->drives != NULL && i < library->drive_count; i++) {
        assert_closed(&library->drives[i].device);
        virtual_drive_remove(&library->drives[i]);
        (void)pthread_mutex_destroy(&library->drives[i].lock);
        (void)pthread_mutex_destroy(&library->drives[i].device.nexus_lock);
    }
    if (library->folder_lock >= 0)
        (void)close(library->folder_lock); /* nothing was written through it */
    (void)pthread_mutex_destroy(&library->lock);
    virtual_rules_done(library);
    (void)pthread_mutex_destroy(&library->rules_lock);
    (void)pthread_mutex_destroy(&library->changer.nexus_lock);
    free(library->drives);
    free(library->occupant);
    free(library->cable);
    free(library->magazine_out);
    free(library->places);
    free(library->dir);
    free(library);
}

static bool
lock_folder(struct varve_virtual *library, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(library->dir, "library.lock");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "lock");
    return varve_file_lock(path, &library->folder_lock, err);
}

static bool
check_disc_bytes(uint64_t bytes, struct varve_error *err)
{
    if (bytes >= DISC_BYTES_MIN && bytes <= DISC_BYTES_MAX && bytes % VARVE_CLUSTER_BYTES == 0)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "discs of %" PRIu64 " bytes: must be a multiple of 64 KiB from 4 MiB "
                           "to 8 TiB",
                           bytes);
}

static bool
check_count(const char *what, unsigned count, unsigned min, unsigned max, struct varve_error *err)
{
    if (count >= min && count <= max)
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%u %s: must be %u to %u", count, what, min,
                           max);
}

static bool
find_media(const char *kind, const struct varve_media **ret, struct varve_error *err)
{
    const struct varve_media *media = varve_media_of_name(kind);
    if (media != NULL && media->sectors > 0) {
        *ret = media;
        return true;
    }
    return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                           "no kind of blank disc is '%s'\nhint: BD-R SRM, BD-RE, DVD+R, "
                           "DVD+R DL, DVD-R, DVD-R DL",
                           kind);
}

static bool
take_options(struct varve_virtual *library, const struct varve_virtual_options *options,
             struct varve_error *err)
{
    const char *prefix = options->barcode != NULL ? options->barcode : "VRV";
    struct varve_barcode checked;
    if (!check_count("slots", options->slots, 1, VIRTUAL_SLOT_MAX, err) ||
        !check_count("drives", options->drives, 1, VIRTUAL_DRIVE_MAX, err) ||
        !check_count("mail slots", options->mail_slots, 0, VIRTUAL_MAIL_MAX, err) ||
        !check_count("slots a magazine", options->magazine_slots, 0, options->slots, err) ||
        (options->disc_bytes != 0 && !check_disc_bytes(options->disc_bytes, err)))
        return false;
    if (strlen(prefix) > PREFIX_CHARS_MAX || !varve_barcode_make(prefix, &checked))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "bar code prefix '%s': must be 1 to %u of A-Z a-z 0-9 _ - .", prefix,
                               PREFIX_CHARS_MAX);
    if (!find_media(options->kind != NULL ? options->kind : "BD-R SRM", &library->media, err))
        return false;
    library->slots = options->slots;
    library->drive_count = options->drives;
    library->mail_slots = options->mail_slots;
    library->magazine_slots = options->magazine_slots;
    library->two_sided = options->two_sided;
    varve_virtual_timing_usual(&library->timing);
    if (options->timing != NULL) {
        if (!virtual_timing_check(options->timing, err))
            return false;
        library->timing = *options->timing;
        library->has_timing = true;
    }
    library->next_number = 1;
    (void)snprintf(library->prefix, sizeof library->prefix, "%s", prefix);
    /* Tells the drives of two libraries apart; nothing depends on its value. */
    (void)snprintf(library->serial, sizeof library->serial, "%06X",
                   (unsigned)varve_random_below(varve_random_system(), 0x1000000));
    return true;
}

static bool
next_barcode(struct varve_virtual *library, struct varve_barcode *ret, struct varve_error *err)
{
    do {
        if (library->next_number == UINT32_MAX)
            return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "no bar code is left");
        (void)snprintf(ret->text, sizeof ret->text, "%s%05" PRIu32, library->prefix,
                       library->next_number++);
        /* Numbers are never used again, so only a disc inserted by its own name can be in the way;
         * looked for in the few discs that may be ahead of the count. */
    } while (virtual_find(library, ret) != NULL);
    return true;
}

static bool
is_free_slot(struct varve_virtual *library, unsigned index)
{
    uint16_t address = virtual_address(library, index);
    return virtual_type(address) == VARVE_ELEMENT_SLOT && virtual_at(library, address) == NULL &&
           !virtual_is_absent(library, address);
}

/* Everything on the filesystem of `dir`, at once: one by one, thousands of discs take minutes. */
static bool
sync_folder(const char *dir, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) != 0)
        return varve_error_system(err, errno, "sync '%s'", dir);
    return true;
}

static bool
write_sides(const struct varve_virtual *library, const struct varve_barcode *barcode,
            const struct virtual_disc *blank, struct varve_error *err)
{
    for (unsigned side = 0; side < (library->two_sided ? 2 : 1); side++) {
        struct virtual_name name = virtual_name_of(barcode, side == 1);
        if (!virtual_disc_write(library->dir, &name, blank, false, err))
            return false;
    }
    return true;
}

static bool
fill_slots(struct varve_virtual *library, const struct varve_media *media, unsigned count,
           uint64_t disc_bytes, struct varve_error *err)
{
    struct virtual_disc blank = {.media = media,
                                 .capacity = (uint32_t)(disc_bytes / VARVE_SECTOR_BYTES)};
    if (disc_bytes == 0)
        blank.capacity = media->sectors;
    unsigned done = 0;
    for (unsigned i = 0; i < virtual_element_count(library) && done < count; i++) {
        struct virtual_place place = {.element = virtual_address(library, i)};
        if (!is_free_slot(library, i))
            continue;
        if (!next_barcode(library, &place.barcode, err) ||
            !write_sides(library, &place.barcode, &blank, err) ||
            !virtual_put(library, &place, err))
            return false;
        done++;
    }
    /* The discs first, then the list that names them. */
    return sync_folder(library->dir, err) && virtual_save(library, err);
}

static bool
make_folder(const char *dir, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *discs = varve_file_join(dir, "discs");
    if (discs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "create");
    return varve_file_make_dirs(discs, 0777, err);
}

static bool
refuse_existing(const char *dir, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(dir, "library.json");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "create");
    if (access(path, F_OK) == 0)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "it is there already");
    return true;
}

bool
varve_virtual_create(const char *dir, const struct varve_virtual_options *options,
                     struct varve_error *err)
{
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *library = virtual_new(dir);
    if (library == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "create virtual library '%s'", dir);
    if (!take_options(library, options, err) || !refuse_existing(dir, err) ||
        !make_folder(dir, err) || !lock_folder(library, err) || !refuse_existing(dir, err) ||
        !virtual_allocate(library, err) ||
        !fill_slots(library, library->media, library->slots, options->disc_bytes, err))
        return varve_error_wrap(err, "create virtual library '%s'", dir);
    return true;
}

/* Discs that are in drives spin up again. */
static void
load_drives(struct varve_virtual *library)
{
    for (unsigned i = 0; i < library->drive_count; i++) {
        const struct virtual_place *place =
            virtual_at(library, (uint16_t)(VIRTUAL_DRIVE_FIRST + i));
        if (place == NULL)
            continue;
        virtual_drive_insert(&library->drives[i], &place->barcode, place->inverted);
    }
}

bool
varve_virtual_open(const char *dir, struct varve_clock *clock, struct varve_virtual **ret,
                   struct varve_error *err)
{
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *library = virtual_new(dir);
    if (library == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open virtual library '%s'", dir);
    library->clock = clock;
    if (!lock_folder(library, err) || !virtual_parse(library, err))
        return varve_error_wrap(err, "open virtual library '%s'", dir);
    load_drives(library);
    if (!virtual_take_script_file(library, err))
        return varve_error_wrap(err, "open virtual library '%s'", dir);
    *ret = VARVE_TAKE(library);
    return true;
}

bool
varve_virtual_is_two_sided(const struct varve_virtual *library)
{
    return library->two_sided;
}

unsigned
varve_virtual_drive_count(const struct varve_virtual *library)
{
    return library->drive_count;
}

static bool
add_discs(struct varve_virtual *library, const char *kind, unsigned count, uint64_t disc_bytes,
          struct varve_error *err)
{
    const struct varve_media *media = library->media;
    unsigned room = 0;
    if ((disc_bytes != 0 && !check_disc_bytes(disc_bytes, err)) ||
        (kind != NULL && !find_media(kind, &media, err)))
        return false;
    for (unsigned i = 0; i < virtual_element_count(library); i++)
        room += is_free_slot(library, i) ? 1 : 0;
    if (room < count)
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "only %u slots are free", room);
    return fill_slots(library, media, count, disc_bytes, err);
}

bool
varve_virtual_add_discs(struct varve_virtual *library, const char *kind, unsigned count,
                        uint64_t disc_bytes, struct varve_error *err)
{
    VARVE_LOCKED(&library->lock);
    if (!add_discs(library, kind, count, disc_bytes, err))
        return varve_error_wrap(err, "add %u blank discs to '%s'", count, library->dir);
    virtual_attend(&library->changer, 0x28, 0x00); /* the door was open */
    return true;
}

bool
varve_virtual_add_blanks(struct varve_virtual *library, unsigned count, uint64_t disc_bytes,
                         struct varve_error *err)
{
    return varve_virtual_add_discs(library, NULL, count, disc_bytes, err);
}

static bool
is_same_file(const struct stat *a, const char *path)
{
    struct stat b;
    return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

static bool
copy_image(int from, uint64_t bytes, const char *to, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return varve_error_system(err, errno, "create '%s'", to);
    return varve_file_copy(from, fd, bytes, err) && varve_file_sync(fd, to, err);
}

/* Puts the image into the folder under the disc's name; what lies there belongs to no disc of the
 * library (the caller has looked). */
static bool
take_image(struct varve_virtual *library, const char *image, const struct varve_barcode *barcode,
           struct virtual_disc *ret, struct varve_error *err)
{
    struct virtual_name name = virtual_name_of(barcode, false);
    VARVE_CLEANUP_FREE char *path = virtual_disc_path(library->dir, &name, ".img");
    VARVE_CLEANUP_FD int fd = open(image, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", image);
    if (fd < 0 || fstat(fd, &st) != 0)
        return varve_error_system(err, errno, "open '%s'", image);
    uint64_t sectors = (uint64_t)st.st_size / VARVE_SECTOR_BYTES;
    if (!S_ISREG(st.st_mode) || st.st_size % VARVE_SECTOR_BYTES != 0 || sectors == 0 ||
        sectors > UINT32_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s' is no disc image: not a file of whole 2048-byte sectors",
                               image);
    *ret = (struct virtual_disc){.media = library->media,
                                 .capacity = (uint32_t)sectors,
                                 .formatted = library->media->must_format,
                                 .closed = true,
                                 .recorded = (uint32_t)sectors};
    if (is_same_file(&st, path))
        return true;
    if (unlink(path) != 0 && errno != ENOENT)
        return varve_error_system(err, errno, "replace '%s'", path);
    return link(image, path) == 0 || copy_image(fd, (uint64_t)st.st_size, path, err);
}

static bool
find_place_for_insert(struct varve_virtual *library, uint16_t *ret)
{
    for (unsigned i = 0; i < virtual_element_count(library); i++) {
        uint16_t address = virtual_address(library, i);
        enum varve_element_type type = virtual_type(address);
        if ((type == VARVE_ELEMENT_MAIL_SLOT || type == VARVE_ELEMENT_SLOT) &&
            virtual_at(library, address) == NULL && !virtual_is_absent(library, address)) {
            *ret = address; /* mail slots have the lower addresses */
            return true;
        }
    }
    return false;
}

static bool
insert_locked(struct varve_virtual *library, const char *image, const struct varve_barcode *barcode,
              struct varve_error *err)
{
    struct virtual_place place = {.barcode = *barcode, .imported = true, .written = true};
    struct virtual_name name = virtual_name_of(barcode, false);
    struct virtual_place *known = virtual_find(library, barcode);
    struct virtual_disc disc;
    if (known != NULL && !virtual_is_gone(library, known))
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0, "it is in element %u already",
                               known->element);
    if (!find_place_for_insert(library, &place.element))
        return varve_error_set(err, VARVE_ERROR_NO_SPACE, 0, "no mail slot and no slot is free");
    if (!take_image(library, image, barcode, &disc, err) ||
        !virtual_disc_write(library->dir, &name, &disc, true, err))
        return false;
    if (known != NULL)
        virtual_drop(library, known);
    place.imported = virtual_type(place.element) == VARVE_ELEMENT_MAIL_SLOT;
    if (!virtual_put(library, &place, err) || !virtual_save(library, err))
        return false;
    virtual_attend(&library->changer, 0x28, place.imported ? 0x01 : 0x00);
    return true;
}

bool
varve_virtual_insert(struct varve_virtual *library, const char *image,
                     const struct varve_barcode *barcode, struct varve_error *err)
{
    VARVE_LOCKED(&library->lock);
    if (!insert_locked(library, image, barcode, err))
        return varve_error_wrap(err, "insert disc '%s' into '%s'", barcode->text, library->dir);
    return true;
}
