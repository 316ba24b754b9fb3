/* Every sample is kept, in memory that is there before the first one is taken. */
#ifndef POLICY_SAMPLES_H
#define POLICY_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct samples {
    uint64_t *values_ns; /* in the order in which they were taken, until they are summarised */
    size_t count;
    size_t room;
    size_t dropped; /* found no room */
};

/* What a set of samples comes to; percentiles by nearest rank. */
struct summary {
    size_t count;
    double min_ns;
    double mean_ns;
    double p50_ns;
    double p90_ns;
    double p99_ns;
    double p99_9_ns;
    double max_ns;
};

/* False, after a sentence on standard error, when there is no memory for them. */
bool samples_reserve(struct samples *samples, size_t room);
void samples_free(struct samples *samples);

/* Where there is no room left, the sample is only counted. */
void samples_add(struct samples *samples, uint64_t value_ns);

/* Sorts the samples. Every value is divided by `calls`, the calls that one sample covers. */
struct summary samples_summary(struct samples *samples, uint64_t calls);

#endif
