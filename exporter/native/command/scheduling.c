/* The processor a thread runs on is Linux's own interface, not POSIX's. */
#define _GNU_SOURCE
#include "scheduling.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* More than the policy and what is under it use. */
#define STACK_TOUCHED 65536

static void touch_stack(void)
{
    volatile unsigned char stack[STACK_TOUCHED];
    size_t i;
    for (i = 0; i < sizeof stack; i += 1024) {
        stack[i] = 0;
    }
    (void)stack[0];
}

static int pin(long cpu)
{
    cpu_set_t set;
    if (cpu >= CPU_SETSIZE) {
        return EINVAL;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}

static int run_first(long priority)
{
    struct sched_param parameter;
    memset(&parameter, 0, sizeof parameter);
    parameter.sched_priority = (int)priority;
    /* Not sched_setscheduler: musl refuses it, since Linux schedules threads. */
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter);
}

void scheduling_apply(struct scheduling *scheduling)
{
    if (scheduling->cpu.wanted) {
        scheduling->cpu.refused = pin(scheduling->cpu.value);
    }
    if (scheduling->mlock.wanted) {
        scheduling->mlock.refused = mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? 0 : errno;
        touch_stack();
    }
    if (scheduling->fifo.wanted) {
        scheduling->fifo.refused = run_first(scheduling->fifo.value);
    }
}

const char *scheduling_governor(void)
{
    static char governor[64];
    char path[96];
    FILE *file;
    int cpu = sched_getcpu();

    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor",
                   cpu < 0 ? 0 : cpu);
    file = fopen(path, "r");
    if (file == NULL) {
        return "unknown";
    }
    if (fgets(governor, (int)sizeof governor, file) == NULL) {
        governor[0] = '\0';
    }
    (void)fclose(file);
    governor[strcspn(governor, "\n")] = '\0';
    return governor[0] == '\0' ? "unknown" : governor;
}
