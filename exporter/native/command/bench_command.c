#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "bench_report.h"
#include "command.h"
#include "sample_file.h"

#define MOST_CALLS 1000000000L
#define FEWEST_KEPT 1000L

struct options {
    struct plan plan;
    const char *samples;
    bool back_to_back;
    bool paced;
    bool as_json;
};

/* A whole number from 1 on; what is not given stays 0. */
static bool take_count(struct arguments *arguments, const char *option, long high, size_t *count)
{
    long value = 0;
    if (!take_integer(arguments, option, 1, high, &value)) {
        return false;
    }
    *count = (size_t)value;
    return true;
}

/* The options that fix how much is measured. True when there was one; `fits` tells of its value. */
static bool parse_plan(struct arguments *arguments, struct plan *plan, bool *fits)
{
    const long most = (long)SAMPLES_MOST;
    long value = 0;

    if (take_option(arguments, "--seconds")) {
        *fits = take_number(arguments, "--seconds", 0.01, 86400.0, &plan->seconds);
    } else if (take_option(arguments, "--hz")) {
        *fits = take_number(arguments, "--hz", 0.01, 100000.0, &plan->rate_hz);
    } else if (take_option(arguments, "--steps")) {
        *fits = take_count(arguments, "--steps", most, &plan->steps);
    } else if (take_option(arguments, "--blocks")) {
        *fits = take_count(arguments, "--blocks", most, &plan->blocks);
    } else if (take_option(arguments, "--singles")) {
        *fits = take_count(arguments, "--singles", most, &plan->singles);
    } else if (take_option(arguments, "--block-calls")) {
        *fits = take_integer(arguments, "--block-calls", 1, MOST_CALLS, &value);
        plan->block_calls = (uint64_t)value;
    } else if (take_option(arguments, "--keep")) {
        *fits = take_integer(arguments, "--keep", FEWEST_KEPT, most, &value);
        plan->keep = (size_t)value;
    } else {
        return false;
    }
    return true;
}

/* EXIT_AS_EXPECTED, or the code of a refusal that was explained already. */
static int parse(struct arguments *arguments, struct options *options,
                 struct scheduling *scheduling)
{
    bool fits = true;
    while (arguments->next < arguments->count && fits) {
        if (take_option(arguments, "--cpu")) {
            scheduling->cpu.wanted = true;
            fits = take_integer(arguments, "--cpu", 0, 65535, &scheduling->cpu.value);
        } else if (take_option(arguments, "--fifo")) {
            scheduling->fifo.wanted = true;
            fits = take_integer(arguments, "--fifo", 1, 99, &scheduling->fifo.value);
        } else if (take_option(arguments, "--mlock")) {
            scheduling->mlock.wanted = true;
        } else if (take_option(arguments, "--back-to-back")) {
            options->back_to_back = true;
        } else if (take_option(arguments, "--paced")) {
            options->paced = true;
        } else if (take_option(arguments, "--samples")) {
            fits = take_text(arguments, "--samples", &options->samples);
        } else if (take_option(arguments, "--json")) {
            options->as_json = true;
        } else if (!parse_plan(arguments, &options->plan, &fits)) {
            return refuse_argument(arguments);
        }
    }
    return fits ? EXIT_AS_EXPECTED : EXIT_BAD_INPUT;
}

/* Whether there is room for everything that was asked for. */
static bool has_room(const struct bench_report *report)
{
    const struct plan *plan = &report->plan;
    size_t singles = plan->singles == 0 ? 1 : plan->singles;

    if (report->has_paced && paced_steps(plan) > (double)plan->keep) {
        fprintf(stderr,
                "policy bench: %.0f paced steps are more than %zu samples: use fewer --seconds or "
                "a lower --hz, or a larger --keep\n",
                paced_steps(plan), plan->keep);
        return false;
    }
    if (report->has_back_to_back && plan->blocks > plan->keep / singles) {
        fprintf(stderr,
                "policy bench: %zu blocks, each with single calls, are more than %zu samples: use "
                "fewer --blocks or --singles, or a larger --keep\n",
                plan->blocks, plan->keep);
        return false;
    }
    return true;
}

static bool measure(struct bench_report *report, struct workload *workload)
{
    return measure_timer(&report->timer) &&
           (!report->has_back_to_back ||
            measure_back_to_back(&report->back_to_back, workload, &report->plan,
                                 &report->timer)) &&
           (!report->has_paced || measure_paced(&report->paced, workload, &report->plan));
}

static bool write_samples(struct sample_file *file, const struct bench_report *report)
{
    struct sample_set set;
    set.calls_per_block = report->back_to_back.calls_per_block;
    set.period_ns = report->paced.period_ns;
    set.kinds[0] = &report->back_to_back.blocks;
    set.kinds[1] = &report->back_to_back.singles;
    set.kinds[2] = &report->paced.wakeups;
    set.kinds[3] = &report->paced.inferences;
    return sample_file_write(file, &set);
}

static void free_samples(struct bench_report *report)
{
    samples_free(&report->back_to_back.blocks);
    samples_free(&report->back_to_back.singles);
    samples_free(&report->paced.latencies);
    samples_free(&report->paced.wakeups);
    samples_free(&report->paced.inferences);
}

/* Measure, keep the samples, print; the report's memory is the caller's to free. */
static int run(struct bench_report *report, const struct options *options)
{
    struct workload workload = workload_from_golden();
    struct sample_file file = {NULL, NULL, NULL};

    if (options->samples != NULL && !sample_file_open(&file, options->samples)) {
        return EXIT_BAD_INPUT;
    }
    scheduling_apply(&report->scheduling);
    if (!measure(report, &workload)) {
        sample_file_abandon(&file);
        return EXIT_DIFFERENT;
    }
    report->observations = workload.count;
    report->checksum = workload.checksum;
    /* Before the figures: those sort the samples. */
    if (options->samples != NULL && !write_samples(&file, report)) {
        return EXIT_BAD_INPUT;
    }
    bench_report_summarise(report);
    if (options->as_json) {
        bench_report_json(report);
    } else {
        bench_report_text(report);
    }
    return finish_output(EXIT_AS_EXPECTED);
}

int bench_command(struct arguments *arguments)
{
    struct options options = {{2.0, 100.0, SAMPLES_KEPT, 0, 0, 0, 0}, NULL, false, false, false};
    struct bench_report report;
    int code;

    memset(&report, 0, sizeof report);
    code = parse(arguments, &options, &report.scheduling);
    if (code != EXIT_AS_EXPECTED) {
        return code;
    }
    report.plan = options.plan;
    report.has_back_to_back = options.back_to_back || !options.paced;
    report.has_paced = options.paced || !options.back_to_back;
    if (!has_room(&report)) {
        return EXIT_BAD_INPUT;
    }
    code = run(&report, &options);
    free_samples(&report);
    return code;
}
