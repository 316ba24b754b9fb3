/* What a control loop asks of the operating system, and what it was refused. */
#ifndef POLICY_SCHEDULING_H
#define POLICY_SCHEDULING_H

#include <stdbool.h>

struct request {
    bool wanted;
    long value;  /* of the processor or the priority */
    int refused; /* errno of the refusal, 0 when granted */
};

struct scheduling {
    struct request cpu;
    struct request fifo;
    struct request mlock;
};

/* Ask for everything that is wanted; never fails, notes what was refused. */
void scheduling_apply(struct scheduling *scheduling);

/* What stands in /sys as the governor of this processor's clock; "unknown" when nothing does. */
const char *scheduling_governor(void);

#endif
