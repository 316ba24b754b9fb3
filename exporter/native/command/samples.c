#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool samples_reserve(struct samples *samples, size_t room)
{
    samples->count = 0;
    samples->dropped = 0;
    samples->room = room;
    samples->values_ns = malloc(room * sizeof samples->values_ns[0]);
    if (samples->values_ns == NULL) {
        fprintf(stderr,
                "policy bench: no memory for %zu samples: use fewer --seconds or a smaller "
                "--keep\n",
                room);
        return false;
    }
    /* Touch every page now: a page fault must not fall into a measurement. */
    memset(samples->values_ns, 0xff, room * sizeof samples->values_ns[0]);
    return true;
}

void samples_free(struct samples *samples)
{
    free(samples->values_ns);
    samples->values_ns = NULL;
}

void samples_add(struct samples *samples, uint64_t value_ns)
{
    if (samples->count < samples->room) {
        samples->values_ns[samples->count++] = value_ns;
    } else {
        samples->dropped++;
    }
}

static int ascending(const void *left, const void *right)
{
    uint64_t one = *(const uint64_t *)left;
    uint64_t other = *(const uint64_t *)right;
    return (one > other) - (one < other);
}

/* The smallest sample that at least `per_mille` of 1000 samples do not exceed. */
static double nearest_rank(const struct samples *samples, uint64_t per_mille)
{
    uint64_t rank = ((uint64_t)samples->count * per_mille + 999u) / 1000u;
    return (double)samples->values_ns[rank == 0 ? 0 : rank - 1];
}

struct summary samples_summary(struct samples *samples, uint64_t calls)
{
    struct summary summary;
    double each = 1.0 / (double)calls;
    double sum = 0.0;
    size_t i;

    memset(&summary, 0, sizeof summary);
    summary.count = samples->count;
    if (samples->count == 0) {
        return summary;
    }
    qsort(samples->values_ns, samples->count, sizeof samples->values_ns[0], ascending);
    for (i = 0; i < samples->count; i++) {
        sum += (double)samples->values_ns[i];
    }
    summary.min_ns = (double)samples->values_ns[0] * each;
    summary.mean_ns = sum / (double)samples->count * each;
    summary.p50_ns = nearest_rank(samples, 500) * each;
    summary.p90_ns = nearest_rank(samples, 900) * each;
    summary.p99_ns = nearest_rank(samples, 990) * each;
    summary.p99_9_ns = nearest_rank(samples, 999) * each;
    summary.max_ns = (double)samples->values_ns[samples->count - 1] * each;
    return summary;
}
