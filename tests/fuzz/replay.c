// SPDX-License-Identifier: Apache-2.0
// Feeds every file of a corpus folder to a fuzz target, as TAP, so that each case that once mattered
// runs in every `make check`, with any compiler.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_CASE = 16 << 20, SECONDS_A_CASE = 10 };

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint8_t *read_all(const char *path, size_t *out_size)
{
    FILE *f = fopen(path, "rbe");
    uint8_t *buf = malloc(MAX_CASE);
    if (!f || !buf) {
        perror(path);
        exit(1);
    }
    size_t n = fread(buf, 1, MAX_CASE, f);
    fclose(f);
    // The exact size again, so that a sanitizer sees a read just past the end.
    uint8_t *exact = malloc(n + (n == 0));
    if (!exact) abort();
    memcpy(exact, buf, n);
    free(buf);
    *out_size = n;
    return exact;
}

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    DIR *d = opendir(".");
    char *names[4096];
    size_t count = 0;
    for (struct dirent *de; d && (de = readdir(d));) {
        if (de->d_name[0] == '.') continue;
        if (count == sizeof names / sizeof *names || !(names[count++] = strdup(de->d_name))) abort();
    }
    if (d) closedir(d);
    qsort(names, count, sizeof *names, by_name);
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        printf("# %s\n", names[i]);
        fflush(stdout);
        size_t size;
        uint8_t *data = read_all(names[i], &size);
        alarm(SECONDS_A_CASE);  // a case that hangs ends the program, which is a failure
        LLVMFuzzerTestOneInput(data, size);
        alarm(0);
        free(data);
        printf("ok %zu - %s\n", i + 1, names[i]);
        free(names[i]);
    }
    return count == 0;  // a target without one case is a mistake
}
