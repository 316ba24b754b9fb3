/* Inferences where any system call but exit kills the process and any allocation is counted. */
#define _GNU_SOURCE
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include NET_HEADER

static volatile long allocations;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

int main(int argc, char **argv)
{
    float observations[64][NET(OBSERVATION_SIZE)];
    for (int row = 0; row < 64; row++) {
        for (int i = 0; i < NET(OBSERVATION_SIZE); i++) {
            observations[row][i] = (float)((row * 7 + i * 3) % 19) * 0.1F - 0.9F;
        }
    }
    observations[5][0] = 1e30F; /* the path of an invalid observation too */
    free(malloc(1));            /* shows that allocations are counted */
    long before = allocations;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) {
        return 3;
    }
    int32_t action[NET(ACTION_SIZE)] = {0};
    float outputs[NET(OUTPUT_SIZE)];
    int statuses = 0;
    for (int call = 0; call < 100000; call++) {
        statuses |= FUNCTION(act)(observations[call % 64], (void *)action);
        statuses |= FUNCTION(OUTPUTS)(observations[call % 64], outputs);
    }
    if (argc > 1 && strcmp(argv[1], "break") == 0) {
        (void)syscall(SYS_getpid); /* shows that a system call is fatal */
    }
    int code = (before == 1 && allocations == before && statuses != 0) ? 0 : 1;
    (void)syscall(SYS_exit, code); /* exit_group is not allowed */
    return 4;
}
