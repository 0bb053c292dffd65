/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a device open: a drive that udisks, blkid or cdrom_id looks into answers EBUSY, 5/2C/00
 * or 5/53/02 (reference 6, fault 29), and only a name helps the operator. */
#include <varve/devices.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define PROCESSES_MAX 200000u
#define DESCRIPTORS_MAX 65536u /* of one process */
#define MOUNTS_MAX 20000u

struct node {
    const char *path;
    dev_t number;
    mode_t type;
};
struct search {
    struct node nodes[3];
    size_t node_count;
    struct varve_device_holder *ret;
    size_t count, max;
};

static void
add_node(struct search *search, const char *path)
{
    struct stat info;
    if (path[0] == 0 || stat(path, &info) != 0 || !(S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)))
        return;
    search->nodes[search->node_count++] =
        (struct node){.path = path, .number = info.st_rdev, .type = info.st_mode & S_IFMT};
}

static void
add_holder(struct search *search, int64_t pid, const char *what, const char *node)
{
    if (search->count == search->max)
        return;
    struct varve_device_holder *holder = &search->ret[search->count++];
    holder->pid = pid;
    (void)snprintf(holder->what, sizeof holder->what, "%s", what);
    (void)snprintf(holder->node, sizeof holder->node, "%s", node);
}

static void
read_program(int64_t pid, char ret[64])
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
    VARVE_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, ret, 63);
    size_t used = 0;
    while (got > 0 && used < (size_t)got && isprint((unsigned char)ret[used]))
        used++;
    (void)snprintf(ret + used, 64 - used, "%s", used == 0 ? "a program" : "");
}

/* One line for a process, whatever number of descriptors it has. */
static void
look_at_process(struct search *search, int64_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%lld/fd", (long long)pid);
    VARVE_CLEANUP_DIR DIR *dir = opendir(path); /* another user's: not for us to see */
    const struct dirent *entry;
    for (unsigned i = 0; dir != NULL && i < DESCRIPTORS_MAX && (entry = readdir(dir)) != NULL;
         i++) {
        struct stat info;
        if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &info, 0) != 0)
            continue;
        for (size_t n = 0; n < search->node_count; n++) {
            const struct node *node = &search->nodes[n];
            if (info.st_rdev != node->number || (info.st_mode & S_IFMT) != node->type)
                continue;
            char program[64];
            read_program(pid, program);
            add_holder(search, pid, program, node->path);
            return;
        }
    }
}

static void
look_at_processes(struct search *search)
{
    VARVE_CLEANUP_DIR DIR *dir = opendir("/proc");
    const struct dirent *entry;
    for (unsigned i = 0; dir != NULL && i < PROCESSES_MAX && (entry = readdir(dir)) != NULL; i++) {
        char *end;
        long long pid = strtoll(entry->d_name, &end, 10);
        if (*end == 0 && pid > 0 && pid != getpid())
            look_at_process(search, pid);
    }
}

/* proc(5), mountinfo: "36 35 11:0 / /media/x ..." */
static void
look_at_mounts(struct search *search)
{
    VARVE_CLEANUP_STREAM FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char line[4096];
    for (unsigned i = 0; mounts != NULL && i < MOUNTS_MAX && fgets(line, sizeof line, mounts);
         i++) {
        unsigned major, minor;
        char where[48];
        if (sscanf(line, "%*u %*u %u:%u %*s %47s", &major, &minor, where) != 3)
            continue;
        for (size_t n = 0; n < search->node_count; n++) {
            char what[64];
            if (search->nodes[n].type != S_IFBLK ||
                search->nodes[n].number != makedev(major, minor))
                continue;
            (void)snprintf(what, sizeof what, "mounted at %s", where);
            add_holder(search, 0, what, search->nodes[n].path);
        }
    }
}

size_t
varve_device_holders(const struct varve_device *device, struct varve_device_holder *ret, size_t max)
{
    struct search search = {.ret = ret, .max = max};
    add_node(&search, device->sg);
    add_node(&search, device->block);
    add_node(&search, device->changer);
    if (search.node_count > 0) {
        look_at_mounts(&search);
        look_at_processes(&search);
    }
    return search.count;
}

void
varve_device_holders_text(const struct varve_device *device, char ret[VARVE_DEVICE_HOLDERS_BYTES])
{
    struct varve_device_holder holders[4];
    size_t count = varve_device_holders(device, holders, 4);
    size_t used = 0;
    ret[0] = 0;
    for (size_t i = 0; i < count && used < VARVE_DEVICE_HOLDERS_BYTES; i++) {
        const struct varve_device_holder *holder = &holders[i];
        size_t left = VARVE_DEVICE_HOLDERS_BYTES - used;
        int length =
            holder->pid == 0
                ? snprintf(ret + used, left, "%s%s is %s", i > 0 ? ", " : "", holder->node,
                           holder->what)
                : snprintf(ret + used, left, "%s%s (process %lld) has %s open", i > 0 ? ", " : "",
                           holder->what, (long long)holder->pid, holder->node);
        used += length > 0 ? (size_t)length : 0;
    }
}
