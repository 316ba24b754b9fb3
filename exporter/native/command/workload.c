#include "workload.h"

#include <string.h>

#include "bits.h"
#include "clock.h"
#include "golden.h"
#include "policy_bindings.h"

#define WARM_UP_NS 50000000u /* 50 ms: caches and clocks in their working state */
#define BATCH_NS 100000u     /* a batch of 100 us: the clock costs under 0.1% of it */
#define WINDOW_BATCHES ((size_t)5)
#define LARGEST_CHANGE 0.05

/* Numbers from Knuth and Lewis: every value once in 2^32 calls, the high bits well mixed. They are
   ready long before the call that needs them. */
#define MULTIPLIER 1664525u
#define INCREMENT 1013904223u
#define SEED 1u

struct workload workload_from_golden(void)
{
    static float observations[GOLDEN_ROWS * POLICY_OBSERVATION_SIZE];
    const size_t size = POLICY_OBSERVATION_SIZE;
    struct workload workload;
    size_t row;

    workload.observations = observations;
    workload.count = 0;
    workload.random = SEED;
    workload.checksum = 0;
    for (row = 0; row < GOLDEN_ROWS; row++) {
        if (golden_status[row] == POLICY_OK) {
            memcpy(&observations[workload.count * size], &golden_observation_bits[row * size],
                   size * sizeof observations[0]);
            workload.count++;
        }
    }
    if (workload.count == 0) {
        memcpy(observations, golden_observation_bits, sizeof observations);
        workload.count = GOLDEN_ROWS;
    }
    return workload;
}

/* The policy is another translation unit, built without link-time optimisation: nothing of it can
   be moved out of a loop or left out. */
static inline void call(struct workload *workload)
{
    policy_action action[POLICY_ACTION_SIZE] = {0}; /* the mode `hold` writes nothing */
    size_t row = (size_t)(((uint64_t)workload->random * workload->count) >> 32);
    (void)policy_act(&workload->observations[row * POLICY_OBSERVATION_SIZE], action);
    workload->checksum += bits_of_action(action[0]);
    workload->random = workload->random * MULTIPLIER + INCREMENT;
}

void workload_call(struct workload *workload)
{
    call(workload);
}

uint64_t workload_time(struct workload *workload, uint64_t calls)
{
    uint64_t start = now_ns();
    uint64_t i;
    for (i = 0; i < calls; i++) {
        call(workload);
    }
    return now_ns() - start;
}

/* The fastest of a window: other programs only ever add to a batch. */
static double fastest(const double batches[])
{
    double found = batches[0];
    size_t i;
    for (i = 1; i < WINDOW_BATCHES; i++) {
        found = batches[i] < found ? batches[i] : found;
    }
    return found;
}

struct warm_up workload_warm_up(struct workload *workload)
{
    /* Nanoseconds of a call; two windows, the older one first. */
    double latest[2 * WINDOW_BATCHES] = {0.0};
    struct warm_up found = {0, 0.0, false};
    uint64_t end = now_ns() + WARM_UP_NS;
    uint64_t batch = 1;
    size_t batches = 0;
    double change;

    while (now_ns() < end || batches < 2 * WINDOW_BATCHES) {
        uint64_t taken_ns = workload_time(workload, batch);
        memmove(latest, &latest[1], sizeof latest - sizeof latest[0]);
        latest[2 * WINDOW_BATCHES - 1] = (double)taken_ns / (double)batch;
        found.calls += batch;
        batches++;
        if (taken_ns < BATCH_NS) {
            batch *= 2;
        }
    }
    found.call_ns = fastest(&latest[WINDOW_BATCHES]);
    change = found.call_ns - fastest(latest);
    found.settled = (change < 0.0 ? -change : change) <= LARGEST_CHANGE * fastest(latest);
    found.call_ns = found.call_ns < 0.1 ? 0.1 : found.call_ns;
    return found;
}
