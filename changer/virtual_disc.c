/* SPDX-License-Identifier: Apache-2.0 */
/* A disc as two files, and a drive taking it in. */
#include "virtual_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

struct virtual_name
virtual_name_of(const struct varve_barcode *barcode, bool side_b)
{
    struct virtual_name ret;
    (void)snprintf(ret.text, sizeof ret.text, "%s%s", barcode->text, side_b ? "~B" : "");
    return ret;
}

char *
virtual_disc_path(const char *dir, const struct virtual_name *name, const char *suffix)
{
    char *path = NULL;
    if (asprintf(&path, "%s/discs/%s%s", dir, name->text, suffix) < 0)
        return NULL;
    return path;
}

static bool
take_sectors(const json_t *root, const char *key, uint32_t *ret)
{
    const json_t *value = json_object_get(root, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > UINT32_MAX)
        return false;
    *ret = (uint32_t)json_integer_value(value);
    return true;
}

static bool
parse_trouble(const json_t *root, struct virtual_disc *ret, struct varve_error *err)
{
    const json_t *trouble = json_object_get(root, "trouble");
    unsigned word = VIRTUAL_TROUBLE_NONE;
    if (trouble != NULL &&
        (!json_is_string(trouble) || !virtual_trouble_parse(json_string_value(trouble), &word)))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "\"trouble\" is none of those known");
    ret->trouble = (enum virtual_trouble)word;
    return true;
}

/* [["hard", 3200, 3231], ...] */
static bool
parse_defects(const json_t *root, struct virtual_disc *ret, struct varve_error *err)
{
    const json_t *list = json_object_get(root, "defects");
    if (list == NULL)
        return true;
    if (!json_is_array(list) || json_array_size(list) > VIRTUAL_DEFECTS_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"defects\" must be a list of at most %u", VIRTUAL_DEFECTS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *kind = json_string_value(json_array_get(one, 0));
        json_int_t first = json_integer_value(json_array_get(one, 1));
        json_int_t last = json_integer_value(json_array_get(one, 2));
        unsigned word;
        if (kind == NULL || !virtual_defect_parse(kind, &word) || first < 0 || last < first ||
            last > UINT32_MAX)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "defect %zu is no [kind, first, last]", i);
        ret->defects[ret->defect_count++] =
            (struct virtual_defect){.kind = (enum virtual_defect_kind)word,
                                    .first = (uint32_t)first,
                                    .last = (uint32_t)last};
    }
    return true;
}

static bool
parse_disc(const json_t *root, struct virtual_disc *ret, struct varve_error *err)
{
    const char *kind = json_string_value(json_object_get(root, "kind"));
    ret->media = kind != NULL ? varve_media_of_name(kind) : NULL;
    if (ret->media == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"kind\" must be a kind of disc, such as \"BD-R SRM\"");
    if (!take_sectors(root, "capacity_sectors", &ret->capacity))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"capacity_sectors\" must be a number below 2^32");
    ret->formatted = json_is_true(json_object_get(root, "formatted"));
    if (json_object_get(root, "spare_sectors") != NULL &&
        (!take_sectors(root, "spare_sectors", &ret->spares) || ret->spares > ret->capacity))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"spare_sectors\" must be a number up to \"capacity_sectors\"");
    ret->closed = json_is_true(json_object_get(root, "closed"));
    if (ret->closed && !take_sectors(root, "recorded_sectors", &ret->recorded))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "\"recorded_sectors\" must be a number below 2^32");
    return parse_trouble(root, ret, err) && parse_defects(root, ret, err);
}

bool
virtual_disc_parse(const char *text, size_t size, struct virtual_disc *ret, struct varve_error *err)
{
    json_error_t why;
    struct virtual_disc disc = {0};
    json_t *root = json_loadb(text, size, 0, &why);
    if (root == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "line %d: %s", why.line, why.text);
    bool ok = parse_disc(root, &disc, err);
    json_decref(root);
    if (ok)
        *ret = disc;
    return ok;
}

bool
virtual_disc_read(const char *dir, const struct virtual_name *name, struct virtual_disc *ret,
                  struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = virtual_disc_path(dir, name, ".json");
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "disc '%s'", name->text);
    if (!varve_file_read(path, 65536, &text, err))
        return false;
    return virtual_disc_parse(varve_buffer_string(&text), text.size, ret, err) ||
           varve_error_wrap(err, "'%s'", path);
}

static bool
write_plain(const char *path, const struct varve_buffer *text, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return varve_error_system(err, errno, "create '%s'", path);
    return varve_file_pwrite(fd, text->data, text->size, 0, err);
}

static void
print_damage(struct varve_buffer *out, const struct virtual_disc *disc)
{
    if (disc->trouble != VIRTUAL_TROUBLE_NONE)
        varve_buffer_printf(out, ", \"trouble\": \"%s\"", virtual_trouble_word(disc->trouble));
    for (unsigned i = 0; i < disc->defect_count; i++) {
        const struct virtual_defect *one = &disc->defects[i];
        varve_buffer_printf(out, "%s[\"%s\", %" PRIu32 ", %" PRIu32 "]%s",
                            i == 0 ? ", \"defects\": [" : ", ", virtual_defect_word(one->kind),
                            one->first, one->last, i + 1 == disc->defect_count ? "]" : "");
    }
}

bool
virtual_disc_write(const char *dir, const struct virtual_name *name,
                   const struct virtual_disc *disc, bool durable, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = virtual_disc_path(dir, name, ".json");
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    varve_buffer_printf(&text,
                        "{\"kind\": \"%s\", \"capacity_sectors\": %" PRIu32 ", \"closed\": %s",
                        disc->media->name, disc->capacity, disc->closed ? "true" : "false");
    if (disc->formatted)
        varve_buffer_printf(&text, ", \"formatted\": true, \"spare_sectors\": %" PRIu32,
                            disc->spares);
    if (disc->closed)
        varve_buffer_printf(&text, ", \"recorded_sectors\": %" PRIu32, disc->recorded);
    print_damage(&text, disc);
    varve_buffer_printf(&text, "}\n");
    if (path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "disc '%s'", name->text);
    if (!varve_buffer_ok(&text, err))
        return false;
    if (durable)
        return varve_file_replace(path, text.data, text.size, err);
    return write_plain(path, &text, err);
}

/* What a power cut left of the last block is no data: a drive goes on at the next whole one. */
static bool
settle_open_image(struct virtual_drive *drive)
{
    struct stat st;
    if (fstat(drive->image, &st) != 0)
        return false;
    uint64_t block_bytes = (uint64_t)drive->disc.media->block_sectors * VARVE_SECTOR_BYTES;
    uint64_t blocks = (uint64_t)st.st_size / block_bytes;
    if (blocks * block_bytes / VARVE_SECTOR_BYTES > drive->disc.capacity)
        return false;
    drive->next = (uint32_t)(blocks * block_bytes / VARVE_SECTOR_BYTES);
    if (drive->disc.media->model == VARVE_MEDIA_OVERWRITE)
        return true;
    if ((uint64_t)st.st_size != blocks * block_bytes)
        return ftruncate(drive->image, (off_t)(blocks * block_bytes)) == 0;
    return true;
}

static bool
open_image(struct virtual_drive *drive)
{
    const char *dir = drive->device.library->dir;
    VARVE_CLEANUP_FREE char *path = virtual_disc_path(dir, &drive->name, ".img");
    if (path == NULL)
        return false;
    drive->next = 0;
    drive->image = open(path, (drive->disc.closed ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (drive->image < 0)
        return errno == ENOENT && !drive->disc.closed; /* nothing written yet */
    return drive->disc.closed || settle_open_image(drive);
}

void
virtual_drive_insert(struct virtual_drive *drive, const struct varve_barcode *barcode, bool side_b)
{
    struct varve_error ignored = {0}; /* told as "incompatible medium", as hardware would */
    drive->loaded = true;
    drive->tray_open = false;
    drive->barcode = *barcode;
    drive->side_b = side_b;
    drive->name = virtual_name_of(barcode, side_b);
    virtual_begin_spin_up(drive);
    drive->closing = drive->writes = 0;
    drive->reserved = 0;
    drive->disc = (struct virtual_disc){.media = drive->device.library->media};
    drive->unknown =
        !virtual_disc_read(drive->device.library->dir, &drive->name, &drive->disc, &ignored) ||
        !open_image(drive);
    drive->unseen = drive->disc.trouble == VIRTUAL_TROUBLE_UNSEEN;
    if (drive->unseen) { /* the next time it lies better */
        drive->disc.trouble = VIRTUAL_TROUBLE_NONE;
        (void)!virtual_disc_write(drive->device.library->dir, &drive->name, &drive->disc, true,
                                  &ignored);
        return;
    }
    if (!virtual_has(&drive->device, VARVE_VIRTUAL_NO_ATTENTION))
        virtual_attend(&drive->device, 0x28, 0x00);
}

void
virtual_drive_remove(struct virtual_drive *drive)
{
    if (drive->image >= 0)
        (void)close(drive->image); /* synced when the host asked for it */
    drive->image = -1;
    drive->loaded = false;
    drive->unknown = drive->unseen = false;
    drive->tray_open = false;
    drive->becoming_ready = drive->closing = 0;
    drive->ready_at_ns = drive->burned_at_ns = drive->done_at_ns = 0;
    drive->head = 0;
}
