/* SPDX-License-Identifier: Apache-2.0 */
/* Images and devices, sorted into sets. */
#include "recover_internal.h"

#include <inttypes.h>
#include <string.h>
#include <varve/text.h>

static bool
open_input(struct input *input, const char *path, struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_file_close) struct varve_image_file *file = NULL;
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    if (!varve_image_file_open(path, &file, err))
        return false;
    const struct varve_cluster_source *source = varve_image_file_source(file);
    if (!varve_disc_open(source, &disc, err)) {
        (void)varve_error_wrap(err, "'%s'", path);
        if (err->kind == VARVE_ERROR_WRONG_DISC)
            (void)varve_error_hint(err,
                                   "if it is a badly damaged disc of a set, say which one it "
                                   "is: --as INDEX=%s",
                                   path);
        return false;
    }
    *input = (struct input){.path = path, .identity = *varve_disc_identity(disc)};
    uint64_t wanted = varve_disc_map(disc)->clusters;
    if (source->clusters < wanted)
        tell("'%s' is cut off: it has %" PRIu64 " of %" PRIu64 " clusters", path, source->clusters,
             wanted);
    input->file = VARVE_TAKE(file);
    return true;
}

static struct disc_set *
find_set(struct discs *discs, const struct varve_disc_identity *identity)
{
    for (unsigned i = 0; i < discs->set_count; i++) {
        const struct varve_disc_identity *set = varve_recovery_set(discs->sets[i].recovery);
        if (varve_uuid_equal(&set->set, &identity->set))
            return &discs->sets[i];
    }
    struct disc_set *fresh = &discs->sets[discs->set_count];
    fresh->recovery = varve_recovery_new();
    return fresh->recovery != NULL ? fresh : NULL;
}

static bool
add_input(struct discs *discs, const struct input *input, struct varve_error *err)
{
    struct disc_set *set = find_set(discs, &input->identity);
    if (set == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", input->path);
    bool is_new = set == &discs->sets[discs->set_count];
    if (!varve_recovery_add(set->recovery, input->path, varve_image_file_source(input->file),
                            err)) {
        if (is_new) {
            varve_recovery_free(set->recovery);
            set->recovery = NULL;
        }
        return false;
    }
    discs->set_count += is_new;
    set->inputs[input->identity.index] = input;
    return true;
}

/* "INDEX=IMAGE": nothing in the image tells what it is. */
static bool
add_as(struct discs *discs, const char *text, struct varve_error *err)
{
    char index_text[8];
    uint64_t index;
    size_t digits = strcspn(text, "=");
    if (text[digits] != '=' || digits >= sizeof index_text)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "--as '%s' is not INDEX=IMAGE", text);
    (void)snprintf(index_text, sizeof index_text, "%.*s", (int)digits, text);
    if (!varve_text_parse_number(index_text, VARVE_SET_DISCS_MAX - 1, &index, err))
        return varve_error_wrap(err, "--as '%s'", text);
    if (discs->set_count != 1)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "--as needs other discs of its set, and of no other set");
    struct input *input = &discs->inputs[discs->input_count];
    *input = (struct input){.path = text + digits + 1};
    if (!varve_image_file_open(input->path, &input->file, err))
        return false;
    discs->input_count++;
    struct disc_set *set = &discs->sets[0];
    if (!varve_recovery_add_as(set->recovery, input->path, (uint32_t)index,
                               varve_image_file_source(input->file), err))
        return false;
    set->inputs[index] = input;
    return true;
}

bool
discs_open(const struct options *options, struct discs *ret, struct varve_error *err)
{
    size_t max = options->image_count + options->as_count;
    *ret = (struct discs){.inputs = calloc(max + 1, sizeof *ret->inputs),
                          .sets = calloc(max + 1, sizeof *ret->sets)};
    if (ret->inputs == NULL || ret->sets == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "discs");
    for (unsigned i = 0; i < options->image_count; i++) {
        struct input *input = &ret->inputs[ret->input_count];
        struct varve_error one = {0};
        bool opened = open_input(input, options->images[i], &one);
        ret->input_count += opened;
        if (opened && add_input(ret, input, &one))
            continue;
        tell("%s", one.text);
        ret->refused = true;
    }
    if (ret->set_count == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "no disc is left to work with");
    for (unsigned i = 0; i < options->as_count; i++) {
        if (!add_as(ret, options->as[i], err))
            return false;
    }
    return true;
}

void
discs_close(struct discs *discs)
{
    for (unsigned i = 0; i < discs->set_count; i++)
        varve_recovery_free(discs->sets[i].recovery);
    for (unsigned i = 0; i < discs->input_count; i++)
        varve_image_file_close(discs->inputs[i].file);
    free(discs->sets);
    free(discs->inputs);
}

const char *
disc_text(const struct disc_set *set, uint32_t index, char ret[DISC_TEXT_BYTES])
{
    const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
    (void)snprintf(ret, DISC_TEXT_BYTES, "disc %" PRIu32 " of set %" PRIu64 " (%s)", index,
                   identity->set_number,
                   set->inputs[index] != NULL ? set->inputs[index]->path : "not given");
    return ret;
}

bool
read_unrepaired(const struct disc_set *set, uint32_t index, uint64_t cluster,
                uint8_t ret[VARVE_CLUSTER_BYTES])
{
    struct varve_error ignored = {0}; /* why the set cannot repair it was told already */
    if (set->inputs[index] == NULL)
        return false;
    const struct varve_cluster_source *raw = varve_image_file_source(set->inputs[index]->file);
    return cluster < raw->clusters && raw->read(raw->context, cluster, ret, &ignored);
}

bool
piece_reader_aim(struct piece_reader *reader, const struct disc_set *set, uint32_t index,
                 struct varve_error *err)
{
    if (reader->set == set && reader->index == index)
        return true;
    reader->set = NULL;
    reader->cluster = UINT64_MAX;
    if (!varve_recovery_source(set->recovery, index, &reader->source, err))
        return false;
    reader->set = set;
    reader->index = index;
    return true;
}

bool
piece_reader_next(struct piece_reader *reader, uint64_t offset, uint64_t max, const uint8_t **ret,
                  size_t *ret_size, struct varve_error *ret_doubt)
{
    uint64_t cluster = offset / VARVE_CLUSTER_BYTES;
    size_t skip = (size_t)(offset % VARVE_CLUSTER_BYTES);
    if (reader->cluster != cluster) {
        reader->cluster = UINT64_MAX;
        reader->doubt = (struct varve_error){0};
        if (!reader->source->read(reader->source->context, cluster, reader->bytes,
                                  &reader->doubt) &&
            !read_unrepaired(reader->set, reader->index, cluster, reader->bytes)) {
            *ret_doubt = reader->doubt;
            return false;
        }
        reader->cluster = cluster;
    }
    if (reader->doubt.kind != VARVE_ERROR_NONE)
        *ret_doubt = reader->doubt;
    size_t left = VARVE_CLUSTER_BYTES - skip;
    *ret = reader->bytes + skip;
    *ret_size = max < left ? (size_t)max : left;
    return true;
}
