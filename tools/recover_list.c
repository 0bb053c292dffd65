/* SPDX-License-Identifier: Apache-2.0 */
/* list: which discs these are, which are missing, and the files on them. */
#include "recover_internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/text.h>

/* With the label that is on the disc, so that a missing one can be looked for. */
static void
print_disc(const struct disc_set *set, uint32_t index)
{
    const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
    struct varve_disc_map map = {0};
    char label[LABEL_BYTES], size[VARVE_TEXT_BYTES], uuid[VARVE_UUID_TEXT_BYTES] = "";
    bool known = varve_recovery_map(set->recovery, index, &map);
    make_label(identity, index, label);
    printf("  disc %3" PRIu32 "  %-6s  ", index, index < identity->data_discs ? "data" : "parity");
    print_name(stdout, label);
    printf("  %10s  ", known ? varve_text_bytes(map.clusters * VARVE_CLUSTER_BYTES, size) : "?");
    if (set->inputs[index] != NULL)
        varve_uuid_format(&set->inputs[index]->identity.disc, uuid);
    print_name(stdout, set->inputs[index] != NULL ? set->inputs[index]->path : "MISSING");
    printf("  %s\n", uuid);
}

static void
print_set(const struct disc_set *set)
{
    const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
    char uuid[VARVE_UUID_TEXT_BYTES], made[VARVE_TEXT_TIME_BYTES];
    varve_uuid_format(&identity->set, uuid);
    printf("set %" PRIu64 " of archive '", identity->set_number);
    print_name(stdout, identity->archive_name);
    printf("': %" PRIu32 "+%" PRIu32 " discs, made %s, %s\n", identity->data_discs,
           identity->parity_discs, varve_text_time(identity->created_ns, made), uuid);
    uint32_t total = identity->data_discs + identity->parity_discs, missing = 0;
    for (uint32_t i = 0; i < total; i++) {
        missing += set->inputs[i] == NULL;
        print_disc(set, i);
    }
    if (missing == 0)
        printf("  all discs of the set are here\n");
    else if (missing <= identity->parity_discs)
        printf("  %" PRIu32 " of %" PRIu32 " discs are missing; parity brings them back\n", missing,
               total);
    else
        printf("  %" PRIu32 " of %" PRIu32 " discs are missing; parity covers %" PRIu32 "\n",
               missing, total, identity->parity_discs);
}

static json_t *
describe_disc(const struct disc_set *set, uint32_t index)
{
    const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
    struct varve_disc_map map = {0};
    char label[LABEL_BYTES];
    json_t *disc = json_object();
    make_label(identity, index, label);
    json_put_text(disc, "label", label);
    (void)json_object_set_new(disc, "index", json_integer(index));
    (void)json_object_set_new(disc, "kind",
                              json_string(index < identity->data_discs ? "data" : "parity"));
    (void)json_object_set_new(disc, "present", json_boolean(set->inputs[index] != NULL));
    if (set->inputs[index] != NULL) {
        char uuid[VARVE_UUID_TEXT_BYTES];
        varve_uuid_format(&set->inputs[index]->identity.disc, uuid);
        json_put_text(disc, "image", set->inputs[index]->path);
        (void)json_object_set_new(disc, "uuid", json_string(uuid));
    }
    if (varve_recovery_map(set->recovery, index, &map))
        (void)json_object_set_new(disc, "clusters", json_integer((json_int_t)map.clusters));
    return disc;
}

static void
print_set_json(const struct disc_set *set)
{
    const struct varve_disc_identity *identity = varve_recovery_set(set->recovery);
    char uuid[VARVE_UUID_TEXT_BYTES], archive[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(&identity->set, uuid);
    varve_uuid_format(&identity->archive, archive);
    json_t *object = json_object(), *members = json_array();
    json_put_text(object, "archive_name", identity->archive_name);
    (void)json_object_set_new(object, "archive", json_string(archive));
    (void)json_object_set_new(object, "set", json_string(uuid));
    (void)json_object_set_new(object, "number", json_integer((json_int_t)identity->set_number));
    (void)json_object_set_new(object, "data_discs", json_integer(identity->data_discs));
    (void)json_object_set_new(object, "parity_discs", json_integer(identity->parity_discs));
    for (uint32_t i = 0; i < identity->data_discs + identity->parity_discs; i++)
        (void)json_array_append_new(members, describe_disc(set, i));
    (void)json_object_set_new(object, "discs", members);
    json_print(object);
}

static char
type_letter(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFIFO:
        return 'p';
    case S_IFSOCK:
        return 's';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    default:
        return '-';
    }
}

/* "12.0": set and disc of the first piece, or "-". */
static void
name_disc(const struct tree_node *node, char *ret, size_t size)
{
    (void)snprintf(ret, size, "-");
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_record *one = &node->records[i];
        if (one->record->type != VARVE_RECORD_FILE || one->record->piece_bytes == 0 ||
            one->record->content != node->newest->content)
            continue;
        (void)snprintf(ret, size, "%" PRIu64 ".%" PRIu32,
                       varve_recovery_set(one->set->recovery)->set_number, one->disc);
        return;
    }
}

static void
print_file(const struct tree_node *node, const char *path)
{
    const struct varve_record *record = node->newest;
    char made[VARVE_TEXT_TIME_BYTES], disc[48];
    name_disc(node, disc, sizeof disc);
    printf("%c%04" PRIo32 " %14" PRIu64 " %s %8s  ", type_letter(record->mode),
           record->mode & 07777u, record->size, varve_text_time(record->mtime_ns, made), disc);
    print_name(stdout, path);
    if (record->target != NULL) {
        (void)fputs(" -> ", stdout);
        print_name(stdout, record->target);
    }
    (void)putchar('\n');
}

static void
print_file_json(const struct tree_node *node, const char *path)
{
    const struct varve_record *record = node->newest;
    char mode[16], disc[48], hex[VARVE_SHA256_HEX_BYTES];
    json_t *object = json_object();
    json_put_text(object, "path", path);
    (void)json_object_set_new(object, "ino", json_integer((json_int_t)node->ino));
    (void)json_object_set_new(object, "size", json_integer((json_int_t)record->size));
    (void)snprintf(mode, sizeof mode, "%06" PRIo32, record->mode);
    (void)json_object_set_new(object, "mode", json_string(mode));
    (void)json_object_set_new(object, "mtime_ns", json_integer(record->mtime_ns));
    name_disc(node, disc, sizeof disc);
    (void)json_object_set_new(object, "disc", json_string(disc));
    if (record->target != NULL)
        json_put_text(object, "target", record->target);
    if (record->type == VARVE_RECORD_FILE && record->parts == 1 && record->piece_bytes > 0) {
        varve_digest_format(&record->digest, hex);
        (void)json_object_set_new(object, "sha256", json_string(hex));
    }
    json_print(object);
}

/* Every name of every inode that is not gone, but the root. */
static void
print_files(const struct tree *tree, bool json)
{
    bool first = true;
    for (size_t i = 0; i < tree->node_count; i++) {
        const struct tree_node *node = &tree->nodes[i];
        if (node->newest->type == VARVE_RECORD_DELETED || node->ino == VARVE_ROOT_INO)
            continue;
        for (size_t name = 0; name < node->newest->name_count; name++) {
            VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
            tree_path(tree, node, name, &path);
            if (json) {
                (void)fputs(first ? "\n" : ",\n", stdout);
                print_file_json(node, varve_buffer_string(&path));
            } else {
                print_file(node, varve_buffer_string(&path));
            }
            first = false;
        }
    }
}

int
verb_list(struct discs *discs, const struct options *options, struct varve_error *err)
{
    struct tree tree;
    if (!tree_make(discs, &tree, err)) {
        tree_done(&tree);
        return RECOVER_FAILED;
    }
    if (options->json)
        printf("{\"sets\":[");
    for (unsigned s = 0; s < discs->set_count; s++) {
        if (options->json) {
            (void)fputs(s == 0 ? "\n" : ",\n", stdout);
            print_set_json(&discs->sets[s]);
        } else {
            print_set(&discs->sets[s]);
        }
    }
    if (options->json)
        printf("],\"files\":[");
    print_files(&tree, options->json);
    if (options->json)
        printf("]}\n");
    bool good = !tree.incomplete && !discs->refused;
    tree_done(&tree);
    return good ? RECOVER_GOOD : RECOVER_BAD;
}
