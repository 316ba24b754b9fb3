#include "verify.h"

#include "bits.h"
#include "golden.h"
#include "policy_bindings.h"

/* What buffers hold before a call: a quiet NaN as float, no likely action as integer. */
#define UNTOUCHED 0x7fc5a5a5u
#define STATUS_UNTOUCHED 0xa5u

struct check {
    struct verify_result *result;
    verify_reporter report;
    void *context;
    const char *call;
    size_t row;
};

/* One entry more than the policy may write, to see a write past the end. */
static float observations[GOLDEN_ROWS * POLICY_OBSERVATION_SIZE];
static policy_action batch_actions[GOLDEN_ROWS * POLICY_ACTION_SIZE + 1];
static unsigned char batch_status[GOLDEN_ROWS + 1];

static double magnitude(double value)
{
    return value < 0.0 ? -value : value;
}

static void differ(const struct check *check, const char *value, size_t index, double got,
                   double expected, double allowed)
{
    struct verify_difference difference;
    check->result->differences++;
    if (check->report == NULL) {
        return;
    }
    difference.call = check->call;
    difference.value = value;
    difference.row = check->row;
    difference.index = index;
    difference.got = got;
    difference.expected = expected;
    difference.allowed = allowed;
    check->report(check->context, &difference);
}

static void check_status(const struct check *check, int got)
{
    int expected = golden_status[check->row];
    if (got != expected) {
        differ(check, "status", 0, (double)got, (double)expected, 0.0);
    }
}

/* A NaN compares with nothing, so what is asked is whether the error is small enough. */
static void check_outputs(const struct check *check, const float outputs[])
{
    double allowed = golden_output_bound[check->row];
    size_t i;
    for (i = 0; i < POLICY_OUTPUT_SIZE; i++) {
        double expected = golden_outputs[check->row][i];
        double error = magnitude((double)outputs[i] - expected);
        if (!(error <= allowed)) {
            differ(check, "output", i, (double)outputs[i], expected, allowed);
            continue;
        }
        if (error > check->result->largest_output_error) {
            check->result->largest_output_error = error;
        }
        if (error > check->result->largest_bound_share * allowed) {
            check->result->largest_bound_share = error / allowed;
        }
    }
}

#if POLICY_DISCRETE

/* Another action than the reference's is right where its logit is as good, within rounding. */
static void check_computed(const struct check *check, const policy_action action[])
{
    int32_t expected = golden_actions[check->row][0];
    int32_t got = action[0];
    double allowed = golden_tie[check->row];
    double gap;
    if (got == expected) {
        return;
    }
    if (got < POLICY_ACTION_START || got - POLICY_ACTION_START >= POLICY_OUTPUT_SIZE) {
        differ(check, "action", 0, (double)got, (double)expected, 0.0);
        return;
    }
    gap = golden_outputs[check->row][expected - POLICY_ACTION_START] -
          golden_outputs[check->row][got - POLICY_ACTION_START];
    if (gap <= allowed) {
        check->result->ties++;
    } else {
        differ(check, "action", 0, (double)got, (double)expected, 0.0);
    }
}

#else

static void check_computed(const struct check *check, const policy_action action[])
{
    size_t i;
    for (i = 0; i < POLICY_ACTION_SIZE; i++) {
        double expected = (double)golden_actions[check->row][i];
        double allowed = golden_action_bound[check->row][i];
        if (!(magnitude((double)action[i] - expected) <= allowed)) {
            differ(check, "action", i, (double)action[i], expected, allowed);
        }
    }
}

#endif

/* An invalid observation gives the safe action to the bit, or leaves the buffer alone. */
static void check_unsafe(const struct check *check, const policy_action action[])
{
    size_t i;
    for (i = 0; i < POLICY_ACTION_SIZE; i++) {
        uint32_t expected = POLICY_HOLDS ? UNTOUCHED : bits_of_action(golden_safe_action[i]);
        if (bits_of_action(action[i]) != expected) {
            differ(check, POLICY_HOLDS ? "untouched" : "action", i, (double)action[i],
                   POLICY_HOLDS ? 0.0 : (double)golden_safe_action[i], 0.0);
        }
    }
}

static void check_action(const struct check *check, const policy_action action[])
{
    if (golden_status[check->row] == POLICY_OK || POLICY_REPAIRS) {
        check_computed(check, action);
    } else {
        check_unsafe(check, action);
    }
}

static void clear_actions(policy_action actions[], size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        actions[i] = action_of_bits(UNTOUCHED);
    }
}

static void verify_row(struct check *check)
{
    uint64_t *hash = &check->result->act_bits;
    const float *observation = &observations[check->row * POLICY_OBSERVATION_SIZE];
    policy_action action[POLICY_ACTION_SIZE + 1];
    float outputs[POLICY_OUTPUT_SIZE + 1];
    int status;
    size_t i;

    for (i = 0; i <= POLICY_OUTPUT_SIZE; i++) {
        outputs[i] = float_of_bits(UNTOUCHED);
    }
    check->call = "outputs";
    check_status(check, policy_outputs(observation, outputs));
    check_outputs(check, outputs);
    if (bits_of_float(outputs[POLICY_OUTPUT_SIZE]) != UNTOUCHED) {
        differ(check, "overrun", POLICY_OUTPUT_SIZE, 0.0, 0.0, 0.0);
    }

    check->call = "act";
    clear_actions(action, POLICY_ACTION_SIZE + 1);
    status = policy_act(observation, action);
    check_status(check, status);
    check_action(check, action);
    if (bits_of_action(action[POLICY_ACTION_SIZE]) != UNTOUCHED) {
        differ(check, "overrun", POLICY_ACTION_SIZE, 0.0, 0.0, 0.0);
    }

    for (i = 0; i < POLICY_OUTPUT_SIZE; i++) {
        hash_bits(hash, bits_of_float(outputs[i]));
    }
    for (i = 0; i < POLICY_ACTION_SIZE; i++) {
        hash_bits(hash, bits_of_action(action[i]));
    }
    hash_byte(hash, (unsigned int)status);
}

static void verify_batch(struct check *check)
{
    uint64_t *hash = &check->result->batch_bits;
    size_t ties = check->result->ties; /* act counted them already */
    int expected = 0;
    int status;
    size_t i;

    clear_actions(batch_actions, GOLDEN_ROWS * POLICY_ACTION_SIZE + 1);
    for (i = 0; i <= GOLDEN_ROWS; i++) {
        batch_status[i] = STATUS_UNTOUCHED;
    }
    check->call = "act_batch";
    check->row = 0;
    status = policy_act_batch(observations, batch_actions, batch_status, GOLDEN_ROWS);
    for (i = 0; i < GOLDEN_ROWS; i++) {
        const policy_action *action = &batch_actions[i * POLICY_ACTION_SIZE];
        size_t j;
        check->row = i;
        check_status(check, batch_status[i]);
        check_action(check, action);
        for (j = 0; j < POLICY_ACTION_SIZE; j++) {
            hash_bits(hash, bits_of_action(action[j]));
        }
        hash_byte(hash, batch_status[i]);
        expected |= golden_status[i];
    }
    if (status != expected) {
        differ(check, "status", 1, (double)status, (double)expected, 0.0);
    }
    if (bits_of_action(batch_actions[GOLDEN_ROWS * POLICY_ACTION_SIZE]) != UNTOUCHED ||
        batch_status[GOLDEN_ROWS] != STATUS_UNTOUCHED) {
        differ(check, "overrun", GOLDEN_ROWS, 0.0, 0.0, 0.0);
    }
    check->result->ties = ties;
}

void verify_golden(struct verify_result *result, verify_reporter report, void *context)
{
    struct check check;
    size_t i;

    result->rows = GOLDEN_ROWS;
    result->differences = 0;
    result->ties = 0;
    result->largest_output_error = 0.0;
    result->largest_bound_share = 0.0;
    result->act_bits = HASH_START;
    result->batch_bits = HASH_START;
    check.result = result;
    check.report = report;
    check.context = context;

    for (i = 0; i < GOLDEN_ROWS * POLICY_OBSERVATION_SIZE; i++) {
        observations[i] = float_of_bits(golden_observation_bits[i]);
    }
    for (check.row = 0; check.row < GOLDEN_ROWS; check.row++) {
        verify_row(&check);
    }
    verify_batch(&check);
}
