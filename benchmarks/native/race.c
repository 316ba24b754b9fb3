/* Times calls of one function from inside C, so that nothing of Python is in the figure.
 * Compiled by contenders.py as a shared library. */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef void (*act_function)(const float *observation, void *action);

int64_t race(act_function act, const float *observations, size_t rows, size_t size, int64_t calls,
    void *action);

/* Numbers from Knuth and Lewis: every value once in 2^32 calls, the high bits well mixed. */
#define MULTIPLIER 1664525U
#define INCREMENT 1013904223U

/* Nanoseconds of *calls* calls on rows of [rows, size] observations, in a random order that is the
 * same every time. Rows in turn would teach the branch predictor a few dozen answers by heart,
 * which no vehicle does. */
int64_t race(act_function act, const float *observations, size_t rows, size_t size, int64_t calls,
    void *action)
{
    struct timespec start;
    struct timespec end;
    uint32_t random = 1U;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (int64_t call = 0; call < calls; call++) {
        const size_t row = (size_t)(((uint64_t)random * rows) >> 32);
        act(&observations[row * size], action);
        random = (random * MULTIPLIER) + INCREMENT;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    return ((int64_t)(end.tv_sec - start.tv_sec) * 1000000000) + (end.tv_nsec - start.tv_nsec);
}
