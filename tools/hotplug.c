/* SPDX-License-Identifier: Apache-2.0 */
#include "hotplug.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <varve/log.h>

#define SETTLE_MS 500  /* a library comes as a burst of devices */
#define BURST_MAX 100u /* then it is looked at all the same */

struct hotplug {
    struct varve_config *config;
    struct varve_engine *engine;
    struct varve_device_monitor *monitor;
    struct hotplug_place *places;
    size_t place_count;
    int stop; /* eventfd */
    pthread_t thread;
    bool runs;
};

static bool
is_of_this_machine(const char *place)
{
    return strncmp(place, "iscsi://", 8) != 0;
}

static void
add_place(struct hotplug *hotplug, const struct varve_config_library *library, int drive,
          const char *place)
{
    if (is_of_this_machine(place))
        hotplug->places[hotplug->place_count++] =
            (struct hotplug_place){.library = library->name, .drive = drive, .place = place};
}

static bool
list_places(struct hotplug *hotplug, struct varve_error *err)
{
    size_t max = 0;
    for (size_t i = 0; i < hotplug->config->library_count; i++)
        max += 1 + hotplug->config->libraries[i].drives.count;
    hotplug->places = calloc(max + 1, sizeof *hotplug->places);
    if (hotplug->places == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "watch the devices of the libraries");
    for (size_t i = 0; i < hotplug->config->library_count; i++) {
        const struct varve_config_library *library = &hotplug->config->libraries[i];
        if (library->kind != VARVE_LIBRARY_SCSI)
            continue;
        add_place(hotplug, library, -1, library->changer);
        for (size_t k = 0; k < library->drives.count; k++)
            add_place(hotplug, library, (int)k, library->drives.words[k]);
    }
    return true;
}

/* The first command after a re-plug finds the dead link, the second one the device, which then
 * answers "nexus lost" (ports.h): that is why the library reads everything anew. */
static void
read_inventory(struct hotplug *hotplug, const char *library)
{
    struct varve_element *elements = NULL;
    size_t count;
    struct varve_error err = {0};
    for (unsigned tries = 0; tries < 2; tries++) {
        err = (struct varve_error){0};
        bool ok = varve_engine_inventory(hotplug->engine, library, true, &elements, &count, &err);
        free(elements);
        if (ok)
            return;
        elements = NULL;
    }
    varve_log(VARVE_LOG_WARNING, "library '%s': read the inventory after it came back: %s", library,
              err.text);
}

static void
look(struct hotplug *hotplug, bool quietly)
{
    VARVE_CLEANUP_DEVICES struct varve_devices devices = {0};
    struct varve_error err = {0};
    if (!varve_devices_scan(&devices, &err)) {
        varve_log(VARVE_LOG_WARNING, "look for devices of the libraries: %s", err.text);
        return;
    }
    for (size_t i = 0; i < hotplug->place_count; i++) {
        struct hotplug_place *place = &hotplug->places[i];
        enum hotplug_change change = hotplug_update(place, &devices);
        char text[HOTPLUG_TEXT_BYTES];
        if (quietly || change == HOTPLUG_SAME)
            continue;
        varve_log(change == HOTPLUG_GONE ? VARVE_LOG_WARNING : VARVE_LOG_NOTICE, "%s",
                  hotplug_text(place, change, text));
        if (change == HOTPLUG_GONE)
            continue;
        if (place->drive < 0)
            read_inventory(hotplug, place->library);
        else
            varve_engine_library_retry(hotplug->engine, place->library);
    }
}

/* True: something happened, and then nothing for a while. False: stop. */
static bool
wait_for_events(struct hotplug *hotplug)
{
    struct pollfd fds[] = {{.fd = hotplug->stop, .events = POLLIN},
                           {.fd = varve_device_monitor_fd(hotplug->monitor), .events = POLLIN}};
    int timeout_ms = -1;
    for (unsigned burst = 0; burst < BURST_MAX; burst++) {
        int ready = poll(fds, 2, timeout_ms);
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready > 0 && fds[0].revents != 0)
            return false;
        if (ready == 0)
            return true;
        struct varve_device_event event;
        while (varve_device_monitor_next(hotplug->monitor, &event))
            timeout_ms = SETTLE_MS;
    }
    return true;
}

static void *
run(void *context)
{
    struct hotplug *hotplug = context;
    while (wait_for_events(hotplug))
        look(hotplug, false);
    return NULL;
}

bool
hotplug_start(const char *dir, struct varve_engine *engine, struct hotplug **ret,
              struct varve_error *err)
{
    VARVE_CLEANUP(hotplug_stop) struct hotplug *made = calloc(1, sizeof *made);
    if (made == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "watch the devices of the libraries");
    made->engine = engine;
    made->stop = eventfd(0, EFD_CLOEXEC);
    if (made->stop < 0)
        return varve_error_system(err, errno, "watch the devices of the libraries");
    if (!varve_config_load(dir, &made->config, err) || !list_places(made, err))
        return false;
    struct varve_error none = {0};
    if (made->place_count == 0 || !varve_device_monitor_new(&made->monitor, &none)) {
        if (made->place_count > 0)
            varve_log(VARVE_LOG_INFO, "plugging in and out is not seen here: %s", none.text);
        *ret = NULL;
        return true;
    }
    look(made, true);
    int failed = pthread_create(&made->thread, NULL, run, made);
    if (failed != 0)
        return varve_error_system(err, failed, "start a thread");
    made->runs = true;
    *ret = VARVE_TAKE(made);
    return true;
}

void
hotplug_stop(struct hotplug *hotplug)
{
    if (hotplug == NULL)
        return;
    if (hotplug->runs) {
        const uint64_t one = 1;
        VARVE_IGNORE(write(hotplug->stop, &one, sizeof one)); /* to an eventfd it cannot fail */
        (void)pthread_join(hotplug->thread, NULL);
    }
    varve_device_monitor_free(hotplug->monitor);
    if (hotplug->stop >= 0)
        (void)close(hotplug->stop);
    free(hotplug->places);
    varve_config_free(hotplug->config);
    free(hotplug);
}
