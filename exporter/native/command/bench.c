#include "bench.h"

#include <string.h>

#include "bits.h"
#include "clock.h"
#include "golden.h"
#include "policy_bindings.h"

#define TIMER_READINGS 20000
#define WARM_UP_NS 50000000u     /* 50 ms: caches and clocks in their working state */
#define BLOCK_NS 100000u         /* a block of 100 us: the timer costs under 0.1% of it */
#define SINGLES_PER_BLOCK 64u    /* at most; fewer when the run is long */
#define BLOCKS_MOST (SAMPLES_MOST / 4)

struct workload workload_from_golden(void)
{
    static float observations[GOLDEN_ROWS * POLICY_OBSERVATION_SIZE];
    const size_t size = POLICY_OBSERVATION_SIZE;
    struct workload workload;
    size_t row;

    workload.observations = observations;
    workload.count = 0;
    workload.next = 0;
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

/* One call, as a control loop makes it. The policy is another translation unit, built without
   link-time optimisation: nothing of it can be moved out of the loop or left out. */
static void call(struct workload *workload)
{
    policy_action action[POLICY_ACTION_SIZE] = {0}; /* the mode `hold` writes nothing */
    (void)policy_act(&workload->observations[workload->next * POLICY_OBSERVATION_SIZE], action);
    workload->checksum += bits_of_action(action[0]);
    workload->next = workload->next + 1 < workload->count ? workload->next + 1 : 0;
}

static uint64_t time_calls(struct workload *workload, uint64_t calls)
{
    uint64_t start = now_ns();
    uint64_t i;
    for (i = 0; i < calls; i++) {
        call(workload);
    }
    return now_ns() - start;
}

/* Warm up, and return the nanoseconds that one call takes, at least a tenth. */
static double warm_up(struct workload *workload)
{
    uint64_t end = now_ns() + WARM_UP_NS;
    uint64_t calls = 1;
    uint64_t taken_ns = time_calls(workload, calls);
    while (now_ns() < end) {
        if (taken_ns < BLOCK_NS) {
            calls *= 2;
        }
        taken_ns = time_calls(workload, calls);
    }
    return taken_ns == 0 ? 0.1 : (double)taken_ns / (double)calls;
}

bool measure_timer(struct timer *timer)
{
    struct samples costs;
    size_t i;

    if (!samples_reserve(&costs, TIMER_READINGS)) {
        return false;
    }
    timer->resolution_ns = clock_resolution_ns();
    timer->step_ns = 0;
    for (i = 0; i < TIMER_READINGS; i++) {
        uint64_t start = now_ns();
        uint64_t cost_ns = now_ns() - start;
        samples_add(&costs, cost_ns);
        if (cost_ns != 0 && (timer->step_ns == 0 || cost_ns < timer->step_ns)) {
            timer->step_ns = cost_ns;
        }
    }
    timer->cost = samples_summary(&costs, 1);
    samples_free(&costs);
    return true;
}

bool measure_back_to_back(struct back_to_back *result, struct workload *workload, double seconds,
                          const struct timer *timer)
{
    struct samples blocks;
    struct samples singles;
    double call_ns = warm_up(workload);
    double total_ns = seconds * 1e9;
    /* Longer blocks and fewer single calls in a long run: both kinds spread over all of it. */
    double shortest_ns = total_ns / (double)BLOCKS_MOST;
    double block_ns = shortest_ns > BLOCK_NS ? shortest_ns : BLOCK_NS;
    double rounds = total_ns / (block_ns + SINGLES_PER_BLOCK * (call_ns + timer->cost.p50_ns));
    double share = (double)SAMPLES_MOST / (rounds + 1.0);
    size_t burst = share < 1.0 ? 1 : share > SINGLES_PER_BLOCK ? SINGLES_PER_BLOCK : (size_t)share;
    uint64_t calls = block_ns > call_ns ? (uint64_t)(block_ns / call_ns) : 1;
    uint64_t start;
    uint64_t end;

    if (!samples_reserve(&blocks, BLOCKS_MOST)) {
        return false;
    }
    if (!samples_reserve(&singles, SAMPLES_MOST)) {
        samples_free(&blocks);
        return false;
    }
    start = now_ns();
    end = start + (uint64_t)total_ns;
    do {
        size_t i;
        samples_add(&blocks, time_calls(workload, calls));
        for (i = 0; i < burst && singles.count < singles.room; i++) {
            samples_add(&singles, time_calls(workload, 1));
        }
    } while (now_ns() < end && blocks.count < blocks.room && singles.count < singles.room);
    result->duration_ns = now_ns() - start;
    result->calls_per_block = calls;
    result->block = samples_summary(&blocks, calls);
    result->single = samples_summary(&singles, 1);
    samples_free(&blocks);
    samples_free(&singles);
    return true;
}

bool measure_paced(struct paced *result, struct workload *workload, double seconds, double rate_hz)
{
    struct samples latency;
    struct samples wakeup;
    struct samples inference;
    double cycles = seconds * rate_hz;
    size_t count = cycles < 1.0 ? 1 : (size_t)cycles;
    double period_ns = 1e9 / rate_hz;
    uint64_t start;
    size_t i;

    if (!samples_reserve(&latency, count)) {
        return false;
    }
    if (!samples_reserve(&wakeup, count)) {
        samples_free(&latency);
        return false;
    }
    if (!samples_reserve(&inference, count)) {
        samples_free(&latency);
        samples_free(&wakeup);
        return false;
    }
    (void)warm_up(workload);
    result->period_ns = (uint64_t)(period_ns + 0.5);
    result->deadline_misses = 0;
    start = now_ns() + result->period_ns;
    for (i = 0; i < count; i++) {
        /* From the start, not from the last cycle: a late cycle does not move the later ones,
           and the wait that it causes them counts as their latency. */
        uint64_t intended = start + (uint64_t)((double)i * period_ns);
        uint64_t begun;
        uint64_t done;
        sleep_until_ns(intended);
        begun = now_ns();
        call(workload);
        done = now_ns();
        samples_add(&latency, done - intended);
        samples_add(&wakeup, begun - intended);
        samples_add(&inference, done - begun);
        if (done - intended > result->period_ns) {
            result->deadline_misses++;
        }
    }
    result->duration_ns = now_ns() - start;
    result->latency = samples_summary(&latency, 1);
    result->wakeup = samples_summary(&wakeup, 1);
    result->inference = samples_summary(&inference, 1);
    samples_free(&latency);
    samples_free(&wakeup);
    samples_free(&inference);
    return true;
}
