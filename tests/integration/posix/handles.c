/* SPDX-License-Identifier: Apache-2.0 */
/* File handles as an NFS server keeps them (name_to_handle_at(2)): of a mount that ended, used on
 * the next one. handles save OUT PATH...    writes a handle of each path to OUT handles open MOUNT
 * OUT      opens each by its handle; prints "PATH: inode TYPE FIRST-LINE", or the errno */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HANDLE_BYTES 128

struct saved {
    char path[256];
    union {
        struct file_handle handle;
        char room[sizeof(struct file_handle) + HANDLE_BYTES];
    };
};

static int
save(const char *to, char **paths)
{
    FILE *out = fopen(to, "wb");
    if (out == NULL)
        return 1;
    for (; *paths != NULL; paths++) {
        struct saved one = {0};
        int mount_id = 0;
        (void)snprintf(one.path, sizeof one.path, "%s", *paths);
        one.handle.handle_bytes = HANDLE_BYTES;
        if (name_to_handle_at(AT_FDCWD, *paths, &one.handle, &mount_id, 0) != 0) {
            perror(*paths);
            return 1;
        }
        if (fwrite(&one, sizeof one, 1, out) != 1)
            return 1;
    }
    return fclose(out) == 0 ? 0 : 1;
}

static void
show_names(int fd)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry = NULL;
    unsigned count = 0;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        count++;
    printf(" %u names\n", count);
    if (dir != NULL)
        (void)closedir(dir);
}

static void
show(int mount_fd, struct saved *one)
{
    struct stat st;
    char text[64] = {0};
    int fd = open_by_handle_at(mount_fd, &one->handle, O_RDONLY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        printf("%s: %s\n", strrchr(one->path, '/') + 1, strerrorname_np(errno));
        return;
    }
    printf("%s: %" PRIu64 " %o", strrchr(one->path, '/') + 1, (uint64_t)st.st_ino,
           st.st_mode & S_IFMT);
    if (S_ISDIR(st.st_mode)) {
        show_names(fd); /* closes it */
        return;
    }
    if (S_ISREG(st.st_mode) && read(fd, text, sizeof text - 1) > 0)
        text[strcspn(text, "\n")] = '\0';
    printf(" %s\n", text);
    (void)close(fd);
}

static int
open_all(const char *mountpoint, const char *from)
{
    struct saved one;
    FILE *in = fopen(from, "rb");
    int mount_fd = open(mountpoint, O_RDONLY | O_DIRECTORY);
    if (in == NULL || mount_fd < 0)
        return 1;
    while (fread(&one, sizeof one, 1, in) == 1)
        show(mount_fd, &one);
    (void)fclose(in);
    (void)close(mount_fd);
    return 0;
}

int
main(int count, char **arguments)
{
    if (count >= 4 && strcmp(arguments[1], "save") == 0)
        return save(arguments[2], arguments + 3);
    if (count == 4 && strcmp(arguments[1], "open") == 0)
        return open_all(arguments[2], arguments[3]);
    (void)fprintf(stderr, "usage: handles save OUT PATH... | open MOUNT OUT\n");
    return 2;
}
