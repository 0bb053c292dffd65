/* sync_shim.h - the ioctl by which syncfs(2) reaches lossyfs. */
#ifndef SYNC_SHIM_H
#define SYNC_SHIM_H

#include <sys/ioctl.h>

#define LOSSY_SYNCFS _IO('V', 1)

#endif
