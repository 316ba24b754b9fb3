/* Raw samples in a file: 64 bytes of header, then nanoseconds, all of it 8-byte words, little
   endian.

       magic      the letters DSPBENCH
       version    1
       calls      of each block; 0 without blocks
       period_ns  of the paced mode; 0 without it
       counts     four: blocks, single calls, wake-ups, inferences
       samples    of the four kinds, one kind after the other, each in the order of measurement

   A block is the time of all its calls together. The latency of a paced step is the sum of its
   wake-up and its inference. */
#ifndef POLICY_SAMPLE_FILE_H
#define POLICY_SAMPLE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "samples.h"

#define SAMPLE_FILE_VERSION 1u
#define SAMPLE_FILE_KINDS 4u

/* A file that is not there under its own name before it is whole. */
struct sample_file {
    const char *path;
    char *temporary;
    FILE *stream; /* null when none is wanted */
};

/* What goes into it; a kind that was not measured has no samples. */
struct sample_set {
    uint64_t calls_per_block;
    uint64_t period_ns;
    const struct samples *kinds[SAMPLE_FILE_KINDS];
};

/* Begin a file, before anything is measured: a path that cannot be written is found out at once.
   False, after a sentence on standard error, when it cannot; so is sample_file_write. */
bool sample_file_open(struct sample_file *file, const char *path);

/* Write everything and give the file its name; nothing is left behind when that fails. */
bool sample_file_write(struct sample_file *file, const struct sample_set *set);

/* Remove what was begun. */
void sample_file_abandon(struct sample_file *file);

#endif
