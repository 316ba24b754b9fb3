#include "figures.h"

#define CLOCK_SHARE 0.1

struct figures figures_of(struct samples *samples, uint64_t calls, double clock_ns)
{
    struct figures figures;
    figures.summary = samples_summary(samples, calls);
    figures.clock_ns = clock_ns / (double)calls;
    figures.dropped = samples->dropped;
    return figures;
}

const char *figure_name(size_t index)
{
    static const char *const names[FIGURES] = {"min", "mean",  "p50", "p90",
                                               "p99", "p99_9", "max"};
    return names[index];
}

double figure_ns(const struct figures *figures, size_t index)
{
    const struct summary *summary = &figures->summary;
    const double values_ns[FIGURES] = {
        summary->min_ns, summary->mean_ns,  summary->p50_ns, summary->p90_ns,
        summary->p99_ns, summary->p99_9_ns, summary->max_ns,
    };
    return values_ns[index];
}

bool figure_is_bound(const struct figures *figures, size_t index)
{
    return figures->clock_ns > CLOCK_SHARE * figure_ns(figures, index);
}
