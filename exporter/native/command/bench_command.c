#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "bench_report.h"
#include "command.h"

struct options {
    double seconds;
    double rate_hz;
    bool back_to_back;
    bool paced;
    bool as_json;
};

/* EXIT_AS_EXPECTED, or the code of a refusal that was explained already. */
static int parse(struct arguments *arguments, struct options *options,
                 struct scheduling *scheduling)
{
    bool fits = true;
    while (arguments->next < arguments->count && fits) {
        if (take_option(arguments, "--seconds")) {
            fits = take_number(arguments, "--seconds", 0.01, 86400.0, &options->seconds);
        } else if (take_option(arguments, "--hz")) {
            fits = take_number(arguments, "--hz", 0.01, 100000.0, &options->rate_hz);
        } else if (take_option(arguments, "--cpu")) {
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
        } else if (take_option(arguments, "--json")) {
            options->as_json = true;
        } else {
            return refuse_argument(arguments);
        }
    }
    return fits ? EXIT_AS_EXPECTED : EXIT_BAD_INPUT;
}

int bench_command(struct arguments *arguments)
{
    struct options options = {2.0, 100.0, false, false, false};
    struct bench_report report;
    struct workload workload;
    int code;

    memset(&report, 0, sizeof report);
    code = parse(arguments, &options, &report.scheduling);
    if (code != EXIT_AS_EXPECTED) {
        return code;
    }
    report.has_back_to_back = options.back_to_back || !options.paced;
    report.has_paced = options.paced || !options.back_to_back;
    if (report.has_paced && options.seconds * options.rate_hz > (double)SAMPLES_MOST) {
        fprintf(stderr,
                "policy bench: %g seconds at %g Hz are more than %zu samples: use fewer "
                "--seconds or a lower --hz\n",
                options.seconds, options.rate_hz, SAMPLES_MOST);
        return EXIT_BAD_INPUT;
    }
    report.rate_hz = options.rate_hz;
    workload = workload_from_golden();
    scheduling_apply(&report.scheduling);
    if (!measure_timer(&report.timer) ||
        (report.has_back_to_back && !measure_back_to_back(&report.back_to_back, &workload,
                                                          options.seconds, &report.timer)) ||
        (report.has_paced &&
         !measure_paced(&report.paced, &workload, options.seconds, options.rate_hz))) {
        return EXIT_DIFFERENT;
    }
    report.observations = workload.count;
    report.checksum = workload.checksum;
    if (options.as_json) {
        bench_report_json(&report);
    } else {
        bench_report_text(&report);
    }
    return finish_output(EXIT_AS_EXPECTED);
}
