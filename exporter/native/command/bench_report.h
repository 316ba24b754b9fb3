#ifndef POLICY_BENCH_REPORT_H
#define POLICY_BENCH_REPORT_H

#include "bench.h"
#include "figures.h"
#include "scheduling.h"

struct bench_report {
    struct scheduling scheduling;
    struct timer timer;
    struct plan plan;
    bool has_back_to_back;
    bool has_paced;
    struct back_to_back back_to_back;
    struct paced paced;
    size_t observations;
    uint32_t checksum;
    struct figures block;
    struct figures single;
    struct figures latency;
    struct figures wakeup;
    struct figures inference;
};

/* Fill in the figures; sorts all samples. */
void bench_report_summarise(struct bench_report *report);

void bench_report_text(const struct bench_report *report);
void bench_report_json(const struct bench_report *report);

#endif
