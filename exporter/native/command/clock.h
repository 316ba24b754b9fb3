/* Time in whole nanoseconds on the monotonic clock. */
#ifndef POLICY_CLOCK_H
#define POLICY_CLOCK_H

#include <stdint.h>

uint64_t now_ns(void);
uint64_t clock_resolution_ns(void);

/* Sleep until an absolute time; returns at once when it has passed. */
void sleep_until_ns(uint64_t time_ns);

#endif
