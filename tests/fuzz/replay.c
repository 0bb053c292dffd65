/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every file of the folders or files named as arguments through the fuzz target it is linked
 * with: the corpus as an ordinary test, without libFuzzer. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <varve/file.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_BYTES_MAX (UINT64_C(16) << 20)

static bool
replay_file(const char *path, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer bytes = {0};
    if (!varve_file_read(path, FILE_BYTES_MAX, &bytes, err))
        return false;
    /* Exactly as long as the input: the sanitizer sees the first byte read behind it. */
    VARVE_CLEANUP_FREE uint8_t *exact = malloc(bytes.size + (bytes.size == 0));
    if (exact == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", path);
    if (bytes.size > 0)
        memcpy(exact, bytes.data, bytes.size);
    (void)LLVMFuzzerTestOneInput(exact, bytes.size); /* always 0 */
    return true;
}

static bool
replay(const char *path, unsigned *count, struct varve_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return varve_error_system(err, errno, "'%s'", path);
    if (!S_ISDIR(st.st_mode)) {
        ++*count;
        return replay_file(path, err);
    }
    VARVE_CLEANUP_DIR DIR *dir = opendir(path);
    if (dir == NULL)
        return varve_error_system(err, errno, "'%s'", path);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        VARVE_CLEANUP_FREE char *inner = varve_file_join(path, entry->d_name);
        if (inner == NULL)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", path);
        ++*count;
        if (!replay_file(inner, err))
            return false;
    }
    return true;
}

int
main(int argc, char **argv)
{
    unsigned count = 0;
    struct varve_error err = {0};
    for (int i = 1; i < argc; i++) {
        if (!replay(argv[i], &count, &err)) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
    }
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
