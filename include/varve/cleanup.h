/* cleanup.h - ownership that the declaration shows.
 *
 * VARVE_CLEANUP(varve_x_free) struct varve_x *x = NULL;  frees x when the scope ends;
 * VARVE_TAKE(x) hands it over. Pure macros, any thread. */
#ifndef VARVE_CLEANUP_H
#define VARVE_CLEANUP_H

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VARVE_MUST_CHECK __attribute__((warn_unused_result))
/* A result that is ignored on purpose; the reason stands beside it. */
#define VARVE_IGNORE(result)                                                                       \
    do {                                                                                           \
        if (result) {                                                                              \
        }                                                                                          \
    } while (0)
#define VARVE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Declares the helper that VARVE_CLEANUP(fn) needs. `fn` must accept NULL. */
#define VARVE_DEFINE_CLEANUP(type, fn)                                                             \
    static inline void fn##_cleanup(type **pointer)                                                \
    {                                                                                              \
        fn(*pointer);                                                                              \
    }
#define VARVE_CLEANUP(fn) __attribute__((cleanup(fn##_cleanup)))

/* Gives the value of `x` away and leaves NULL behind. */
#define VARVE_TAKE(x)                                                                              \
    ({                                                                                             \
        __typeof__(x) taken_ = (x);                                                                \
        (x) = NULL;                                                                                \
        taken_;                                                                                    \
    })

static inline void
varve_free_cleanup(void *pointer)
{
    free(*(void **)pointer);
}
#define VARVE_CLEANUP_FREE __attribute__((cleanup(varve_free_cleanup)))

static inline void
varve_fd_cleanup(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* callers that care about the result close it themselves */
}
#define VARVE_CLEANUP_FD __attribute__((cleanup(varve_fd_cleanup)))

/* Gives the file descriptor `fd` away and leaves -1 behind. */
#define VARVE_TAKE_FD(fd)                                                                          \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

static inline void
varve_dir_cleanup(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}
#define VARVE_CLEANUP_DIR __attribute__((cleanup(varve_dir_cleanup)))

static inline void
varve_stream_cleanup(FILE **stream)
{
    if (*stream != NULL)
        (void)fclose(*stream);
}
#define VARVE_CLEANUP_STREAM __attribute__((cleanup(varve_stream_cleanup)))

/* For a lock that somebody holds: looks a few microseconds long, then sleeps. */
void varve_lock_wait(pthread_mutex_t *mutex);

static inline pthread_mutex_t *
varve_lock_enter(pthread_mutex_t *mutex)
{
    if (pthread_mutex_trylock(mutex) != 0)
        varve_lock_wait(mutex);
    return mutex;
}
static inline void
varve_lock_leave(pthread_mutex_t **mutex)
{
    if (pthread_mutex_unlock(*mutex) != 0)
        abort();
}
/* Holds `mutex` until the end of the scope. One per scope. */
#define VARVE_LOCKED(mutex)                                                                        \
    pthread_mutex_t *locked_ __attribute__((cleanup(varve_lock_leave), unused)) =                  \
        varve_lock_enter(mutex)

#endif
