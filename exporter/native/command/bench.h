/* The two ways to measure latency; both call the policy as a control loop would. */
#ifndef POLICY_BENCH_H
#define POLICY_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samples.h"

/* Samples kept per distribution: 8 MiB each. */
#define SAMPLES_MOST ((size_t)1 << 20)

/* Valid golden observations, given to the policy in turn. */
struct workload {
    const float *observations;
    size_t count;
    size_t next;
    uint32_t checksum; /* of the actions: what is computed is used */
};

struct timer {
    struct summary cost; /* of reading the clock twice in a row */
    uint64_t resolution_ns;
    uint64_t step_ns; /* smallest difference seen that is not 0 */
};

struct back_to_back {
    uint64_t calls_per_block;
    uint64_t duration_ns;
    struct summary block;  /* mean latency of the calls of a block; fit for the median */
    struct summary single; /* each call on its own, timer included; fit for the tail */
};

struct paced {
    uint64_t period_ns;
    uint64_t duration_ns;
    size_t deadline_misses;   /* the action came after the next intended start */
    struct summary latency;   /* from the intended start to the action */
    struct summary wakeup;    /* from the intended start to the start */
    struct summary inference; /* from the start to the action */
};

/* The golden observations that are valid; all of them when none is. */
struct workload workload_from_golden(void);

/* False, after a sentence on standard error, when memory is short. */
bool measure_timer(struct timer *timer);
bool measure_back_to_back(struct back_to_back *result, struct workload *workload, double seconds,
                          const struct timer *timer);
bool measure_paced(struct paced *result, struct workload *workload, double seconds, double rate_hz);

#endif
