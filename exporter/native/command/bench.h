/* The two ways to measure latency; both call the policy as a control loop would. */
#ifndef POLICY_BENCH_H
#define POLICY_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samples.h"
#include "workload.h"

/* Samples kept of a kind unless asked otherwise: 8 MiB each. */
#define SAMPLES_KEPT 1048576u
/* And at most, when asked: 512 MiB each. */
#define SAMPLES_MOST 67108864u

struct timer {
    struct summary cost; /* of reading the clock twice in a row */
    uint64_t resolution_ns;
    uint64_t step_ns; /* smallest difference seen that is not 0 */
};

/* What to measure; 0 leaves a number to the measurement. */
struct plan {
    double seconds;
    double rate_hz;       /* of the paced mode */
    size_t keep;          /* samples of a kind, at most */
    size_t steps;         /* of the paced mode, instead of the seconds */
    size_t blocks;        /* back to back, instead of the seconds */
    uint64_t block_calls; /* calls in each block */
    size_t singles;       /* single calls after each block */
};

struct back_to_back {
    struct warm_up warm_up;
    uint64_t calls_per_block;
    uint64_t singles_per_block;
    uint64_t duration_ns;
    struct samples blocks;  /* the calls of a block together; fit for the median */
    struct samples singles; /* each call on its own, timer included; fit for the tail */
};

struct paced {
    struct warm_up warm_up;
    uint64_t period_ns;
    uint64_t duration_ns;
    size_t deadline_misses;    /* the action came after the next intended start */
    struct samples latencies;  /* from the intended start to the action */
    struct samples wakeups;    /* from the intended start to the start */
    struct samples inferences; /* from the start to the action */
};

/* False, after a sentence on standard error, when memory is short. */
bool measure_timer(struct timer *timer);
bool measure_back_to_back(struct back_to_back *result, struct workload *workload,
                          const struct plan *plan, const struct timer *timer);
bool measure_paced(struct paced *result, struct workload *workload, const struct plan *plan);

/* Steps that a plan's control loop makes, as a number that may be too large for any memory. */
double paced_steps(const struct plan *plan);

#endif
