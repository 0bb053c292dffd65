/* file.h - files that survive a crash: whole reads and writes, durable replacement, locks.
 *
 * "Durable" means: after success the bytes and the name are on stable storage (fsync of the file
 * and of its directory). Any thread. Paths in errors are the ones given. */
#ifndef VARVE_FILE_H
#define VARVE_FILE_H

#include <stdint.h>
#include <sys/types.h>
#include <varve/buffer.h>

/* Reads exactly `count` bytes; CORRUPT if the file ends before. */
VARVE_MUST_CHECK bool
varve_file_pread(int fd, void *bytes, size_t count, uint64_t offset, struct varve_error *err);
VARVE_MUST_CHECK bool varve_file_pwrite(int fd, const void *bytes, size_t count, uint64_t offset,
                                        struct varve_error *err);
/* Appends the whole file to *ret; INVALID if it has more than `bytes_max`. */
VARVE_MUST_CHECK bool varve_file_read(const char *path, uint64_t bytes_max,
                                      struct varve_buffer *ret, struct varve_error *err);
/* Creates or replaces `path`, all or nothing, durable. The temporary name is path + ".new". */
VARVE_MUST_CHECK bool
varve_file_replace(const char *path, const void *bytes, size_t count, struct varve_error *err);
/* fsync(2) of a file or directory. */
VARVE_MUST_CHECK bool varve_file_sync(int fd, const char *name, struct varve_error *err);
VARVE_MUST_CHECK bool varve_file_sync_dir(const char *path, struct varve_error *err);
/* mkdir -p, durable. */
VARVE_MUST_CHECK bool varve_file_make_dirs(const char *path, mode_t mode, struct varve_error *err);
/* Copies `count` bytes (reflink, else copy_file_range(2), else read and write; holes stay holes).
 */
VARVE_MUST_CHECK bool varve_file_copy(int from, int to, uint64_t count, struct varve_error *err);
/* A file without a name on the filesystem of `dir`, open read-write: gone when it is closed. */
VARVE_MUST_CHECK bool varve_file_temporary(const char *dir, int *ret_fd, struct varve_error *err);
/* Opens and locks `path` (created if missing); the lock goes with the descriptor. BUSY names the
 * process that holds it, which varve_file_lock wrote into the file. */
VARVE_MUST_CHECK bool varve_file_lock(const char *path, int *ret_fd, struct varve_error *err);
/* "a/b" from "a" and "b", to be freed; NULL when out of memory. */
char *varve_file_join(const char *dir, const char *name);

#endif
