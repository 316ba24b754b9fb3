/* What is timed: calls of the policy, as a control loop makes them. */
#ifndef POLICY_WORKLOAD_H
#define POLICY_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Valid golden observations, given to the policy in an order that no branch predictor learns: in
   turn, a few dozen of them would make every branch of the policy predictable, and a call faster
   than it is on a vehicle. */
struct workload {
    const float *observations;
    size_t count;
    uint32_t random;
    uint32_t checksum; /* of the actions: what is computed is used */
};

/* What it took until calls ran evenly; none of it is in any figure. */
struct warm_up {
    uint64_t calls;
    double call_ns; /* in the fastest of the last batches; at least a tenth */
    bool settled;   /* the last two windows of batches took the same time */
};

/* The golden observations that are valid; all of them when none is. */
struct workload workload_from_golden(void);

void workload_call(struct workload *workload);

/* The nanoseconds that so many calls take together, one reading of the clock included. */
uint64_t workload_time(struct workload *workload, uint64_t calls);

struct warm_up workload_warm_up(struct workload *workload);

#endif
