/* The golden vectors on a board: the same verification as the command's, without a C library. */
#include <stddef.h>
#include <stdint.h>

#include "bits.h"
#include "policy_bindings.h"
#include "semihosting.h"
#include "stack_use.h"
#include "verify.h"

#define SHOWN 20

static struct verify_result result;

static void write_number(uint64_t number, uint32_t base, uint32_t digits)
{
    char text[24];
    size_t at = sizeof text - 1;
    text[at] = '\0';
    do {
        text[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (at > 0 && (number != 0 || sizeof text - 1 - at < digits));
    semihosting_write(&text[at]);
}

static void write_count(const char *name, uint64_t count)
{
    semihosting_write(name);
    semihosting_write(" ");
    write_number(count, 10, 1);
    semihosting_write("\n");
}

static void write_bits(const char *name, uint64_t bits, uint32_t digits)
{
    semihosting_write(name);
    semihosting_write(" ");
    write_number(bits, 16, digits);
    semihosting_write("\n");
}

/* Values as the bits of a float: enough to find the difference on a larger machine. */
static void report(void *context, const struct verify_difference *difference)
{
    size_t *shown = context;
    if (*shown >= SHOWN) {
        return;
    }
    (*shown)++;
    semihosting_write("difference in ");
    semihosting_write(difference->call);
    semihosting_write(", ");
    semihosting_write(difference->value);
    write_count(", row", difference->row);
    write_count("  index", difference->index);
    write_bits("  got (float bits)", bits_of_float((float)difference->got), 8);
    write_bits("  expected (float bits)", bits_of_float((float)difference->expected), 8);
}

static void act_once(void)
{
    static const float observation[POLICY_OBSERVATION_SIZE];
    static policy_action action[POLICY_ACTION_SIZE];
    (void)policy_act(observation, action);
}

static void outputs_once(void)
{
    static const float observation[POLICY_OBSERVATION_SIZE];
    static float outputs[POLICY_OUTPUT_SIZE];
    (void)policy_outputs(observation, outputs);
}

int main(void)
{
    size_t shown = 0;
    verify_golden(&result, report, &shown);
    write_count("rows", result.rows);
    write_count("differences", result.differences);
    write_count("ties", result.ties);
    write_bits("act_bits", result.act_bits, 16);
    write_bits("act_batch_bits", result.batch_bits, 16);
    write_count("act_stack_bytes", stack_use(act_once));
    write_count("outputs_stack_bytes", stack_use(outputs_once));
    semihosting_write(result.differences == 0 ? "passed\n" : "FAILED\n");
    return result.differences == 0 ? 0 : 1;
}
