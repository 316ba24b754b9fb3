/* fileno, fsync and getpid are POSIX.1-2008; the build asks for that level. */
#include "sample_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORD_BYTES ((size_t)8)
#define WORDS_AT_ONCE 512u
/* A dot, the digits of a process's number, ".tmp" and the end of the string. */
#define ENDING_BYTES 32u

static const unsigned char magic[WORD_BYTES] = {'D', 'S', 'P', 'B', 'E', 'N', 'C', 'H'};

static bool explain(const struct sample_file *file)
{
    fprintf(stderr,
            "policy bench: could not write %s (%s): free some space or choose another --samples\n",
            file->path, strerror(errno));
    return false;
}

static void forget(struct sample_file *file)
{
    free(file->temporary);
    file->temporary = NULL;
    file->stream = NULL;
}

bool sample_file_open(struct sample_file *file, const char *path)
{
    size_t space = strlen(path) + ENDING_BYTES;

    file->path = path;
    file->stream = NULL;
    file->temporary = malloc(space);
    if (file->temporary == NULL) {
        return explain(file);
    }
    (void)snprintf(file->temporary, space, "%s.%ld.tmp", path, (long)getpid());
    file->stream = fopen(file->temporary, "wb");
    if (file->stream == NULL) {
        (void)explain(file);
        forget(file);
        return false;
    }
    return true;
}

/* Least significant byte first, whatever this machine does. */
static void put_word(unsigned char bytes[], uint64_t word)
{
    unsigned int i;
    for (i = 0; i < WORD_BYTES; i++) {
        bytes[i] = (unsigned char)((word >> (8 * i)) & 0xffu);
    }
}

static bool write_header(FILE *stream, const struct sample_set *set)
{
    unsigned char header[32u + SAMPLE_FILE_KINDS * WORD_BYTES];
    size_t kind;

    memcpy(header, magic, sizeof magic);
    put_word(&header[8], SAMPLE_FILE_VERSION);
    put_word(&header[16], set->calls_per_block);
    put_word(&header[24], set->period_ns);
    for (kind = 0; kind < SAMPLE_FILE_KINDS; kind++) {
        put_word(&header[32 + kind * WORD_BYTES], set->kinds[kind]->count);
    }
    return fwrite(header, 1, sizeof header, stream) == sizeof header;
}

static bool write_samples(FILE *stream, const struct samples *samples)
{
    unsigned char bytes[WORDS_AT_ONCE * WORD_BYTES];
    size_t done = 0;

    while (done < samples->count) {
        size_t left = samples->count - done;
        size_t words = left < WORDS_AT_ONCE ? left : WORDS_AT_ONCE;
        size_t i;
        for (i = 0; i < words; i++) {
            put_word(&bytes[i * WORD_BYTES], samples->values_ns[done + i]);
        }
        if (fwrite(bytes, WORD_BYTES, words, stream) != words) {
            return false;
        }
        done += words;
    }
    return true;
}

bool sample_file_write(struct sample_file *file, const struct sample_set *set)
{
    bool whole = write_header(file->stream, set);
    size_t kind;

    for (kind = 0; kind < SAMPLE_FILE_KINDS && whole; kind++) {
        whole = write_samples(file->stream, set->kinds[kind]);
    }
    /* On the disk before it has its name: a power cut leaves a whole file or none. */
    whole = whole && fflush(file->stream) == 0 && fsync(fileno(file->stream)) == 0;
    if (!whole) {
        (void)explain(file);
        sample_file_abandon(file);
        return false;
    }
    if (fclose(file->stream) != 0 || rename(file->temporary, file->path) != 0) {
        (void)explain(file);
        (void)remove(file->temporary);
        forget(file);
        return false;
    }
    forget(file);
    return true;
}

void sample_file_abandon(struct sample_file *file)
{
    if (file->stream != NULL) {
        (void)fclose(file->stream);
        (void)remove(file->temporary);
        forget(file);
    }
}
