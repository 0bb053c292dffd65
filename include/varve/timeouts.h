/* timeouts.h - time-outs that a library's models need longer (or may have shorter) than the usual
 * ones of changer/exec.c. Plain data, any thread.
 *
 * A time-out that expires makes the kernel reset buses, which can ruin a burn in the next drive:
 * the usual ones are long (Linux ch, mtx, libburn), but mtx waits 30 minutes for what ch waits 5.
 */
#ifndef VARVE_TIMEOUTS_H
#define VARVE_TIMEOUTS_H

#define VARVE_TIMEOUTS(X)                                                                          \
    X(READY, "ready")         /* a device that counts its slots, a disc that spins up */           \
    X(MOVE, "move")           /* MOVE MEDIUM, EXCHANGE MEDIUM */                                   \
    X(INVENTORY, "inventory") /* READ and INITIALIZE ELEMENT STATUS */                             \
    X(READ, "read")                                                                                \
    X(WRITE, "write")                                                                              \
    X(CLOSE, "close") /* SYNCHRONIZE CACHE, CLOSE TRACK SESSION */
enum varve_timeout {
#define X(name, word) VARVE_TIMEOUT_##name,
    VARVE_TIMEOUTS(X)
#undef X
        VARVE_TIMEOUT_COUNT
};
/* In seconds; 0: the usual one. */
struct varve_timeouts {
    unsigned seconds[VARVE_TIMEOUT_COUNT];
};

#endif
