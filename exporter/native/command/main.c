/* `policy`: checks, times, runs and describes the policy it was built with. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "policy_bindings.h"

static const char help[] =
    "usage: policy COMMAND [OPTIONS]\n"
    "\n"
    "  verify   replay the golden vectors on this machine and compare with the reference\n"
    "    --json            print the result as JSON\n"
    "\n"
    "  bench    measure the latency of one call: observation in, action out\n"
    "    --seconds N       time per mode (2)\n"
    "    --hz H            rate of the paced mode (100)\n"
    "    --back-to-back    this mode only: calls without a pause, warm caches\n"
    "    --paced           this mode only: calls at a fixed rate, from their intended start\n"
    "    --cpu N           run on this processor\n"
    "    --fifo PRIORITY   run under SCHED_FIFO, 1 to 99 (needs the right to)\n"
    "    --mlock           lock memory and touch the stack in advance\n"
    "    --steps N         paced steps, instead of the seconds\n"
    "    --blocks N        blocks of calls back to back, instead of the seconds\n"
    "    --block-calls N   calls in each block (100 us or more of them)\n"
    "    --singles N       single calls after each block (64, fewer in a long run)\n"
    "    --keep N          samples kept of a kind, at most (1048576)\n"
    "    --samples FILE    write every sample, for programs\n"
    "    --json            print the result as JSON\n"
    "\n"
    "  act      read observations from standard input, write actions to standard output\n"
    "    text    in:  one observation per line, separated by spaces or commas\n"
    "            out: action, then status (0 valid, 1 not finite, 2 out of range, 3 both)\n"
    "    --binary          float32 in; int32 or float32 actions, then int32 status; little endian\n"
    "    --outputs         the network's outputs (float32) after the status\n"
    "\n"
    "  info     names, shapes, ranges, and what this program was built from\n"
    "    --json            print it as JSON\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "exit code: 0 as expected; 1 the policy differs from its golden vectors; 2 bad input\n";

static int version_command(void)
{
    printf("%s for %s (%s), dspctl %s, policy %.8s\n", POLICY_NAME, POLICY_TARGET,
           POLICY_STRICT ? "strict" : "fast", POLICY_DSPCTL_VERSION, POLICY_SHA256);
    return finish_output(EXIT_AS_EXPECTED);
}

int main(int count, char **values)
{
    static const struct {
        const char *name;
        int (*run)(struct arguments *arguments);
    } commands[] = {
        {"verify", verify_command},
        {"bench", bench_command},
        {"act", act_command},
        {"info", info_command},
    };
    struct arguments arguments;
    size_t i;

    if (count < 2) {
        fputs(help, stderr);
        return EXIT_BAD_INPUT;
    }
    for (i = 1; i < (size_t)count; i++) {
        if (strcmp(values[i], "--help") == 0 || strcmp(values[i], "-h") == 0) {
            fputs(help, stdout);
            return finish_output(EXIT_AS_EXPECTED);
        }
    }
    if (strcmp(values[1], "--version") == 0) {
        return version_command();
    }
    for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(values[1], commands[i].name) == 0) {
            arguments.command = commands[i].name;
            arguments.count = count;
            arguments.values = values;
            arguments.next = 2;
            return commands[i].run(&arguments);
        }
    }
    fprintf(stderr, "policy: there is no command '%s': use verify, bench, act, info or --help\n",
            values[1]);
    return EXIT_BAD_INPUT;
}
