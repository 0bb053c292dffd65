/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/disc.h>

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <varve/file.h>

struct varve_image_file {
    struct varve_cluster_source source;
    char *path;
    int fd;
};

static bool
read_cluster(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
             struct varve_error *err)
{
    struct varve_image_file *file = context;
    if (cluster >= file->source.clusters)
        return varve_error_set(err, VARVE_ERROR_MEDIUM, 0, "'%s' ends before cluster %" PRIu64,
                               file->path, cluster);
    if (varve_file_pread(file->fd, ret, VARVE_CLUSTER_BYTES, cluster * VARVE_CLUSTER_BYTES, err))
        return true;
    /* Whatever the kernel says of a device, to the caller it is one unreadable cluster. */
    err->kind = VARVE_ERROR_MEDIUM;
    return varve_error_wrap(err, "'%s', cluster %" PRIu64, file->path, cluster);
}

bool
varve_image_file_open(const char *path, struct varve_image_file **ret, struct varve_error *err)
{
    VARVE_CLEANUP(varve_image_file_close)
    struct varve_image_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open '%s'", path);
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0)
        return varve_error_system(err, errno, "open '%s'", path);
    off_t bytes = lseek(file->fd, 0, SEEK_END); /* fstat says 0 for a device */
    if (bytes < 0)
        return varve_error_system(err, errno, "size of '%s'", path);
    file->path = strdup(path);
    if (file->path == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open '%s'", path);
    file->source = (struct varve_cluster_source){
        .context = file, .clusters = (uint64_t)bytes / VARVE_CLUSTER_BYTES, .read = read_cluster};
    *ret = VARVE_TAKE(file);
    return true;
}

void
varve_image_file_close(struct varve_image_file *file)
{
    if (file == NULL)
        return;
    if (file->fd >= 0)
        (void)close(file->fd); /* only read from */
    free(file->path);
    free(file);
}

const struct varve_cluster_source *
varve_image_file_source(const struct varve_image_file *file)
{
    return &file->source;
}
