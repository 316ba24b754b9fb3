#include "bench.h"

#include "clock.h"

#define TIMER_READINGS 20000
#define BLOCK_NS 100000.0         /* a block of 100 us: the timer costs under 0.1% of it */
#define SINGLES_PER_BLOCK 64u     /* at most; fewer when the run is long */
#define SINGLES_PER_BLOCK_ROOM 4u /* places for single calls, to one for a block */

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

/* What one turn consists of, and room for all turns. */
struct turns {
    uint64_t calls;
    size_t singles;
    size_t room_blocks;
    size_t room_singles;
};

/* Longer blocks and fewer single calls in a long run: both kinds spread over all of it. */
static struct turns choose_turns(const struct plan *plan, double call_ns, double clock_ns)
{
    struct turns turns;
    double total_ns = plan->seconds * 1e9;
    size_t most_blocks = plan->keep / SINGLES_PER_BLOCK_ROOM;
    double shortest_ns = total_ns / (double)most_blocks;
    double block_ns = shortest_ns > BLOCK_NS ? shortest_ns : BLOCK_NS;
    double count;
    double share;

    turns.calls = block_ns > call_ns ? (uint64_t)(block_ns / call_ns) : 1;
    if (plan->block_calls != 0) {
        turns.calls = plan->block_calls;
    }
    block_ns = (double)turns.calls * call_ns;
    count = 1.0 + total_ns / (block_ns + SINGLES_PER_BLOCK * (call_ns + clock_ns));
    if (plan->blocks != 0) {
        count = (double)plan->blocks;
    }
    share = (double)plan->keep / count;
    if (plan->singles != 0) {
        turns.singles = plan->singles;
    } else if (share < 1.0) {
        turns.singles = 1;
    } else {
        turns.singles = share > SINGLES_PER_BLOCK ? SINGLES_PER_BLOCK : (size_t)share;
    }
    turns.room_blocks = plan->blocks != 0 ? plan->blocks : most_blocks;
    turns.room_singles = plan->blocks != 0 ? plan->blocks * turns.singles : plan->keep;
    return turns;
}

bool measure_back_to_back(struct back_to_back *result, struct workload *workload,
                          const struct plan *plan, const struct timer *timer)
{
    struct turns turns;
    uint64_t start;
    uint64_t end;
    size_t done = 0;
    bool more;

    result->warm_up = workload_warm_up(workload);
    turns = choose_turns(plan, result->warm_up.call_ns, timer->cost.p50_ns);
    if (!samples_reserve(&result->blocks, turns.room_blocks) ||
        !samples_reserve(&result->singles, turns.room_singles)) {
        return false;
    }
    /* Writing to that memory has emptied the caches. */
    (void)workload_time(workload, turns.calls);
    start = now_ns();
    end = start + (uint64_t)(plan->seconds * 1e9);
    do {
        size_t i;
        samples_add(&result->blocks, workload_time(workload, turns.calls));
        for (i = 0; i < turns.singles; i++) {
            samples_add(&result->singles, workload_time(workload, 1));
        }
        done++;
        more = plan->blocks != 0 ? done < plan->blocks : now_ns() < end;
    } while (more);
    result->duration_ns = now_ns() - start;
    result->warm_up.calls += turns.calls;
    result->calls_per_block = turns.calls;
    result->singles_per_block = turns.singles;
    return true;
}

double paced_steps(const struct plan *plan)
{
    double steps = plan->steps != 0 ? (double)plan->steps : plan->seconds * plan->rate_hz;
    return steps < 1.0 ? 1.0 : steps;
}

bool measure_paced(struct paced *result, struct workload *workload, const struct plan *plan)
{
    size_t count = (size_t)paced_steps(plan);
    double period_ns = 1e9 / plan->rate_hz;
    uint64_t start;
    size_t i;

    if (!samples_reserve(&result->latencies, count) ||
        !samples_reserve(&result->wakeups, count) ||
        !samples_reserve(&result->inferences, count)) {
        return false;
    }
    result->warm_up = workload_warm_up(workload);
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
        workload_call(workload);
        done = now_ns();
        samples_add(&result->latencies, done - intended);
        samples_add(&result->wakeups, begun - intended);
        samples_add(&result->inferences, done - begun);
        if (done - intended > result->period_ns) {
            result->deadline_misses++;
        }
    }
    result->duration_ns = now_ns() - start;
    return true;
}
