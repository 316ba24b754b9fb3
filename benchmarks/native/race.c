/* Times calls of one function from inside C, so that nothing of Python is in the figure.
 * Compiled by contenders.py as a shared library. */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef void (*act_function)(const float *observation, void *action);

int64_t race(act_function act, const float *observations, size_t rows, size_t size, int64_t calls,
    void *action);

/* Nanoseconds of *calls* calls on the rows of [rows, size] observations in turn; rows must be a
 * power of two. */
int64_t race(act_function act, const float *observations, size_t rows, size_t size, int64_t calls,
    void *action)
{
    struct timespec start;
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (int64_t call = 0; call < calls; call++) {
        act(&observations[((size_t)call & (rows - 1U)) * size], action);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    return ((int64_t)(end.tv_sec - start.tv_sec) * 1000000000) + (end.tv_nsec - start.tv_nsec);
}
