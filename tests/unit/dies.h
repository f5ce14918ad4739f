/* dies.h - does this call abort the process? It is made in a child of our own. */
#ifndef CHAT_DIES_H
#define CHAT_DIES_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether call() ends in abort(), having said on stderr a line with 'words' in it. */
static inline bool dies_saying(void (*call)(void), const char *words)
{
    int fds[2];
    if (pipe(fds) != 0) {
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        call();
        _exit(0);
    }
    close(fds[1]);
    char said[1024] = "";
    FILE *stream = fdopen(fds[0], "r");
    said[fread(said, 1, sizeof said - 1, stream)] = '\0';
    fclose(stream);
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT && strstr(said, words) != NULL;
}

#endif
