#include "load/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "load/base.h"

enum {
    PATH_MAX_SIZE = 320,
    TEXT_SIZE = 4096
};

/* The beginning of a file, terminated; empty if there is no such file. */
static void read_file(const char *path, char *text)
{
    FILE *file = fopen(path, "re");
    size_t len = file == NULL ? 0 : fread(text, 1, TEXT_SIZE - 1, file);
    text[len] = '\0';
    if (file != NULL) {
        fclose(file);
    }
}

static bool add_thread(int pid, const char *thread, uint64_t *sum_ns)
{
    char path[PATH_MAX_SIZE], text[TEXT_SIZE];
    uint64_t ran_ns;
    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, thread);
    read_file(path, text);
    if (sscanf(text, "%" SCNu64, &ran_ns) != 1) {
        return false;
    }
    *sum_ns += ran_ns;
    return true;
}

static uint64_t ticks_ns(int pid)
{
    char path[PATH_MAX_SIZE], text[TEXT_SIZE];
    uint64_t user, system;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    read_file(path, text);
    const char *behind_name = strrchr(text, ')');
    if (behind_name == NULL ||
        sscanf(behind_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
               &user, &system) != 2) {
        return 0;
    }
    return (user + system) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t process_cpu_ns(int pid)
{
    char path[PATH_MAX_SIZE];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        return 0;
    }
    uint64_t sum_ns = 0;
    bool counted = false;
    const struct dirent *entry;
    while ((entry = readdir(threads)) != NULL) {
        if (entry->d_name[0] != '.') {
            counted |= add_thread(pid, entry->d_name, &sum_ns);
        }
    }
    closedir(threads);
    return counted ? sum_ns : ticks_ns(pid);
}

uint64_t process_memory(int pid)
{
    char path[PATH_MAX_SIZE], text[TEXT_SIZE];
    uint64_t kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    read_file(path, text);
    const char *line = strstr(text, "VmRSS:");
    if (line != NULL) {
        sscanf(line, "VmRSS: %" SCNu64, &kib);
    }
    return kib * 1024;
}
