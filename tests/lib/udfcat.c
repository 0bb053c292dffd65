/* SPDX-License-Identifier: Apache-2.0 */
/* udfcat IMAGE: every regular file of a UDF image as libudfread (VLC, Kodi, mpv) sees it, one line
 * each in the format of sha256sum. A judge that shares no code with the writer. */
#include <stdio.h>
#include <string.h>
#include <udfread/udfread.h>
#include <varve/buffer.h>
#include <varve/checksum.h>

static bool
hash_file(UDFDIR *dir, const char *name, const char *path)
{
    VARVE_CLEANUP(varve_sha256_free) struct varve_sha256 *sha = NULL;
    struct varve_error err;
    struct varve_digest digest;
    static uint8_t chunk[1 << 20];
    char hex[VARVE_SHA256_HEX_BYTES];
    ssize_t got = -1;
    UDFFILE *file = udfread_file_openat(dir, name);
    if (file == NULL || !varve_sha256_new(&sha, &err)) {
        (void)fprintf(stderr, "udfcat: cannot open '%s'\n", path);
        udfread_file_close(file);
        return false;
    }
    while ((got = udfread_file_read(file, chunk, sizeof chunk)) > 0)
        varve_sha256_update(sha, chunk, (size_t)got);
    udfread_file_close(file);
    if (got < 0) {
        (void)fprintf(stderr, "udfcat: cannot read '%s'\n", path);
        return false;
    }
    varve_sha256_final(sha, &digest);
    varve_digest_format(&digest, hex);
    (void)printf("%s  %s\n", hex, path);
    return true;
}

/* libudfread 1.1.2 writes each half of a surrogate pair as three bytes of its own (CESU-8); joined
 * here into the four bytes of UTF-8. */
static void
append_name(struct varve_buffer *path, const char *name)
{
    const uint8_t *at = (const uint8_t *)name;
    for (; *at != 0; at++) {
        if (at[0] != 0xED || (at[1] & 0xF0) != 0xA0 || at[2] == 0 || at[3] != 0xED ||
            (at[4] & 0xF0) != 0xB0) {
            varve_buffer_append(path, at, 1);
            continue;
        }
        uint32_t high = (at[1] & 0x0Fu) << 6 | (at[2] & 0x3Fu);
        uint32_t low = (at[4] & 0x0Fu) << 6 | (at[5] & 0x3Fu);
        uint32_t point = 0x10000 + (high << 10 | low);
        uint8_t four[4] = {(uint8_t)(0xF0 | point >> 18), (uint8_t)(0x80 | (point >> 12 & 0x3F)),
                           (uint8_t)(0x80 | (point >> 6 & 0x3F)), (uint8_t)(0x80 | (point & 0x3F))};
        varve_buffer_append(path, four, sizeof four);
        at += 5;
    }
}

/* Recursion is bounded by the depth of a tree that the test itself has made. */
static bool
walk(UDFDIR *dir, const char *prefix)
{
    struct udfread_dirent entry;
    bool good = true;
    while (udfread_readdir(dir, &entry) != NULL) {
        VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
        if (strcmp(entry.d_name, ".") == 0 || strcmp(entry.d_name, "..") == 0)
            continue;
        varve_buffer_text(&path, prefix);
        append_name(&path, entry.d_name);
        if (entry.d_type == UDF_DT_REG) {
            good = hash_file(dir, entry.d_name, varve_buffer_string(&path)) && good;
            continue;
        }
        UDFDIR *below = udfread_opendir_at(dir, entry.d_name);
        varve_buffer_text(&path, "/");
        good = below != NULL && walk(below, varve_buffer_string(&path)) && good;
        udfread_closedir(below);
    }
    return good;
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fputs("usage: udfcat IMAGE\n", stderr);
        return 2;
    }
    udfread *udf = udfread_init();
    if (udf == NULL || udfread_open(udf, argv[1]) < 0) {
        (void)fprintf(stderr, "udfcat: '%s' is no UDF image\n", argv[1]);
        return 1;
    }
    UDFDIR *root = udfread_opendir(udf, "/");
    bool good = root != NULL && walk(root, "");
    udfread_closedir(root);
    udfread_close(udf);
    return good ? 0 : 1;
}
