/* The figures that are printed, and which of them are claimed. */
#ifndef POLICY_FIGURES_H
#define POLICY_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samples.h"

#define FIGURES 7u

/* The figures of one kind of samples. */
struct figures {
    struct summary summary;
    double clock_ns; /* what reading the clock adds to each of them */
    size_t dropped;  /* samples that found no room */
};

/* Sorts the samples; each covers `calls` calls and contains the clock once. */
struct figures figures_of(struct samples *samples, uint64_t calls, double clock_ns);

/* One after the other, the names as in JSON. */
const char *figure_name(size_t index);
double figure_ns(const struct figures *figures, size_t index);

/* A figure is claimed when reading the clock is at most a tenth of it. Otherwise it is an upper
   bound: the call took no longer, and perhaps much less. */
bool figure_is_bound(const struct figures *figures, size_t index);

#endif
