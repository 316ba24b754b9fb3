/* Replays the golden vectors. Needs no C library, so the same code runs on a bare board. */
#ifndef POLICY_VERIFY_H
#define POLICY_VERIFY_H

#include <stddef.h>
#include <stdint.h>

/* One value that is not what the reference says. */
struct verify_difference {
    const char *call;  /* "act", "outputs" or "act_batch" */
    const char *value; /* "status", "action", "output", "untouched" or "overrun" */
    size_t row;
    size_t index;
    double got;
    double expected;
    double allowed; /* largest difference that rounding explains */
};

typedef void (*verify_reporter)(void *context, const struct verify_difference *difference);

struct verify_result {
    size_t rows;
    size_t differences;
    size_t ties; /* rows where an equally good discrete action was chosen */
    double largest_output_error;
    double largest_bound_share; /* largest error as a share of what is allowed */
    uint64_t act_bits;          /* FNV-1a, 64 bits, over all outputs, actions and statuses */
    uint64_t batch_bits;        /* the same over the actions and statuses of act_batch */
};

/* Compare every golden row through act, the outputs and act_batch. `report` may be null. */
void verify_golden(struct verify_result *result, verify_reporter report, void *context);

#endif
