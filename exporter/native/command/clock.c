#include "clock.h"

#include <errno.h>
#include <time.h>

#define SECOND_NS 1000000000u

uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock and pointer cannot fail */
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t clock_resolution_ns(void)
{
    struct timespec resolution;
    (void)clock_getres(CLOCK_MONOTONIC, &resolution);
    return (uint64_t)resolution.tv_sec * SECOND_NS + (uint64_t)resolution.tv_nsec;
}

void sleep_until_ns(uint64_t time_ns)
{
    struct timespec until;
    until.tv_sec = (time_t)(time_ns / SECOND_NS);
    until.tv_nsec = (long)(time_ns % SECOND_NS);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}
